"""Barlow Twins as a module."""

from torch import Tensor, nn

from mmdisentangle._core.checks import check_number
from mmdisentangle._core.distributed import gather_pairs
from mmdisentangle.functional.barlow_twins import barlow_twins


class BarlowTwinsLoss(nn.Module):
    r"""Cross-correlation brought to the identity: `mmdisentangle.functional.barlow_twins` with its settings.

    .. math:: L = \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \ne j} C_{ij}^2

    Args:
        redundancy_weight: :math:`\lambda`.
        gather: take the correlations over the samples of all processes.

    Shape:
        x, y ``[N, D]``, mask ``[N]``; result ``[]``.

    Raises:
        SettingError: a negative weight.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = BarlowTwinsLoss()
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> loss(x, 3 * x), loss(x, -x)
        (tensor(0.), tensor(4.))

    References:
        Zbontar et al., "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", 2021, arXiv:2103.03230.
    """

    def __init__(self, *, redundancy_weight: float = 0.005, gather: bool = False) -> None:
        super().__init__()
        check_number("BarlowTwinsLoss", "redundancy_weight", redundancy_weight, low=0)
        self.redundancy_weight, self.gather = redundancy_weight, gather

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss; ``mask [N]`` is True where the sample has both codes."""
        if self.gather:
            x, y, mask = gather_pairs(x, y, mask)
        return barlow_twins(x, y, redundancy_weight=self.redundancy_weight, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"redundancy_weight={self.redundancy_weight}, gather={self.gather}"
