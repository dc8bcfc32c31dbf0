"""The components of the released RTIL program as plain code: what people paste today, and the yardstick for it.

Written from the mathematics of the method. Batch first where the time axis does not matter to the cost.
"""

import math
from itertools import combinations

import torch
from torch import Tensor, nn

from benchmarks.released_rtil import margin_loop, moment_discrepancy, temporal_loop


def temporal_batch(x: Tensor) -> Tensor:
    """Temporal term of ``[B, T, D]``: a loop over time, distributions averaged over the batch."""
    return temporal_loop(x.transpose(0, 1))


def temporal_samples(x: Tensor) -> Tensor:
    """The same per sample, in the textbook form that needs no loop: softmax, mixture, two Kullback-Leibler terms."""
    log_p = x.log_softmax(-1)
    p = log_p.exp()
    first, second, log_first, log_second = p[:, :-1], p[:, 1:], log_p[:, :-1], log_p[:, 1:]
    log_m = ((first + second) / 2).log()
    terms = (first * (log_first - log_m)).sum(-1) + (second * (log_second - log_m)).sum(-1)
    return terms.mean() / 2


def moments(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Central moment discrepancy of three modalities, mean over pairs, every pair by itself."""
    return torch.stack([moment_discrepancy(a, b) for a, b in combinations((x, y, z), 2)]).mean()


def margin(features: Tensor, prototypes: Tensor) -> Tensor:
    """Cosine margin loss of three modalities' features ``[3 B, D]``, a loop over samples."""
    parts = features.chunk(3)
    return torch.stack([margin_loop(part, prototypes, label) for label, part in enumerate(parts)]).mean()


class Attention(nn.Module):
    """Cross attention whose map is spelt out; parameters as in `nn.CrossModalAttention`."""

    def __init__(self, features: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value = (nn.Linear(features, features, bias=False) for _ in range(3))
        self.output = nn.Linear(features, features)

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        q, k, v = self.heads(self.query(query)), self.heads(self.key(context)), self.heads(self.value(context))
        weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)) / math.sqrt(q.shape[-1]), dim=-1)
        return self.output(torch.bmm(weights, v).unflatten(0, (-1, self.num_heads)).transpose(1, 2).flatten(2))

    def heads(self, x: Tensor) -> Tensor:
        """``[B, T, D]`` to ``[B * heads, T, D / heads]``."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2).flatten(0, 1)
