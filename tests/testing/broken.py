"""Layers with one defect each, and one without, all of the same kind: pool sequences, or a mapping of them."""

import torch
from torch import nn


class Sound(nn.Module):
    """A linear map and a masked mean; what the broken ones should be."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x, mask=None):
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        y = self.encode(torch.where(mask.unsqueeze(-1), x, 0), mask)
        return self.pool(torch.where(mask.unsqueeze(-1), y, 0), mask)

    def encode(self, x, mask):
        return self.linear(x)

    def pool(self, y, mask):
        return y.sum(1) / mask.sum(1, keepdim=True).clamp(min=1).to(y.dtype)


class IgnoresMask(Sound):
    def forward(self, x, mask=None):
        return self.linear(x).sum(1) / max(x.shape[1], 1)


class MultipliesByMask(Sound):
    """NaN times 0 is NaN."""

    def forward(self, x, mask=None):
        weight = torch.ones_like(x[..., 0]) if mask is None else mask.to(x.dtype)
        return self.pool(self.linear(x * weight.unsqueeze(-1)) * weight.unsqueeze(-1), weight)


class DividesByLength(Sound):
    def pool(self, y, mask):
        return y.sum(1) / max(y.shape[1], 1)


class CountsColumns(Sound):
    """Positions are columns of the tensor, not numbers of real frames."""

    def encode(self, x, mask):
        position = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)
        return self.linear(x) * position.unsqueeze(-1)


class NormalisesPadding(Sound):
    """Batch normalisation counts padded frames."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def encode(self, x, mask):
        return self.norm(self.linear(x).mT).mT


class NormalisesBatch(Sound):
    """Batch normalisation of pooled codes, which refuses a batch of one in training."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def pool(self, y, mask):
        return self.norm(super().pool(y, mask))


class Squeezes(Sound):
    """The batch axis is lost where it has one entry."""

    def pool(self, y, mask):
        return super().pool(y, mask).squeeze()


class ChangesDtype(Sound):
    """Half precision gives float32, but not where there is nothing to compute."""

    def pool(self, y, mask):
        pooled = super().pool(y, mask)
        return pooled if y.shape[1] < 2 else pooled.float() if y.dtype != torch.float64 else pooled


class DefaultsToNoFrame(Sound):
    """Without a mask it skips the first frame."""

    def forward(self, x, mask=None):
        if mask is None:
            mask = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2]) > 0
        return super().forward(x, mask)


class DividesByZero(Sound):
    def pool(self, y, mask):
        return y.sum(1) / mask.sum(1, keepdim=True).to(y.dtype)


class Deviation(Sound):
    """Unbiased standard deviation over time: NaN for one frame, and a NaN gradient where all frames are alike."""

    def forward(self, x, mask=None):
        return self.linear(x).std(1)


class BareRoot(Sound):
    """The norm of a difference, with a NaN gradient where it is 0."""

    def pool(self, y, mask):
        return (y[:, :-1] - y[:, 1:]).square().sum((1, 2)).sqrt()


class NeedsFrames(Sound):
    def forward(self, x, mask=None):
        return self.linear(x).amax(1) if mask is None else self.linear(x).masked_fill(~mask.unsqueeze(-1), 0).amax(1)


class Disconnects(Sound):
    """The empty case is fresh zeros that cannot backpropagate."""

    def forward(self, x, mask=None):
        return (
            super().forward(x, mask)
            if x.shape[0] and x.shape[1]
            else torch.zeros((x.shape[0], 3), device=x.device, dtype=x.dtype)
        )


class ReturnsScalar(Sound):
    """The empty batch gives a 0-dim result."""

    def pool(self, y, mask):
        return super().pool(y, mask) if y.shape[0] else super().pool(y, mask).sum()


class WritesIntoInput(Sound):
    def forward(self, x, mask=None):
        if mask is not None and not x.requires_grad:
            x.masked_fill_(~mask.unsqueeze(-1), 0)
        return super().forward(x, mask)


class StaysOnCpu(Sound):
    def pool(self, y, mask):
        return super().pool(y, mask) + torch.ones(3, device="cpu", dtype=y.dtype)


class ReadsValues(Sound):
    def pool(self, y, mask):
        return y.sum(1) * (1 / max(mask.sum().item(), 1))


class BranchesOnMask(Sound):
    def encode(self, x, mask):
        return self.linear(x) if mask.all() else self.linear(x).clone()


class GuardsLength(Sound):
    """A Python loop over time compiles anew for every length."""

    def encode(self, x, mask):
        return torch.stack([self.linear(x[:, t]) for t in range(x.shape[1])], 1) if x.shape[1] else self.linear(x)


class HidesParameters(Sound):
    """Weights in a Python list are neither trained nor saved."""

    def __init__(self):
        super().__init__()
        self.more = [nn.Linear(3, 3)]

    def pool(self, y, mask):
        return self.more[0].to(y.device, y.dtype)(super().pool(y, mask))


class NeverUses(Sound):
    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.ones(3))


class StepGate(Sound):
    """A hard gate without a straight-through gradient."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(3, 1)

    def pool(self, y, mask):
        return super().pool(y, mask) * (self.gate(y.mean(1)) > 0).to(y.dtype)


