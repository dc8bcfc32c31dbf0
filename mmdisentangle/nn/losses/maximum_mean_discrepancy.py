"""Maximum mean discrepancy as a module, between two sets or between all pairs of modalities."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mmdisentangle._core.checks import check_flag
from mmdisentangle._core.distributed import gather_samples
from mmdisentangle.functional._two_sets import SampleMask
from mmdisentangle.functional.maximum_mean_discrepancy import check_bandwidths, maximum_mean_discrepancy
from mmdisentangle.nn.losses._pairwise import mean_over_pairs, sets_of_modalities


class MaximumMeanDiscrepancy(nn.Module):
    r"""Squared distance between distributions: `mmdisentangle.functional.maximum_mean_discrepancy` with its settings.

    .. math:: \mathrm{MMD}^2 = \overline{k(x, x')} + \overline{k(y, y')} - 2 \, \overline{k(x, y)}

    Call it on two sets, or `pairwise` on a mapping of modalities.

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
        super().__init__()
        check_bandwidths("MaximumMeanDiscrepancy", bandwidths)
        check_flag("MaximumMeanDiscrepancy", "unbiased", unbiased)
        self.bandwidths = None if bandwidths is None else tuple(bandwidths)
        self.unbiased, self.gather = unbiased, gather

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
            self._distance, sets_of_modalities("MaximumMeanDiscrepancy.pairwise", codes, masks, gather=self.gather)
        )

    def _distance(self, x: Tensor, y: Tensor, mask: SampleMask) -> Tensor:
        return maximum_mean_discrepancy(x, y, bandwidths=self.bandwidths, unbiased=self.unbiased, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"bandwidths={self.bandwidths}, unbiased={self.unbiased}, gather={self.gather}"
