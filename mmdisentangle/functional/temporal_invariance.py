"""Temporal invariance: how much a sequence of codes changes from one frame to the next."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_choice, check_float, check_mask, check_number
from mmdisentangle._core.numerics import at_least_float32, safe_sqrt, zero_where_invalid
from mmdisentangle._core.reduction import Reduction, check_reduction, reduce_terms
from mmdisentangle.functional._adjacent_jsd import adjacent_jsd, js_terms

TemporalDivergence: TypeAlias = Literal["js", "kl", "symmetric_kl", "total_variation", "gaussian_w2"]
TemporalAggregation: TypeAlias = Literal["sample", "batch"]
TEMPORAL_DIVERGENCES = ("js", "kl", "symmetric_kl", "total_variation", "gaussian_w2")
TEMPORAL_AGGREGATIONS = ("sample", "batch")
# Below this log ratio u the power series of u + expm1(-u) has more correct digits than the expression.
_SERIES_BELOW = 0.1


def temporal_invariance(
    x: Float[Tensor, "B T D"],
    mask: Bool[Tensor, "B T"] | None = None,
    *,
    divergence: TemporalDivergence = "js",
    aggregation: TemporalAggregation = "sample",
    temperature: float = 1.0,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    r"""Divergence between neighbouring frames of a sequence.

    .. math:: L = \frac{1}{|V|} \sum_{(b,t) \in V} \mathrm{D}(P_{b,t}, P_{b,t+1}),
              \qquad P_{b,t} = \mathrm{softmax}(x_{b,t} / \tau)

    where :math:`V` holds the pairs of neighbours that are both real. Use it to keep a code from following frame-level
    noise; it only says that neighbours are alike, so a constant code is its minimum: pair it with a term that needs the
    code (task, reconstruction).

    Args:
        x: codes or logits; any real values.
        mask: True = real frame; None means that all are real. Padding may hold anything, NaN included.
        divergence: ``"js"`` Jensen-Shannon; ``"kl"`` :math:`KL(P_t \| P_{t+1})`; ``"symmetric_kl"`` half the sum of
            both directions; ``"total_variation"`` half the absolute difference; ``"gaussian_w2"`` squared 2-Wasserstein
            distance of the Gaussians with each frame's mean and (population) standard deviation over features, taken of
            ``x`` itself, so the temperature plays no part.
        aggregation: ``"sample"`` takes the divergence in every sample; ``"batch"`` first averages over the batch the
            distributions (the means and standard deviations for ``"gaussian_w2"``), each pair of columns over the
            samples valid at both, so samples should be padded on the right.
        temperature: divides the logits; above 1 flattens the distributions.
        reduction: ``"none"``, ``"mean"`` (over valid pairs) or ``"sum"``.

    Shape:
        x ``[B, T, D]``, mask ``[B, T]``; result ``[B, T-1]`` (``"sample"``) or ``[T-1]`` (``"batch"``) for
        ``reduction="none"``, invalid pairs 0; else ``[]``.

    Returns:
        Nats for ``js`` (at most log 2), ``kl`` and ``symmetric_kl``; a probability for ``total_variation``; squared
        units of ``x`` for ``gaussian_w2``. float32 for half-precision input. Without a valid pair, 0 with a zero
        gradient.

    Raises:
        DtypeError: x is not floating, mask not boolean.
        ShapeError: x has not three axes, or the mask another shape.
        SettingError: an unknown divergence, aggregation or reduction, or a temperature that is not positive.

    Numerics:
        ``js`` is a sum of terms >= 0 built from differences of logits: its relative error in float32 stays near 1e-7
        down to divergences of 1e-7, where the entropy form has lost every digit, and is 1e-4 at 1e-9 and 1e-2 at 1e-11,
        where the rounding of the log-sum-exp counts. ``js`` per sample keeps nothing in memory but ``x`` and one number
        per frame between forward and backward; its second derivative is supported, forward-mode differentiation is not.
        The square root of ``gaussian_w2`` has a zero gradient for a constant frame.

    Deviations:
        The released RTIL code computes ``aggregation="batch"`` and adds 1e-10 inside the logarithms, which changes
        values by about 1e-8. Batch averaging washes the frames out and makes the value depend on B, so ``"sample"`` is
        the default.

    Example:
        >>> x = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [0.0, 2.0]]])
        >>> temporal_invariance(x, reduction="none")
        tensor([[0.0000, 0.0895]])
        >>> temporal_invariance(x, torch.tensor([[True, True, False]]))
        tensor(0.)

    References:
        "Robust Temporal-Invariant Learning in Multimodal Disentanglement", 2024, arXiv:2409.00143.
    """
    return reduced_divergence(x, mask, divergence, aggregation, temperature, reduction, adjacent_jsd)


def reduced_divergence(
    x: Tensor,
    mask: Tensor | None,
    divergence: str,
    aggregation: str,
    temperature: float,
    reduction: str,
    jsd: Callable[[Tensor, Tensor | None, float], Tensor],
) -> Tensor:
    """`temporal_invariance` with the per-sample Jensen-Shannon divergence, called as `adjacent_jsd` is, given."""
    where = "temporal_invariance"
    check_float(where, "x", x, "B T D")
    if mask is not None:
        check_mask(where, "mask", mask, x.shape[:2])
    check_choice(where, "divergence", divergence, TEMPORAL_DIVERGENCES)
    check_choice(where, "aggregation", aggregation, TEMPORAL_AGGREGATIONS)
    check_number(where, "temperature", temperature, low=0, open_low=True)
    check_reduction(where, reduction)
    if x.shape[1] < 2 or x.shape[2] == 0:
        # No pair, or no feature: zeros that stay connected to x.
        pairs = max(x.shape[1] - 1, 0)
        rows = x.shape[:1] if aggregation == "sample" else ()
        empty = at_least_float32(x[:0])
        return reduce_terms(empty.sum() + empty.new_zeros((*rows, pairs)), None, reduction)
    pairs_valid = None if mask is None else mask[:, :-1] & mask[:, 1:]
    if aggregation == "batch":
        terms, valid = _batch_terms(x, mask, pairs_valid, divergence, temperature)
    elif divergence == "js":
        terms, valid = jsd(x, mask, temperature), pairs_valid
    else:
        terms, valid = _sample_terms(x, mask, divergence, temperature), pairs_valid
    return reduce_terms(zero_where_invalid(terms, valid), valid, reduction)


def _sample_terms(x: Tensor, mask: Tensor | None, divergence: str, temperature: float) -> Tensor:
    x = at_least_float32(zero_where_invalid(x, mask))
    if divergence == "gaussian_w2":
        mean, deviation = _moments(x)
        return (mean[:, :-1] - mean[:, 1:]).square() + (deviation[:, :-1] - deviation[:, 1:]).square()
    logits = x / temperature
    lse = logits.logsumexp(-1, keepdim=True)
    p = (logits - lse).exp()
    # From the logits: a difference of log-probabilities would cancel.
    log_ratio = logits[:, :-1] - logits[:, 1:] - (lse[:, :-1] - lse[:, 1:])
    return _divergence(divergence, p[:, :-1], p[:, 1:], log_ratio)


def _batch_terms(
    x: Tensor, mask: Tensor | None, pairs_valid: Tensor | None, divergence: str, temperature: float
) -> tuple[Tensor, Tensor | None]:
    x = at_least_float32(zero_where_invalid(x, mask))
    frames = torch.stack(_moments(x), -1) if divergence == "gaussian_w2" else (x / temperature).softmax(-1)
    if pairs_valid is None:
        # The empty batch averages to zero, not to NaN.
        average = frames.sum(0) / max(x.shape[0], 1)
        first, second, valid = average[:-1], average[1:], None
    else:
        weight = pairs_valid.to(frames.dtype).unsqueeze(-1)
        count = weight.sum(0).clamp(min=1)
        first, second = (frames[:, :-1] * weight).sum(0) / count, (frames[:, 1:] * weight).sum(0) / count
        valid = pairs_valid.any(0)
    if divergence == "gaussian_w2":
        return (first - second).square().sum(-1), valid
    tiny = torch.finfo(frames.dtype).tiny
    return _divergence(divergence, first, second, first.clamp(min=tiny).log() - second.clamp(min=tiny).log()), valid


def _divergence(name: str, p: Tensor, q: Tensor, log_ratio: Tensor) -> Tensor:
    """Divergence over the last axis of distributions ``p`` and ``q``; ``log_ratio = log p - log q``."""
    if name == "kl":
        # p (u + exp(-u) - 1): every term >= 0, by its series where the sum would cancel.
        u = log_ratio.clamp(-_SERIES_BELOW, _SERIES_BELOW)
        series = u.square() * (1 / 2 - u * (1 / 6 - u * (1 / 24 - u * (1 / 120 - u * (1 / 720 - u / 5040)))))
        terms = torch.where(log_ratio.abs() < _SERIES_BELOW, p * series, p * log_ratio - p + q)
        return terms.sum(-1)
    m, z = (p + q) / 2, log_ratio / 2
    if name == "js":
        return js_terms(m, z).sum(-1)
    if name == "symmetric_kl":
        return (2 * m * z * z.tanh()).sum(-1)
    return (m * z.tanh().abs()).sum(-1)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.mean(-1)
    return mean, safe_sqrt((x - mean.unsqueeze(-1)).square().mean(-1))
