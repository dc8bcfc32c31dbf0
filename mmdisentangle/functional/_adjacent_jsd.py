"""Jensen-Shannon divergence between neighbouring frames: stable, and lean enough for long sequences.

With logits ``x``, ``p = softmax(x_t)``, ``q = softmax(x_{t+1})``, ``m = (p + q) / 2`` and the half log ratio
``z = (log p - log q) / 2``, taken from the logits so that nothing cancels,

    JSD(p, q) = sum m * (z tanh z - log(cosh z)),      log cosh z = log1p(sinh(z)^2) / 2,

whose terms are all >= 0. The derivatives are ``dJSD/dp = log1p(tanh z) / 2`` and ``dJSD/dq = log1p(-tanh z) / 2``,
which differ by ``z``.

Eager mode keeps ``x`` and one log-sum-exp per frame and makes the gradient in the backward pass. Making it in the
forward pass saves the second round of exponentials, but was only 1.1 to 1.2 times as fast on a CPU at (8, 5000, 256),
with page faults (glibc's default malloc) and without, and would hold a second tensor of the size of ``x`` until then.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid

# Beyond |z| = 20 the divergence is log 2 to the last digit of float64, and sinh(z)^2 still fits in float32.
_Z_MAX = 20.0
# Beyond |z| = 4 tanh saturates in float32, and log1p(tanh z) would lose its digits.
_Z_SATURATED = 4.0
# Elements of one chunk: small enough to stay in a core's cache, large enough to hide the launch overhead.
_CHUNK_ELEMENTS = 1 << 17


def js_terms(m: Tensor, z: Tensor) -> Tensor:
    """Terms whose sum over the last axis is the divergence."""
    z = z.clamp(-_Z_MAX, _Z_MAX)
    return m * (z * z.tanh() - z.sinh().square().log1p() / 2)


def _half_log_ratio(x: Tensor, lse: Tensor) -> Tensor:
    return (x[:, :-1] - x[:, 1:] - (lse[:, :-1] - lse[:, 1:]).unsqueeze(-1)) / 2


def _divergence(x: Tensor, lse: Tensor) -> Tensor:
    p = (x - lse.unsqueeze(-1)).exp()
    return js_terms((p[:, :-1] + p[:, 1:]) / 2, _half_log_ratio(x, lse)).sum(-1)


def _half_log_ratio_in_place(x: Tensor, lse: Tensor) -> Tensor:
    z = x[:, :-1] - x[:, 1:]
    z -= (lse[:, :-1] - lse[:, 1:]).unsqueeze(-1)
    return z.div_(2)


def _divergence_in_place(x: Tensor) -> tuple[Tensor, Tensor]:
    """`_divergence` and the log-sum-exp of a chunk, in as few passes and buffers as can be."""
    p = x.softmax(-1)
    lse = x.amax(-1) - p.amax(-1).log()
    # Neither clamp_ nor square_ can be vmapped.
    z = _half_log_ratio_in_place(x, lse).clamp(-_Z_MAX, _Z_MAX)
    sinh = z.sinh()
    terms = z.tanh().mul_(z).sub_(sinh.mul_(sinh).log1p_(), alpha=0.5)
    return terms.mul_(p[:, :-1] + p[:, 1:]).sum(-1) / 2, lse


def _gradient_in_place(x: Tensor, lse: Tensor, upstream: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of all frames of a chunk but the last, and of the last one with respect to its probabilities.

    ``weight [B, 1, D]`` is the latter for the chunk before.
    """
    z = _half_log_ratio_in_place(x, lse)
    # log1p(tanh z) = log1p(tanh |z|) + 2 min(z, 0) neither loses digits nor overflows, and log1p(-tanh z) is 2 z less.
    first = z.abs().tanh_().log1p_().add_(z.clamp(max=0), alpha=2)
    second = torch.sub(first, z, alpha=2)
    g = upstream.unsqueeze(-1) / 2
    first *= g
    second *= g
    first[:, :1] += weight
    first[:, 1:] += second[:, :-1]
    p = (x[:, :-1] - lse[:, :-1].unsqueeze(-1)).exp_()
    return _through_softmax(p, first), second[:, -1:]


def _through_softmax(p: Tensor, weight: Tensor) -> Tensor:
    """Gradient with respect to the logits, given that with respect to the probabilities, which is overwritten."""
    return weight.sub_((p * weight).sum(-1, keepdim=True)).mul_(p)


