"""Hilbert-Schmidt independence criterion: how much two sets of codes of the same samples depend on each other."""

from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_flag
from mmdisentangle._core.numerics import at_least_float32, unit_vectors, zero_where_invalid
from mmdisentangle.functional._kernel_dependence import DependenceKernel, check_dependence, dependence, describe
from mmdisentangle.functional._paired_codes import check_pair


def hsic(
    x: Float[Tensor, "N D1"],
    y: Float[Tensor, "N D2"],
    *,
    kernel: DependenceKernel = "linear",
    unbiased: bool = False,
    mask: Bool[Tensor, " N"] | None = None,
    bandwidth: float | None = None,
    normalize: bool = False,
) -> Float[Tensor, ""]:
    r"""Dependence between paired codes, to be driven to zero.

    .. math:: \mathrm{HSIC} = \frac{\mathrm{tr}(U K_x U K_y)}{(n - 1)^2}, \qquad U = I - \tfrac{1}{n} 1 1^\top

    and with ``unbiased``, the diagonals of :math:`\tilde K` zero,

    .. math:: \frac{1}{n (n - 3)} \Bigl[ \mathrm{tr}(\tilde K_x \tilde K_y)
              + \frac{1^\top \tilde K_x 1 \, 1^\top \tilde K_y 1}{(n - 1)(n - 2)}
              - \frac{2}{n - 2} 1^\top \tilde K_x \tilde K_y 1 \Bigr].

    The linear kernel sees linear dependence only: its HSIC is the sum of the squared covariances of all pairs of
    features. The Gaussian one, :math:`\exp(-|a - b|^2 / 2 \sigma^2)`, sees every kind, at a cost of n^2. The biased
    estimate is positive on independent data (D1 D2 / (n - 1) for the linear kernel and unit variances), so at small n
    it mostly measures the batch: prefer ``unbiased``, or `cka` for a number between 0 and 1.

    Args:
        x: first codes, one row per sample.
        y: second codes of the same samples.
        kernel: ``"linear"`` or ``"rbf"``.
        unbiased: the estimator of Song et al.; its mean is 0 on independent data, so single values may be negative.
        mask: True = the sample counts; n is the number of samples that do.
        bandwidth: sigma of the Gaussian kernel for both sets; where None, for each set the median distance between its
            samples (the mean one where more than half of the distances are 0).
        normalize: scale every code to length one first. Then the biased linear value is at most (n / (n - 1))^2 in any
            width, and lengths of codes no longer count; neither does the value stay the same when all codes are
            shifted.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Returns:
        Squared units of x times squared units of y for the linear kernel, without unit for ``"rbf"``; 0 with fewer than
        two samples (four for ``unbiased``). float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, the mask not boolean.
        ShapeError: the numbers of samples differ.
        SettingError: an unknown kernel; a bandwidth that is not positive, or one for the linear kernel.

    Numerics:
        The linear kernel costs n D1 D2 and never forms an n x n matrix, unless n < min(D1, D2), where that is cheaper.
        With centred codes the row sums of :math:`\tilde K` are minus the squared lengths, so the same holds for
        ``unbiased``. Equal rows have distance 0 exactly, and finite gradients. The median counts as a constant in the
        gradient, and is taken without waiting for the device.

    Deviations:
        MEA prints the biased linear form, which is the default.

    Example:
        >>> x = torch.tensor([[1.0], [2.0], [3.0], [6.0]])
        >>> hsic(x, 2 * x), hsic(x, 2 * x, kernel="rbf")
        (tensor(87.1111), tensor(0.1713))

    References:
        Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", 2005,
        doi:10.1007/11564089_7.
        Song et al., "Feature Selection via Dependence Maximization", 2012, JMLR 13.
    """
    check_pair("hsic", x, y, mask)
    check_dependence("hsic", kernel, unbiased, bandwidth)
    check_flag("hsic", "normalize", normalize)
    if normalize:
        x, y = (unit_vectors(at_least_float32(zero_where_invalid(codes, mask))) for codes in (x, y))
    a, b = (describe(codes, mask, kernel=kernel, unbiased=unbiased, bandwidth=bandwidth) for codes in (x, y))
    return dependence(a, b, mask, kernel=kernel, unbiased=unbiased)
