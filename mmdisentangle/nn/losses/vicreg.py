"""VICReg as a module."""

from torch import Tensor, nn

from mmdisentangle._core.distributed import gather_pairs
from mmdisentangle.functional.vicreg import VICReg, check_settings, vicreg


class VICRegLoss(nn.Module):
    r"""Agreement of paired codes without collapse: `mmdisentangle.functional.vicreg` with its settings.

    .. math:: L = \lambda \, \text{invariance} + \mu \, \text{variance} + \nu \, \text{covariance}

    Args:
        invariance_weight: :math:`\lambda`.
        variance_weight: :math:`\mu`.
        covariance_weight: :math:`\nu`.
        deviation: standard deviation below which a feature costs.
        gather: take the statistics over the samples of all processes.

    Shape:
        x, y ``[N, D]``, mask ``[N]``; results ``[]``.

    Returns:
        `functional.VICReg`: total, and its terms without weights.

    Raises:
        SettingError: a negative weight or deviation.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = VICRegLoss()
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> loss(x, x / 2).invariance, loss(x, 0 * x).variance
        (tensor(0.2500), tensor(0.5000))

    References:
        Bardes et al., "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", 2022,
        arXiv:2105.04906.
    """

    def __init__(
        self,
        *,
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
        deviation: float = 1.0,
        gather: bool = False,
    ) -> None:
        super().__init__()
        check_settings("VICRegLoss", invariance_weight, variance_weight, covariance_weight, deviation)
        self.invariance_weight, self.variance_weight = invariance_weight, variance_weight
        self.covariance_weight, self.deviation, self.gather = covariance_weight, deviation, gather

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> VICReg:
        """Return total and terms; ``mask [N]`` is True where the sample has both codes."""
        if self.gather:
            x, y, mask = gather_pairs(x, y, mask)
        return vicreg(
            x,
            y,
            invariance_weight=self.invariance_weight,
            variance_weight=self.variance_weight,
            covariance_weight=self.covariance_weight,
            deviation=self.deviation,
            mask=mask,
        )

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return (
            f"invariance_weight={self.invariance_weight}, variance_weight={self.variance_weight}, "
            f"covariance_weight={self.covariance_weight}, deviation={self.deviation}, gather={self.gather}"
        )
