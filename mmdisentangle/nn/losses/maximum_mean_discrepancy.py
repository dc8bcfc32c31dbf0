"""Maximum mean discrepancy as a module, between two sets or between all pairs of modalities."""

from collections.abc import Sequence

from torch import Tensor

from mmdisentangle._core.checks import check_flag
from mmdisentangle.functional._two_sets import SampleMask
from mmdisentangle.functional.maximum_mean_discrepancy import check_bandwidths, maximum_mean_discrepancy
from mmdisentangle.nn.losses._pairwise import TwoSetLoss


class MaximumMeanDiscrepancy(TwoSetLoss):
    r"""Squared distance between distributions: `mmdisentangle.functional.maximum_mean_discrepancy` with its settings.

    .. math:: \mathrm{MMD}^2 = \overline{k(x, x')} + \overline{k(y, y')} - 2 \, \overline{k(x, y)}

    Call it on two sets, or ``pairwise`` on a mapping of modalities.

    Args:
        bandwidths: of the Gaussian kernels; where None, the median distance of the two sets times 1/4, 1/2, 1, 2, 4.
        unbiased: mean 0 where the distributions are equal, values may be negative.
        gather: compare the samples of all processes.

    Shape:
        x ``[N, D]``, y ``[M, D]``; result ``[]``.

    Raises:
        SettingError: no bandwidth, or one that is not positive.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = MaximumMeanDiscrepancy(bandwidths=(1.0,), unbiased=False)
        >>> x = torch.tensor([[0.0], [1.0]])
        >>> loss(x, x), loss.pairwise({"text": x, "audio": x + 9})
        (tensor(0.), tensor(1.6065))

    References:
        Gretton et al., "A Kernel Two-Sample Test", 2012, JMLR 13.
    """

    def __init__(
        self, *, bandwidths: Sequence[float] | None = None, unbiased: bool = True, gather: bool = False
    ) -> None:
        super().__init__(gather=gather)
        check_bandwidths("MaximumMeanDiscrepancy", bandwidths)
        check_flag("MaximumMeanDiscrepancy", "unbiased", unbiased)
        self.bandwidths = None if bandwidths is None else tuple(bandwidths)
        self.unbiased = unbiased

    def _distance(self, x: Tensor, y: Tensor, mask: SampleMask) -> Tensor:
        return maximum_mean_discrepancy(x, y, bandwidths=self.bandwidths, unbiased=self.unbiased, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"bandwidths={self.bandwidths}, unbiased={self.unbiased}, gather={self.gather}"
