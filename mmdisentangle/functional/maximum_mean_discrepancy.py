"""Maximum mean discrepancy: a distance between two samples by all their moments, through Gaussian kernels."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mmdisentangle._core.checks import check_flag, check_number
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.numerics import without_autocast, zero_where_invalid
from mmdisentangle.functional._paired_codes import centred
from mmdisentangle.functional._row_distances import median_square, squared_distances, valid_pairs
from mmdisentangle.functional._two_sets import SampleMask, check_sets, counts_of, join_masks

# Of the median distance.
DEFAULT_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


def check_bandwidths(where: str, bandwidths: object) -> None:
    """Require None, or positive numbers."""
    if bandwidths is None:
        return
    if isinstance(bandwidths, str) or not isinstance(bandwidths, Sequence) or not bandwidths:
        raise SettingError(
            f"{where}: bandwidths must be a sequence of positive numbers, got {bandwidths!r}; for one write (sigma,)."
        )
    for bandwidth in bandwidths:
        check_number(where, "every bandwidth", bandwidth, low=0, open_low=True)


def maximum_mean_discrepancy(
    x: Float[Tensor, "N D"],
    y: Float[Tensor, "M D"],
    *,
    bandwidths: Sequence[float] | None = None,
    unbiased: bool = True,
    mask: SampleMask = None,
) -> Float[Tensor, ""]:
    r"""Squared distance between the distributions of two sets of codes.

    .. math:: \mathrm{MMD}^2 = \overline{k(x, x')} + \overline{k(y, y')} - 2 \, \overline{k(x, y)}, \qquad
              k(a, b) = \frac{1}{K} \sum_{k=1}^{K} e^{-|a - b|^2 / 2 \sigma_k^2}

    where the bar is the mean over pairs, with ``unbiased`` over pairs of *different* samples in the first two terms.
    Use it to bring the shared codes of two modalities to one distribution where that of each feature alone is not
    enough: unlike `central_moment_discrepancy` it sees how features depend on each other, at a cost of
    :math:`(N + M)^2`.

    Args:
        x: first set, one row per sample.
        y: second set; the number of rows may differ.
        bandwidths: the :math:`\sigma_k`; where None, the median distance in the joined set times 1/4, 1/2, 1, 2 and 4
            (the mean one where more than half of the distances are 0).
        unbiased: mean 0 where the distributions are equal, so single values may be negative; else >= 0, and positive
            for any two different sets.
        mask: True = the sample counts; one ``[N]`` tensor for both sets, or a pair ``(mask_x, mask_y)``.

    Shape:
        x ``[N, D]``, y ``[M, D]``; result ``[]``.

    Returns:
        Without unit, at most 2; 0 where either set has fewer than two samples. float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, a mask not boolean.
        ShapeError: widths differ, or a mask does not match.
        SettingError: no bandwidth, or one that is not positive.

    Numerics:
        Time (N + M)^2 (D + K), memory (N + M)^2 K. Sums are taken of k - 1, whose constant cancels, so that codes close
        to each other keep their digits. Equal rows have distance 0 exactly, and finite gradients. The median counts as
        a constant in the gradient, and is taken without waiting for the device.

    Deviations:
        None.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [2.0]])
        >>> maximum_mean_discrepancy(x, x + 5, bandwidths=(1.0,)), maximum_mean_discrepancy(x, x, unbiased=False)
        (tensor(0.8963), tensor(0.))

    References:
        Gretton et al., "A Kernel Two-Sample Test", 2012, JMLR 13.
        Long et al., "Learning Transferable Features with Deep Adaptation Networks", 2015, arXiv:1502.02791 (several
        bandwidths).
    """
    where = "maximum_mean_discrepancy"
    mask_x, mask_y = check_sets(where, x, y, mask)
    check_bandwidths(where, bandwidths)
    check_flag(where, "unbiased", unbiased)
    size = x.shape[0]
    both = join_masks(x, mask_x, y, mask_y)
    joined = centred(torch.cat((x, y)), both)
    with without_autocast(joined):
        distances = squared_distances(joined)
    others = valid_pairs(distances, both)
    gram = zero_where_invalid(mean_kernel(distances, others, bandwidths), others)
    n, m, enough = counts_of(x, mask_x, y, mask_y)
    # The diagonal is 0.
    pairs_x, pairs_y = (n * (n - 1), m * (m - 1)) if unbiased else (n * n, m * m)
    within = gram[:size, :size].sum() / pairs_x + gram[size:, size:].sum() / pairs_y
    value = within - 2 * gram[:size, size:].sum() / (n * m)
    return torch.where(enough, value, torch.zeros_like(value))


def mean_kernel(distances: Tensor, others: Tensor, bandwidths: Sequence[float] | None) -> Tensor:
    """Mean over bandwidths of the Gaussian kernel, minus 1, from squared distances; ``others`` are the valid pairs."""
    if bandwidths is None:
        square = median_square(distances.detach(), others)
        scaled, bandwidths = distances / square, DEFAULT_BANDWIDTHS
    else:
        scaled = distances
    total = torch.zeros_like(distances)
    for bandwidth in bandwidths:
        total = total + torch.expm1(-scaled / (2 * bandwidth**2))
    return total / len(bandwidths)
