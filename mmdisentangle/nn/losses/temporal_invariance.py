"""Temporal-invariant loss as a module."""

from torch import Tensor, nn

from mmdisentangle._core.checks import check_choice, check_number
from mmdisentangle._core.distributed import count_rows, gather_samples, mean_over_processes
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.reduction import Reduction, check_reduction
from mmdisentangle.functional.temporal_invariance import (
    TEMPORAL_AGGREGATIONS,
    TEMPORAL_DIVERGENCES,
    TemporalAggregation,
    TemporalDivergence,
)
from mmdisentangle.kernels.temporal_invariance import IMPLS, Impl, temporal_invariance


class TemporalInvariantLoss(nn.Module):
    r"""Divergence between neighbouring frames: `mmdisentangle.kernels.temporal_invariance` with its settings.

    .. math:: L = \mathrm{mean}_{(b,t)}\, \mathrm{D}(P_{b,t}, P_{b,t+1}), \qquad P = \mathrm{softmax}(x / \tau)

    Args:
        divergence: ``"js"``, ``"kl"``, ``"symmetric_kl"``, ``"total_variation"`` or ``"gaussian_w2"``.
        aggregation: ``"sample"`` per sample, ``"batch"`` after averaging over the batch (as the released RTIL code
            does).
        temperature: divides the logits.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        gather: average over the samples of all processes.
        impl: ``"auto"``, ``"reference"`` or ``"fused"``; see the function.

    Shape:
        x ``[B, T, D]``, mask ``[B, T]``; result ``[]``, or ``[B, T-1]`` / ``[T-1]`` for ``reduction="none"``.

    Returns:
        Nats for the divergences of probabilities in them; see the function.

    Raises:
        SettingError: an unknown setting; ``gather`` with ``aggregation="sample"`` and a reduction that is no mean.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = TemporalInvariantLoss()
        >>> loss(torch.ones(2, 5, 8))
        tensor(0.)

    References:
        "Robust Temporal-Invariant Learning in Multimodal Disentanglement", 2024, arXiv:2409.00143.
    """

    def __init__(
        self,
        *,
        divergence: TemporalDivergence = "js",
        aggregation: TemporalAggregation = "sample",
        temperature: float = 1.0,
        reduction: Reduction = "mean",
        gather: bool = False,
        impl: Impl = "auto",
    ) -> None:
        super().__init__()
        where = "TemporalInvariantLoss"
        check_choice(where, "divergence", divergence, TEMPORAL_DIVERGENCES)
        check_choice(where, "aggregation", aggregation, TEMPORAL_AGGREGATIONS)
        check_number(where, "temperature", temperature, low=0, open_low=True)
        check_reduction(where, reduction)
        check_choice(where, "impl", impl, IMPLS)
        if impl == "fused" and (divergence != "js" or aggregation != "sample"):
            raise SettingError(
                f"{where}: impl='fused' computes divergence='js' with aggregation='sample', got {divergence!r} and "
                f"{aggregation!r}; use impl='auto'."
            )
        if gather and aggregation == "sample" and reduction != "mean":
            raise SettingError(
                f"{where}: gather=True with aggregation='sample' needs reduction='mean', got {reduction!r}."
            )
        self.divergence: TemporalDivergence = divergence
        self.aggregation: TemporalAggregation = aggregation
        self.temperature = temperature
        self.reduction: Reduction = reduction
        self.gather = gather
        self.impl: Impl = impl

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss."""
        if self.gather and self.aggregation == "batch":
            if mask is None:
                mask = x.new_ones(x.shape[:2]).bool()
            x, mask = gather_samples(x, mask)
        loss = temporal_invariance(
            x,
            mask,
            divergence=self.divergence,
            aggregation=self.aggregation,
            temperature=self.temperature,
            reduction=self.reduction,
            impl=self.impl,
        )
        if self.gather and self.aggregation == "sample":
            pairs = count_rows(x[:, 1:], None if mask is None else mask[:, :-1] & mask[:, 1:])
            loss = mean_over_processes(loss, pairs)
        return loss

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return (
            f"divergence={self.divergence!r}, aggregation={self.aggregation!r}, temperature={self.temperature}, "
            f"reduction={self.reduction!r}, gather={self.gather}, impl={self.impl!r}"
        )
