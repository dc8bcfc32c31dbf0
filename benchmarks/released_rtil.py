"""The arithmetic of the released RTIL program, written down step by step: the yardstick for speed and for parity.

Time first, one modality after the other, a Python loop over time in the temporal term and over samples in the margin
loss, attention by two batched products and a softmax, no masks. Written from the mathematics of the method, not from
the program. Parameters carry the released names: ``RTIL.from_released_state_dict`` reads the state dict. What the
released program computes without using it (the orthogonality term, 1.9 million parameters) is left out, in its favour.
"""

import math
from collections import OrderedDict
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

STREAMS = ("t", "a", "v")
NUM_MOMENTS = 5
LOG_OFFSET = 1e-10


class ReleasedOutput(NamedTuple):
    """By stream letter: codes ``[T, B, D]``, reconstruction ``[B, D]``, gates ``[T, B]``; prediction ``[B, O]``."""

    prediction: Tensor
    projected: dict[str, Tensor]
    private: dict[str, Tensor]
    shared: dict[str, Tensor]
    reconstruction: dict[str, Tensor]
    gates: dict[str, Tensor]


class ReleasedObjective(NamedTuple):
    """Unweighted terms, and the weighted total."""

    total: Tensor
    task: Tensor
    adversarial: Tensor
    similarity: Tensor
    reconstruction: Tensor
    temporal: Tensor


class Reversal(torch.autograd.Function):
    """Identity with a negated gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        return -upstream


def named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def transformer(width: int, num_heads: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(width, num_heads, dim_feedforward=2048, dropout=0.1)
    return nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)


def positions(length: int, width: int, device: torch.device) -> Tensor:
    """Interleaved sines and cosines ``[T, 1, D]`` in float32."""
    table = torch.zeros(length, 1, width, device=device)
    time = torch.arange(length, dtype=torch.float32, device=device).unsqueeze(-1)
    frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float32, device=device) * (-math.log(1e4) / width))
    table[:, 0, 0::2] = torch.sin(time * frequency)
    table[:, 0, 1::2] = torch.cos(time * frequency)
    return table


class CrossAttention(nn.Module):
    """Queries of one stream over another, the attention map spelt out."""

    def __init__(self, width: int, num_heads: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.wq = nn.Linear(width, width, bias=False)
        self.wk = nn.Linear(width, width, bias=False)
        self.wv = nn.Linear(width, width, bias=False)
        self.out_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def heads(self, x: Tensor) -> Tensor:
        """``[T, B, D]`` to ``[B * heads, T, D / heads]``."""
        length, batch, width = x.shape
        return x.reshape(length, batch * self.num_heads, width // self.num_heads).transpose(0, 1)

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        q, k, v = self.heads(self.wq(query)), self.heads(self.wk(context)), self.heads(self.wv(context))
        weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)) / math.sqrt(q.shape[-1]), dim=-1)
        attended = torch.bmm(weights, v).transpose(0, 1).reshape(query.shape)
        return self.dropout(self.out_proj(attended))


class BilinearPooling(nn.Module):
    """Low-rank product of two codes, pooled in groups of two, scaled to length one."""

    def __init__(self, width: int, out_features: int = 32, num_factors: int = 2, dropout: float = 0.4) -> None:
        super().__init__()
        self.num_factors = num_factors
        self.fusion_1_matrix = nn.Linear(width, out_features * num_factors, bias=False)
        self.fusion_2_matrix = nn.Linear(width, out_features * num_factors, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        product = self.dropout(self.fusion_1_matrix(x) * self.fusion_2_matrix(y))
        pooled = product.reshape(*x.shape[:-1], -1, self.num_factors).sum(-1)
        return pooled / pooled.norm(dim=-1, keepdim=True)


class ReleasedRTIL(nn.Module):
    """RTIL as released, for streams text, audio and video of equal lengths.

    Args:
        text: width of the text features.
        audio: width of the audio features; even, for its two attention heads.
        video: width of the video features.
        hidden_features: width of the codes.
        num_outputs: predicted numbers or classes.
        dropout: False sets every dropout probability to zero, so that training mode can be compared.
    """

    def __init__(
        self,
        text: int,
        audio: int,
        video: int,
        hidden_features: int = 128,
        num_outputs: int = 1,
        *,
        dropout: bool = True,
    ) -> None:
        super().__init__()
        width = hidden_features
        for letter, own in zip(STREAMS, (text, audio, video), strict=True):
            projection = {
                f"project_{letter}": nn.Linear(own, width),
                f"project_{letter}_activation": nn.ReLU(),
                f"project_{letter}_layer_norm": nn.LayerNorm(width),
            }
            private = {f"private_{letter}_{3 if letter == 'a' else 1}": nn.Linear(width, width)}
            setattr(self, f"project_{letter}", named(**projection))
            setattr(self, f"private_{letter}", named(**private, activation=nn.Sigmoid()))
            setattr(self, f"recon_{letter}", named(**{f"recon_{letter}_1": nn.Linear(width, width)}))
        self.shared = named(shared_1=nn.Linear(width, width), activation=nn.Sigmoid())
        self.transformer_encoder_a = transformer(audio, 2)
        self.transformer_encoder_v = transformer(video, 1)
        self.cross_attn_at, self.cross_attn_vt = CrossAttention(width), CrossAttention(width)
        self.fbp_at, self.fbp_vt = BilinearPooling(width), BilinearPooling(width)
        self.fc_gate_at = nn.Linear(32, 1)
        self.norm_atten1, self.norm_atten2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer_encoder = transformer(2 * width, 1)
        self.fusion = named(
            fusion_layer_1=nn.Linear(2 * width, width),
            fusion_layer_1_dropout=nn.Dropout(0.6),
            fusion_layer_1_activation=nn.ReLU(),
            fusion_layer_3=nn.Linear(width, num_outputs),
        )
        self.discriminator = named(
            discriminator_layer_1=nn.Linear(width, width), activation=nn.ReLU(), dropout=nn.Dropout(0.6)
        )
        self.W = named(discriminator_layer_2=nn.Linear(width, 3, bias=False))
        if not dropout:
            self._drop_nothing()

    def _drop_nothing(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0

    def forward(self, text: Tensor, audio: Tensor, video: Tensor) -> ReleasedOutput:
        """Predict from ``[T, B, width]`` streams."""
        encoded = {"t": text, "a": self.transformer_encoder_a(audio), "v": self.transformer_encoder_v(video)}
        projected, private, shared, reconstruction = {}, {}, {}, {}
        for letter in STREAMS:
            projected[letter] = getattr(self, f"project_{letter}")(encoded[letter])
            private[letter] = getattr(self, f"private_{letter}")(projected[letter])
            shared[letter] = self.shared(projected[letter])
            reconstruction[letter] = getattr(self, f"recon_{letter}")((private[letter] + shared[letter]).mean(0))
        fused, gates = self.fuse(private, shared)
        return ReleasedOutput(self.fusion(fused.mean(0)), projected, private, shared, reconstruction, gates)

    def fuse(self, private: dict[str, Tensor], shared: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Audio and video attended by the text, where the gates are open."""
        length, _, width = private["t"].shape
        encoding = positions(length, width, private["t"].device)
        query = private["t"] + encoding
        parts, gates = [], {}
        for letter, norm in (("a", self.norm_atten1), ("v", self.norm_atten2)):
            attended = getattr(self, f"cross_attn_{letter}t")(query, private[letter] + encoding)
            pooled = getattr(self, f"fbp_{letter}t")(shared[letter], shared["t"])
            # Both gates read the head of the audio gate; v / |v| has no gradient.
            value = torch.tanh(self.fc_gate_at(pooled))
            gate = (value / value.abs() + 1) / 2
            gates[letter] = gate.squeeze(-1)
            parts.append(norm(gate * attended + query))
        return self.transformer_encoder(torch.cat(parts, dim=-1)), gates

    def objective(self, output: ReleasedOutput, target: Tensor) -> ReleasedObjective:
        """Return the terms of the loss; int64 targets are classes, floating ones numbers ``[B, num_outputs]``."""
        if target.is_floating_point():
            task = nn.functional.mse_loss(output.prediction, target)
        else:
            task = nn.functional.cross_entropy(output.prediction, target)
        adversarial = self.adversarial(output.shared) + self.adversarial(output.private)
        pooled = [output.shared[letter].mean(0) for letter in STREAMS]
        similarity = sum(moment_discrepancy(x, y) for x, y in combinations(pooled, 2)) / 3
        reconstruction = (
            sum((output.reconstruction[letter] - output.projected[letter]).square().mean() for letter in STREAMS) / 3
        )
        temporal = temporal_loop(torch.cat((output.private["v"], output.shared["v"]), dim=-1))
        total = task + 0.4 * adversarial + similarity + reconstruction + temporal
        return ReleasedObjective(total, task, adversarial, similarity, reconstruction, temporal)

    def adversarial(self, codes: dict[str, Tensor]) -> Tensor:
        """Margin loss of one family of codes, all of them reversed, mean over streams."""
        prototypes = self.W.discriminator_layer_2.weight
        total = torch.zeros((), dtype=prototypes.dtype, device=prototypes.device)
        for label, letter in enumerate(STREAMS):
            features = self.discriminator(Reversal.apply(codes[letter].mean(0)))
            total = total + margin_loop(features, prototypes, label)
        return total / 3 + 0.01 * prototypes.norm() ** 2


