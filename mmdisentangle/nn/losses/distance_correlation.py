"""Distance correlation as a module."""

from torch import Tensor, nn

from mmdisentangle._core.checks import check_flag
from mmdisentangle._core.distributed import gather_pairs
from mmdisentangle.functional.distance_correlation import distance_correlation


class DistanceCorrelationLoss(nn.Module):
    r"""Dependence of every kind between paired codes: `mmdisentangle.functional.distance_correlation`.

    .. math:: R = \sqrt{\langle A, B \rangle / (\|A\|_F \, \|B\|_F)}, \quad
              A, B \text{ the centred distances within } x, y

    Args:
        unbiased: the bias-corrected :math:`R^2`, near 0 on independent data, may be negative; needs four samples.
        gather: take the batch over all processes.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Raises:
        SettingError: ``unbiased`` is neither True nor False.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = DistanceCorrelationLoss()
        >>> x = torch.tensor([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
        >>> loss(x, x**2)
        tensor(0.5159)

    References:
        Szekely, Rizzo and Bakirov, "Measuring and Testing Dependence by Correlation of Distances", 2007,
        doi:10.1214/009053607000000505.
    """

    def __init__(self, *, unbiased: bool = False, gather: bool = False) -> None:
        super().__init__()
        check_flag("DistanceCorrelationLoss", "unbiased", unbiased)
        self.unbiased, self.gather = unbiased, gather

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss; ``mask [N]`` is True where the sample has both codes."""
        if self.gather:
            x, y, mask = gather_pairs(x, y, mask)
        return distance_correlation(x, y, unbiased=self.unbiased, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"unbiased={self.unbiased}, gather={self.gather}"
