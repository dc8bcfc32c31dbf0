"""Wasserstein distance of fitted Gaussians as a module, between two sets or between all pairs of modalities."""

from torch import Tensor

from mmdisentangle._core.checks import check_flag
from mmdisentangle.functional._two_sets import SampleMask
from mmdisentangle.functional.gaussian_wasserstein import gaussian_wasserstein
from mmdisentangle.nn.losses._pairwise import TwoSetLoss


class GaussianWassersteinLoss(TwoSetLoss):
    r"""Distance between means and covariances: `mmdisentangle.functional.gaussian_wasserstein` with its settings.

    .. math:: W_2^2 = |\mu_x - \mu_y|^2 + \mathrm{tr} \bigl( C_x + C_y - 2 (C_x^{1/2} C_y C_x^{1/2})^{1/2} \bigr)

    Call it on two sets, or ``pairwise`` on a mapping of modalities.

    Args:
        diagonal: compare means and standard deviations of every feature only.
        gather: fit the Gaussians to the samples of all processes.

    Shape:
        x ``[N, D]``, y ``[M, D]``; result ``[]``.

    Raises:
        SettingError: ``diagonal`` is neither True nor False.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = GaussianWassersteinLoss()
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> loss(x, 2 * x), loss.pairwise({"text": x, "audio": x + 3})
        (tensor(1.), tensor(9.))

    References:
        Dowson and Landau, "The Frechet Distance between Multivariate Normal Distributions", 1982,
        doi:10.1016/0047-259X(82)90077-X.
    """

    def __init__(self, *, diagonal: bool = False, gather: bool = False) -> None:
        super().__init__(gather=gather)
        check_flag("GaussianWassersteinLoss", "diagonal", diagonal)
        self.diagonal = diagonal

    def _distance(self, x: Tensor, y: Tensor, mask: SampleMask) -> Tensor:
        return gaussian_wasserstein(x, y, diagonal=self.diagonal, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"diagonal={self.diagonal}, gather={self.gather}"
