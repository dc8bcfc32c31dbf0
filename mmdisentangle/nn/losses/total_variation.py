"""Temporal total variation as a module."""

from torch import Tensor, nn

from mmdisentangle._core.checks import check_count
from mmdisentangle._core.distributed import count_rows, mean_over_processes
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.reduction import Reduction, check_reduction
from mmdisentangle.functional.total_variation import total_variation, valid_differences


class TotalVariationLoss(nn.Module):
    r"""Mean absolute difference of neighbouring frames: `mmdisentangle.functional.total_variation` with its settings.

    .. math:: L = \mathrm{mean}_{(b,t,d)}\, | x_{b,t+1,d} - x_{b,t,d} |

    Args:
        order: of the differences; 2 leaves constant drift free.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        gather: average over the samples of all processes.

    Shape:
        x ``[B, T, D]``, mask ``[B, T]``; result ``[]``, or ``[B, T - order]`` for ``reduction="none"``.

    Raises:
        SettingError: ``order`` below 1; an unknown reduction, or with ``gather`` one that is no mean.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = TotalVariationLoss()
        >>> loss(torch.tensor([[[0.0], [1.0], [5.0]]]))
        tensor(2.5000)

    References:
        Rudin, Osher and Fatemi, "Nonlinear Total Variation Based Noise Removal Algorithms", 1992,
        doi:10.1016/0167-2789(92)90242-F.
    """

    def __init__(self, *, order: int = 1, reduction: Reduction = "mean", gather: bool = False) -> None:
        super().__init__()
        where = "TotalVariationLoss"
        check_count(where, "order", order)
        check_reduction(where, reduction)
        if gather and reduction != "mean":
            raise SettingError(f"{where}: gather=True needs reduction='mean', got {reduction!r}.")
        self.order, self.gather = order, gather
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss."""
        loss = total_variation(x, mask, order=self.order, reduction=self.reduction)
        if self.gather:
            loss = mean_over_processes(loss, count_rows(x[:, self.order :], valid_differences(mask, self.order)))
        return loss

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"order={self.order}, reduction={self.reduction!r}, gather={self.gather}"