def margin_loop(features: Tensor, prototypes: Tensor, label: int, scale: float = 30.0, margin: float = 0.5) -> Tensor:
    """Additive cosine margin loss, one sample after the other."""
    features = nn.functional.normalize(features, dim=-1)
    cosines = features @ nn.functional.normalize(prototypes, dim=-1).T
    losses = []
    for n in range(len(features)):
        own = scale * (cosines[n, label] - margin)
        others = torch.cat((cosines[n, :label], cosines[n, label + 1 :]))
        losses.append(torch.log(torch.exp(own) + torch.exp(scale * others).sum()) - own)
    return torch.stack(losses).mean()


def moment_discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """Distance of the first five moments, with bare square roots."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    total = (mean_x - mean_y).square().sum().sqrt()
    for order in range(2, NUM_MOMENTS + 1):
        difference = (x - mean_x).pow(order).mean(0) - (y - mean_y).pow(order).mean(0)
        total = total + difference.square().sum().sqrt()
    return total


def temporal_loop(x: Tensor) -> Tensor:
    """Jensen-Shannon divergence of neighbouring frames' batch-averaged distributions, one step after the other."""
    total = torch.zeros((), dtype=x.dtype, device=x.device)
    for t in range(x.shape[0] - 1):
        p = torch.softmax(x[t], dim=-1).mean(0)
        q = torch.softmax(x[t + 1], dim=-1).mean(0)
        log_m = torch.log((p + q) / 2 + LOG_OFFSET)
        divergence_p = (p * (torch.log(p + LOG_OFFSET) - log_m)).sum()
        divergence_q = (q * (torch.log(q + LOG_OFFSET) - log_m)).sum()
        total = total + (divergence_p + divergence_q) / 2
    return total / (x.shape[0] - 1)
