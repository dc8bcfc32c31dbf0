"""Distance correlation: dependence of every kind between paired codes, without a bandwidth to choose."""

from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_flag
from mmdisentangle._core.numerics import safe_sqrt
from mmdisentangle.functional._kernel_dependence import alignment, describe
from mmdisentangle.functional._paired_codes import check_pair


def distance_correlation(
    x: Float[Tensor, "N D1"],
    y: Float[Tensor, "N D2"],
    *,
    unbiased: bool = False,
    mask: Bool[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    r"""Correlation of the distances between samples, 0 in the population only where the codes are independent.

    .. math:: R = \sqrt{\frac{\langle A, B \rangle}{\|A\|_F \, \|B\|_F}}, \qquad
              A = U \bigl[ |x_i - x_j| \bigr]_{ij} U, \quad U = I - \tfrac{1}{n} 1 1^\top, \quad B \text{ of } y

    and with ``unbiased`` the ratio itself, an estimate of :math:`R^2`, of matrices without diagonals, centred so that
    its mean is near 0 on independent data. It is the CKA of the kernel :math:`-|a - b|`. Use it where `hsic` would ask
    for a bandwidth; it is 1 for any two sets that a shift, a turn and one scale carry into each other. The biased form
    is far above 0 on independent codes where samples are few and features many: prefer ``unbiased`` there.

    Args:
        x: first codes, one row per sample.
        y: second codes of the same samples.
        unbiased: the bias-corrected squared form, which may be negative.
        mask: True = the sample counts.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Returns:
        Without unit, 0 to 1; -1 to 1 with ``unbiased``. 0 where either set is constant, or with fewer than two samples
        (four for ``unbiased``). float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, the mask not boolean.
        ShapeError: the numbers of samples differ.
        SettingError: ``unbiased`` is neither True nor False.

    Numerics:
        Time n^2 (D1 + D2), memory n^2. Equal rows have distance 0 exactly; there, where the distance has no derivative,
        its gradient is 0. Scaling, shifting or turning either set changes nothing.

    Deviations:
        None.

    Example:
        >>> x = torch.tensor([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
        >>> distance_correlation(x, 3 * x), distance_correlation(x, x**2)
        (tensor(1.), tensor(0.5159))

    References:
        Szekely, Rizzo and Bakirov, "Measuring and Testing Dependence by Correlation of Distances", 2007,
        doi:10.1214/009053607000000505.
        Szekely and Rizzo, "Partial Distance Correlation with Methods for Dissimilarities", 2014,
        doi:10.1214/14-AOS1255.
    """
    check_pair("distance_correlation", x, y, mask)
    check_flag("distance_correlation", "unbiased", unbiased)
    a, b = (describe(codes, mask, kernel="distance", unbiased=unbiased) for codes in (x, y))
    ratio = alignment(a, b, mask, kernel="distance", unbiased=unbiased)
    return ratio if unbiased else safe_sqrt(ratio)