class Noisy(Sound):
    def encode(self, x, mask):
        return nn.functional.dropout(self.linear(x), 0.5, self.training)


class HoldsLambda(Sound):
    def __init__(self):
        super().__init__()
        self.activation = lambda x: x

    def pool(self, y, mask):
        return self.activation(super().pool(y, mask))


class CountsCalls(Sound):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def encode(self, x, mask):
        self.calls += 1
        return self.linear(x)


class HalfMade(Sound):
    """A constant of a fixed dtype beside a product: the dtypes clash in half precision."""

    def encode(self, x, mask):
        return self.linear(x) @ torch.eye(3, device=x.device, dtype=torch.promote_types(x.dtype, torch.float32))


class Cancels(Sound):
    """Digits are lost in a difference of large numbers."""

    def pool(self, y, mask):
        return (super().pool(y, mask) + 100) - 100


class Overflows(Sound):
    def pool(self, y, mask):
        return super().pool((y * 16).square(), mask).sqrt() * 0 + super().pool(y, mask)


class Doubles(torch.autograd.Function):
    """Says that the derivative of x squared is x."""

    @staticmethod
    def forward(x):
        return x.square()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, upstream):
        return upstream * ctx.saved_tensors[0]


class WrongDerivative(Sound):
    def pool(self, y, mask):
        return Doubles.apply(super().pool(y, mask))


class OldFunction(torch.autograd.Function):
    """Gradient reversal in the old style, which torch.func cannot take."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, upstream):
        return -upstream


class OldReversal(nn.Module):
    def forward(self, x):
        return OldFunction.apply(x)


class UnreversedReversal(nn.Module):
    """The sign is lost: d + (x - d) passes the gradient on."""

    def forward(self, x):
        d = x.detach()
        return d + (x - d)


class ComparesWithMates(Sound):
    def pool(self, y, mask):
        pooled = super().pool(y, mask)
        return pooled - pooled.mean(0)


class LocalBatchMean(nn.Module):
    """A batch statistic that does not look beyond its own process."""

    def forward(self, x):
        return x.mean(0).square().sum()


class GathersWithoutGradient(nn.Module):
    """A gathered batch whose copies from other processes, and from this one, are constants."""

    def forward(self, x):
        from torch import distributed

        from mmdisentangle._core.distributed import gather_samples

        if distributed.is_initialized():
            gathered, mask = gather_samples(x.detach(), None)
            mean = gathered.sum(0) / mask.sum()
            own = x.sum(0) / mask.sum()
            return (mean + own - own.detach()).square().sum()
        return x.mean(0).square().sum()


class FollowsDict(nn.Module):
    """Modalities are told apart by their order in the caller's dict."""

    def __init__(self, widths):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 3) for _ in widths)

    def forward(self, inputs, masks=None):
        return sum(layer(x).sum(1) for layer, x in zip(self.layers, inputs.values(), strict=True))


class WantsNames(FollowsDict):
    """Only knows its own names, and a ModuleDict refuses some."""

    def __init__(self, widths):
        super().__init__(widths)
        self.by_name = nn.ModuleDict({name: nn.Linear(4, 3) for name in widths})

    def forward(self, inputs, masks=None):
        return sum(self.by_name[name](inputs[name]).sum(1) for name in self.by_name)


class NeedsEveryModality(WantsNames):
    """A modality without frames becomes 0 / 0."""

    def forward(self, inputs, masks=None):
        total = 0
        for name in self.by_name:
            x = inputs[name]
            mask = torch.ones(x.shape[:2], dtype=torch.bool) if masks is None else masks[name]
            y = self.by_name[name](torch.where(mask.unsqueeze(-1), x, 0))
            total = total + torch.where(mask.unsqueeze(-1), y, 0).sum(1) / mask.sum(1, keepdim=True)
        return total


class LeavesPadding(Sound):
    """Per-frame codes whose padded frames are not 0."""

    def pool(self, y, mask):
        return torch.where(mask.unsqueeze(-1), y, 1)
