"""Centred kernel alignment: HSIC without units, between 0 and 1."""

from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle.functional._kernel_dependence import DependenceKernel, alignment, check_dependence, describe
from mmdisentangle.functional._paired_codes import check_pair


def cka(
    x: Float[Tensor, "N D1"],
    y: Float[Tensor, "N D2"],
    *,
    kernel: DependenceKernel = "linear",
    unbiased: bool = False,
    mask: Bool[Tensor, " N"] | None = None,
    bandwidth: float | None = None,
) -> Float[Tensor, ""]:
    r"""Dependence between paired codes in parts of what each depends on itself.

    .. math:: \mathrm{CKA} = \frac{\mathrm{HSIC}(x, y)}{\sqrt{\mathrm{HSIC}(x, x) \, \mathrm{HSIC}(y, y)}}

    Use it as a loss where the codes' scale is free to change, or to compare representations. Scaling, shifting or
    turning either set changes nothing (with ``"rbf"`` and a given bandwidth: shifting and turning). The biased form
    comes near 1 for any two sets with many more features than samples; ``unbiased`` is near 0 for independent ones.

    Args:
        x: first codes, one row per sample.
        y: second codes of the same samples.
        kernel: ``"linear"`` or ``"rbf"``, as in `hsic`.
        unbiased: ratio of the unbiased estimates, which may be negative.
        mask: True = the sample counts.
        bandwidth: sigma of the Gaussian kernel; where None, the median distance in each set.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Returns:
        Without unit, 0 to 1; -1 to 1 with ``unbiased``. 0 where either set is constant, or with fewer than two samples
        (four for ``unbiased``). float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, the mask not boolean.
        ShapeError: the numbers of samples differ.
        SettingError: an unknown kernel; a bandwidth that is not positive, or one for the linear kernel.

    Numerics:
        Codes of any size give the same value: neither the fourth powers in HSIC nor their product leave the range of
        float32. Constant sets have finite gradients. What counts as constant is what rounding leaves of it.

    Deviations:
        None.

    Example:
        >>> x = torch.tensor([[1.0], [2.0], [3.0], [6.0]])
        >>> cka(x, 2 * x), cka(x, x**2), cka(x, x**2, kernel="rbf")
        (tensor(1.), tensor(0.9664), tensor(0.9803))

    References:
        Cortes et al., "Algorithms for Learning Kernels Based on Centered Alignment", 2012, arXiv:1203.0550.
        Kornblith et al., "Similarity of Neural Network Representations Revisited", 2019, arXiv:1905.00414.
    """
    check_pair("cka", x, y, mask)
    check_dependence("cka", kernel, unbiased, bandwidth)
    a, b = (describe(codes, mask, kernel=kernel, unbiased=unbiased, bandwidth=bandwidth) for codes in (x, y))
    return alignment(a, b, mask, kernel=kernel, unbiased=unbiased)