def _log1p_tanh(z: Tensor) -> Tensor:
    """``log(1 + tanh z)``, precise near 0 and finite where tanh saturates."""
    saturated = math.log(2.0) - softplus(-2 * z)
    return torch.where(z.abs() > _Z_SATURATED, saturated, z.clamp(-_Z_SATURATED, _Z_SATURATED).tanh().log1p())


def _gradient(x: Tensor, lse: Tensor, upstream: Tensor) -> Tensor:
    """Gradient of ``(upstream * JSD).sum()`` with respect to the logits ``x [B, L, D]``; upstream ``[B, L-1]``."""
    p = (x - lse.unsqueeze(-1)).exp()
    z = _half_log_ratio(x, lse)
    g = upstream.unsqueeze(-1) / 2
    first = p[:, :-1] * _log1p_tanh(z)
    second = p[:, 1:] * _log1p_tanh(-z)
    first = g * (first - p[:, :-1] * first.sum(-1, keepdim=True))
    second = g * (second - p[:, 1:] * second.sum(-1, keepdim=True))
    nothing = torch.zeros_like(x[:, :1])
    return torch.cat((first, nothing), 1) + torch.cat((nothing, second), 1)


def _logits(x: Tensor, mask: Tensor | None, temperature: float) -> Tensor:
    x = at_least_float32(zero_where_invalid(x, mask))
    return x if temperature == 1.0 else x / temperature


def _columns(mask: Tensor | None, frames: slice) -> Tensor | None:
    return None if mask is None else mask[:, frames]


def _chunks(x: Tensor) -> Iterator[tuple[int, int]]:
    """First and last frame of chunks that share their edges."""
    frames = x.shape[1]
    size = max(_CHUNK_ELEMENTS // max(x.shape[0] * x.shape[2], 1), 1)
    return ((start, min(start + size, frames - 1)) for start in range(0, frames - 1, size))


class _AdjacentJSD(torch.autograd.Function):
    """Works in chunks of frames and keeps, beside ``x`` itself, one log-sum-exp per frame."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, mask: Tensor | None, temperature: float) -> tuple[Tensor, Tensor]:
        values, sums = [], []
        for start, stop in _chunks(x):
            frames = slice(start, stop + 1)
            value, lse = _divergence_in_place(_logits(x[:, frames], _columns(mask, frames), temperature))
            values.append(value)
            sums.append(lse[:, : stop - start])
        return torch.cat(values, 1), torch.cat((*sums, lse[:, -1:]), 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, mask, ctx.temperature = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, mask, output[1])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor | None) -> tuple[Tensor, None, None]:
        x, mask, lse = ctx.saved_tensors
        if torch.is_grad_enabled():
            return adjacent_jsd_gradient(x, mask, ctx.temperature, upstream), None, None
        gradient = torch.empty_like(x)
        weight = torch.zeros_like(lse[:, :1]).unsqueeze(-1)
        for start, stop in _chunks(x):
            frames, done = slice(start, stop + 1), slice(start, stop)
            logits = _logits(x[:, frames], _columns(mask, frames), ctx.temperature)
            part, weight = _gradient_in_place(logits, lse[:, frames], upstream[:, done] / ctx.temperature, weight)
            gradient[:, done] = zero_where_invalid(part, _columns(mask, done))
        last = _through_softmax((logits[:, -1:] - lse[:, -1:].unsqueeze(-1)).exp(), weight)
        gradient[:, -1:] = zero_where_invalid(last, _columns(mask, slice(-1, None)))
        return gradient, None, None


def adjacent_jsd_gradient(x: Tensor, mask: Tensor | None, temperature: float, upstream: Tensor) -> Tensor:
    """Gradient of ``(upstream * adjacent_jsd(x)).sum()`` in one piece, itself differentiable."""
    logits = _logits(x, mask, temperature)
    gradient = _gradient(logits, logits.logsumexp(-1), upstream) / temperature
    return zero_where_invalid(gradient, mask).to(x.dtype)


def adjacent_jsd(x: Tensor, mask: Tensor | None, temperature: float) -> Tensor:
    """Divergence ``[B, T-1]`` of neighbouring frames in nats, float32 at least; needs T >= 2.

    Pairs with an invalid frame hold a finite number that the caller drops. Compilers and exporters get the plain
    formula, which they fuse themselves; eager mode gets the chunked one.
    """
    if torch.compiler.is_compiling():
        logits = _logits(x, mask, temperature)
        return _divergence(logits, logits.logsumexp(-1))
    values: Tensor = _AdjacentJSD.apply(x, mask, temperature)[0]  # type: ignore[no-untyped-call]
    return values
