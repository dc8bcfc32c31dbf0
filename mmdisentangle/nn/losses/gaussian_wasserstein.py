"""Wasserstein distance of fitted Gaussians as a module, between two sets or between all pairs of modalities."""

from collections.abc import Mapping

from torch import Tensor, nn

from mmdisentangle._core.checks import check_flag
from mmdisentangle._core.distributed import gather_samples
from mmdisentangle.functional._two_sets import SampleMask
from mmdisentangle.functional.gaussian_wasserstein import gaussian_wasserstein
from mmdisentangle.nn.losses._pairwise import mean_over_pairs, sets_of_modalities


class GaussianWassersteinLoss(nn.Module):
    r"""Distance between means and covariances: `mmdisentangle.functional.gaussian_wasserstein` with its settings.

    .. math:: W_2^2 = |\mu_x - \mu_y|^2 + \mathrm{tr} \bigl( C_x + C_y - 2 (C_x^{1/2} C_y C_x^{1/2})^{1/2} \bigr)

    Call it on two sets, or `pairwise` on a mapping of modalities.

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
        super().__init__()
        check_flag("GaussianWassersteinLoss", "diagonal", diagonal)
        self.diagonal, self.gather = diagonal, gather

    def forward(self, x: Tensor, y: Tensor, mask: SampleMask = None) -> Tensor:
        """Distance of two sets; ``mask`` is one ``[N]`` tensor for both, or a pair."""
        mask_x, mask_y = mask if isinstance(mask, tuple) else (mask, mask)
        if self.gather:
            (x, mask_x), (y, mask_y) = gather_samples(x, mask_x), gather_samples(y, mask_y)
        return self._distance(x, y, mask=(mask_x, mask_y))

    def pairwise(self, codes: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None) -> Tensor:
        """Mean distance over all pairs of modalities.

        Args:
            codes: ``[B, D]`` per modality.
            masks: ``[B]`` per modality, True = the sample has it. A pair without two samples of both is left out.
        """
        return mean_over_pairs(
            self._distance, sets_of_modalities("GaussianWassersteinLoss.pairwise", codes, masks, gather=self.gather)
        )

    def _distance(self, x: Tensor, y: Tensor, mask: SampleMask) -> Tensor:
        return gaussian_wasserstein(x, y, diagonal=self.diagonal, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"diagonal={self.diagonal}, gather={self.gather}"
