"""What one discriminator does during an epoch, seen through hooks that change no number."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmdisentangle._core.distributed import gather_samples, sum_over_processes, world_size
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.nn import DoubleDiscriminator, GradientReversal, ModalityDiscriminator
from mmdisentangle.nn.layers._pooled_codes import pooled_codes

# Codes kept for the probe.
_ROWS = 2048


@dataclass(frozen=True)
class Epoch:
    """What was seen in an epoch, over all processes; None where nothing can be known.

    Args:
        steps: steps of the optimiser.
        calls: calls of the discriminator with reversal; all calls where it has none.
        connected: calls whose codes take a gradient.
        frozen: the discriminator has no parameter that is trained.
        accuracy: mean over modalities of the share of their codes that were told.
        loss: mean over modalities of the cross-entropy, in nats.
        unsure: mean over modalities of one minus the probability of the true one: the gradient that is left.
        spread: largest difference of a logit between two codes.
        parameter_gradient: mean norm of the gradient of the discriminator's parameters; None: they never had one.
        gradient: mean norm of the gradient that reaches the codes through the reversal.
        rest: mean norm of what else reaches the tensors that the discriminator was given.
        strength: mean absolute reversal strength.
        probe: balanced accuracy of a fresh linear probe on codes of the last steps.
        traced: the discriminator ran inside a compiled graph, where hooks see nothing.
    """

    steps: int
    calls: int
    connected: int
    frozen: bool
    accuracy: float | None
    loss: float | None
    unsure: float | None
    spread: float | None
    parameter_gradient: float | None
    gradient: float | None
    rest: float | None
    strength: float | None
    probe: float | None
    traced: bool


class _Reversed:
    """The gradient that one call of a discriminator sends back through its reversal."""

    value: Tensor | None = None


class Watch:
    """Hooks on one discriminator, and what they have seen since the epoch began.

    Args:
        module: a discriminator of this library, or any module with a `GradientReversal` in it; a bare reversal.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.modalities: tuple[str, ...] = tuple(getattr(module, "modalities", ())) if _is_ours(module) else ()
        self.reversals = [part for part in module.modules() if isinstance(part, GradientReversal)]
        self.parameters = list(module.parameters())
        self.active = False
        self.traced = False
        self.handles: list[Any] = []
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.steps = self.calls = self.connected = self.steps_with_gradient = 0
        self.sums: Tensor | None = None
        self.spread: Tensor | None = None
        self.codes: deque[tuple[Tensor, Tensor]] = deque()
        self.logits: list[Tensor] = []
        self.parameter_norms: list[Tensor] = []
        self.strengths: list[Tensor] = []
        # Squared norms of each step: of what comes through the reversal, and of all else that reaches the codes.
        self.squares: list[Tensor] = []
        self._reversed = _Reversed()
        self._through: list[Tensor] = []
        self._others: list[Tensor] = []

    def attach(self) -> None:
        """Register the hooks."""
        for reversal in self.reversals:
            self.handles.append(reversal.register_forward_hook(self._on_reversal))
        if self.module not in self.reversals:
            self.handles.append(self.module.register_forward_hook(self._on_discriminator, with_kwargs=True))
        if isinstance(self.module, DoubleDiscriminator):
            self.handles.append(self.module.discriminator.register_forward_hook(self._on_logits))

    def detach(self) -> None:
        """Remove them."""
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def end_step(self) -> None:
        """Note the gradients of a step of the optimiser, before it is made."""
        self.steps += 1
        gradients = [_whole(p.grad) for p in self.parameters if p.grad is not None]
        if gradients:
            self.steps_with_gradient += 1
            self.parameter_norms.append(_square(gradients))
        if self._through or self._others:
            device = (self._through or self._others)[0].device
            zero = torch.zeros((), device=device)
            self.squares.append(torch.stack([sum(self._through, zero), sum(self._others, zero)]))
        else:
            self.squares.append(torch.zeros(2))
        self._through, self._others = [], []

    def _on_reversal(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        if torch.compiler.is_compiling():
            self.traced = True
            return
        if not self.active or not torch.is_grad_enabled():
            return
        strength = module.strength.detach().clone()  # type: ignore[operator]
        self.calls += 1
        self.strengths.append(strength.abs())
        if arguments[0].requires_grad:
            self.connected += 1
            self._reversed = reversed_gradient = _Reversed()

            def note(gradient: Tensor) -> None:
                reversed_gradient.value = -strength * gradient.detach()
                self._through.append(_square([reversed_gradient.value]))

            output.register_hook(note)

    def _on_logits(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        if not torch.compiler.is_compiling() and self.active:
            self.logits.append(output.detach())

    def _on_discriminator(
        self, module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> None:
        if torch.compiler.is_compiling():
            self.traced = True
            return
        if not self.active or not torch.is_grad_enabled():
            return
        if not self.reversals:
            self.calls += 1
            self.connected += any(isinstance(x, Tensor) and x.requires_grad for x in (*arguments, *named.values()))
        if not self.modalities:
            if isinstance(output, Tensor) and output.ndim > 1:
                self._note_spread(output.detach().flatten(0, -2), None)
            return
        if isinstance(module, ModalityDiscriminator) and not named.get("reverse", True):
            return
        name = "codes" if isinstance(module, ModalityDiscriminator) else "agnostic"
        codes = arguments[0] if arguments else named[name]
        position = 1 if isinstance(module, ModalityDiscriminator) else 2
        masks = arguments[position] if len(arguments) > position else named.get("masks")
        # The first answers of a double discriminator are those about the agnostic codes, [B, M, class].
        logits = output.logits if isinstance(module, ModalityDiscriminator) else self.logits[0].transpose(0, 1)
        self.logits = []
        with torch.no_grad():
            self._note_answers(codes, masks, logits.float())
        for index, name in enumerate(self.modalities):
            if codes[name].requires_grad:
                mask = None if masks is None else masks.get(name)
                codes[name].register_hook(partial(self._note_rest, self._reversed, index, mask))

    def _note_rest(self, reversed_gradient: "_Reversed", index: int, mask: Tensor | None, gradient: Tensor) -> None:
        """Note what reaches a code other than through the reversal; the hook of that has run before."""
        rest = gradient.detach().float()
        if reversed_gradient.value is not None:
            modalities, own = len(self.modalities), reversed_gradient.value.float()
            own = own.unflatten(0, (modalities, -1))[index] if own.ndim == 2 else own[:, index]
            if rest.ndim == 3:
                # A mean over real frames gives each of them its part.
                real = rest.new_ones(rest.shape[:2]) if mask is None else mask.to(rest.dtype)
                own = own[:, None] * (real / real.sum(1, keepdim=True).clamp(min=1))[..., None]
            rest = rest - own
        self._others.append(_square([rest]))

    def _note_answers(self, codes: Mapping[str, Tensor], masks: Any, logits: Tensor) -> None:
        width = codes[self.modalities[0]].shape[-1]
        pooled, valid = pooled_codes("monitor", "codes", codes, masks, self.modalities, width)
        exists = torch.stack(valid)
        target = torch.arange(len(logits), device=logits.device)[:, None].expand(exists.shape)
        log_probability = logits.log_softmax(-1).gather(-1, target[..., None])[..., 0]
        seen = torch.stack([(logits.argmax(-1) == target).float(), -log_probability, 1 - log_probability.exp()])
        # [hits, loss, unsure, count] of each modality; NaN of a code that is not there must not count.
        sums = torch.cat([torch.where(exists, seen, 0.0).sum(-1), exists.sum(-1)[None]])
        self.sums = sums if self.sums is None else self.sums + sums
        self._note_spread(logits.flatten(0, 1), exists.flatten())
        self.codes.append((torch.stack(pooled, 1).float(), torch.stack(valid, 1)))
        while len(self.codes) > 1 and sum(there.numel() for _, there in self.codes) > _ROWS // world_size():
            self.codes.popleft()

    def _note_spread(self, rows: Tensor, exists: Tensor | None) -> None:
        if len(rows) < 2:
            return
        low, high = rows, rows
        if exists is not None:
            low, high = (torch.where(exists[:, None], rows, fill) for fill in (torch.inf, -torch.inf))
        spread = (high.amax(0) - low.amin(0)).max().float()
        self.spread = spread if self.spread is None else torch.maximum(self.spread, spread)

    def epoch(self) -> Epoch:
        """Put what all processes have seen together; every process must call."""
        modalities = len(self.modalities)
        device = self._device()
        flags = [self.steps_with_gradient, self.calls, self.connected, self.spread is not None, self.traced]
        own = [
            torch.tensor([float(flag) for flag in flags], device=device),
            _sum(self.parameter_norms, device, root=True)[None],
            _sum(self.strengths, device)[None],
            (torch.zeros((), device=device) if self.spread is None else self.spread.to(device).clamp(min=0))[None],
            (torch.zeros(4, modalities, device=device) if self.sums is None else self.sums).flatten(),
        ]
        squares = (
            torch.stack([s.to(device) for s in self.squares]) if self.squares else torch.zeros(1, 2, device=device)
        )
        # A gradient of the mean over processes is a process's own divided by their number.
        own.append((squares / world_size() ** 2).flatten())
        numbers = sum_over_processes(torch.cat(own)).cpu()
        with_gradient, calls, connected, has_spread, traced = numbers[:5].tolist()
        norm, strength, spread = numbers[5:8].tolist()
        sums = numbers[8 : 8 + 4 * modalities].reshape(4, modalities)
        through, rest = numbers[8 + 4 * modalities :].reshape(-1, 2).unbind(1)
        accuracy, loss, unsure = _means(sums)
        return Epoch(
            steps=self.steps,
            calls=int(calls),
            connected=int(connected),
            frozen=bool(self.parameters) and not any(p.requires_grad for p in self.parameters),
            accuracy=accuracy,
            loss=loss,
            unsure=unsure,
            spread=spread if has_spread else None,
            parameter_gradient=norm / with_gradient if with_gradient else None,
            gradient=float(through.sqrt().mean()) if self.reversals else None,
            rest=float(rest.sqrt().mean()) if modalities and connected else None,
            strength=strength / calls if calls else None,
            probe=self._probe(device) if modalities else None,
            traced=traced > 0,
        )

    def _probe(self, device: torch.device) -> float | None:
        """Balanced accuracy of a fresh linear probe on the codes of all processes."""
        features: Any = self.module.in_features
        codes = [torch.zeros(0, len(self.modalities), features, device=device), *(x for x, _ in self.codes)]
        exists = [torch.zeros(0, len(self.modalities), dtype=torch.bool, device=device), *(e for _, e in self.codes)]
        x, there = gather_samples(torch.cat(codes), torch.cat(exists))
        assert there is not None
        return linear_probe(x, there)

    def _device(self) -> torch.device:
        return self.parameters[0].device if self.parameters else self.reversals[0].strength.device


def linear_probe(codes: Tensor, exists: Tensor) -> float | None:
    """Read the modality from codes ``[N, M, D]`` that exist ``[N, M]``.

    By least squares, fitted on one half of the samples and judged on the other, both ways.

    Returns:
        Balanced accuracy; None where there are too few codes.
    """
    # In an order that does not depend on who had which sample.
    order = zero_where_invalid(codes, exists).sum((1, 2)).argsort(stable=True)
    order = order[exists[order].any(1)]
    codes, exists = codes[order].double().cpu(), exists[order].cpu()
    samples, modalities, _ = codes.shape
    answers = torch.arange(modalities).expand(samples, modalities)
    first = torch.arange(samples) % 2 == 0
    hits, counts = torch.zeros(modalities), torch.zeros(modalities)
    for train in (first, ~first):
        x, y = codes[train][exists[train]], answers[train][exists[train]]
        x_test, y_test = codes[~train][exists[~train]], answers[~train][exists[~train]]
        if len(y.unique()) < modalities or not len(y_test) or not bool(x.isfinite().all() & x_test.isfinite().all()):
            return None
        location, scale = x.mean(0), x.std(0)
        scale = torch.where(scale > 0, scale, 1.0)
        design, test = ((part - location) / scale for part in (x, x_test))
        share = y.bincount(minlength=modalities).double()
        weights = (1 / share)[y][:, None]
        targets = nn.functional.one_hot(y, modalities).double() - 1 / modalities
        # A ridge of a hundredth of the mean variance keeps codes of low rank solvable.
        gram = design.T @ (weights * design) + 0.01 * modalities * torch.eye(design.shape[1], dtype=torch.double)
        middle = (weights * design).sum(0) / weights.sum()
        solution = torch.linalg.solve(gram, design.T @ (weights * targets))
        guess = ((test - middle) @ solution).argmax(-1)
        hits += y_test[guess == y_test].bincount(minlength=modalities)
        counts += y_test.bincount(minlength=modalities)
    return float((hits / counts).mean()) if bool((counts > 0).all()) else None


def find_watches(model: nn.Module) -> dict[str, Watch]:
    """Return watches of the library's discriminators, of sequences with a reversal, and of all other reversals."""
    found: dict[str, Watch] = {}
    covered: set[nn.Module] = set()
    for name, module in model.named_modules():
        is_sequence = isinstance(module, nn.Sequential) and any(isinstance(c, GradientReversal) for c in module)
        if module not in covered and (_is_ours(module) or is_sequence or isinstance(module, GradientReversal)):
            found[name or type(module).__name__] = Watch(module)
            covered.update(module.modules())
    return found


def _is_ours(module: nn.Module) -> bool:
    return isinstance(module, (ModalityDiscriminator, DoubleDiscriminator))


def _means(sums: Tensor) -> tuple[float | None, float | None, float | None]:
    *seen, counts = sums.double().unbind()
    there = counts > 0
    if not len(counts) or not bool(there.any()):
        return None, None, None
    accuracy, loss, unsure = (float((row[there] / counts[there]).mean()) for row in seen)
    return accuracy, loss, unsure


def _square(tensors: list[Tensor]) -> Tensor:
    return torch.stack([tensor.detach().float().square().sum() for tensor in tensors]).sum()


def _sum(values: list[Tensor], device: torch.device, *, root: bool = False) -> Tensor:
    if not values:
        return torch.zeros((), device=device)
    stacked = torch.stack([value.to(device).float() for value in values])
    return (stacked.sqrt() if root else stacked).sum()


def _whole(gradient: Tensor) -> Tensor:
    # Only a sharded gradient has the method.
    full_tensor: Any = getattr(gradient, "full_tensor", None)
    return gradient if full_tensor is None else full_tensor()
