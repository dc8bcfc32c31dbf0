"""Correlation alignment (CORAL): a distance between two samples by their covariances."""

import torch
from jaxtyping import Float
from torch import Tensor

from mmdisentangle._core.numerics import without_autocast
from mmdisentangle.functional._paired_codes import drop_rounding
from mmdisentangle.functional._two_sets import SampleMask, centre, check_sets, counts_of


def coral(x: Float[Tensor, "N D"], y: Float[Tensor, "M D"], *, mask: SampleMask = None) -> Float[Tensor, ""]:
    r"""Squared distance between the covariances of two sets of codes.

    .. math:: L = \frac{1}{4 D^2} \| C_x - C_y \|_F^2, \qquad C_x = \frac{1}{N - 1} \tilde X^\top \tilde X

    Use it to give the shared codes of two modalities the same second moments, cheaply and without a bandwidth. Means
    are not compared: add `central_moment_discrepancy`, or take `gaussian_wasserstein`, where they should be.

    Args:
        x: first set, one row per sample.
        y: second set; the number of rows may differ.
        mask: True = the sample counts; one ``[N]`` tensor for both sets, or a pair ``(mask_x, mask_y)``.

    Shape:
        x ``[N, D]``, y ``[M, D]``; result ``[]``.

    Returns:
        Fourth power of the units of x; 0 where either set has fewer than two samples. float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, a mask not boolean.
        ShapeError: widths differ, or a mask does not match.

    Numerics:
        Costs (N + M) D^2. With fewer samples than features, N + M < D, the products of all samples take the place of
        the covariances, which costs (N + M)^2 D; values that are no more than their rounding are 0 then, with the
        derivatives of the true value. (A compiled graph must serve every N, and has the other form.)

    Deviations:
        None.

    Example:
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> coral(x, 2 * x), coral(x, x + 3)
        (tensor(9.), tensor(0.))

    References:
        Sun and Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation", 2016, arXiv:1607.01719.
    """
    mask_x, mask_y = check_sets("coral", x, y, mask)
    n, m, enough = counts_of(x, mask_x, y, mask_y)
    (x, _), (y, _) = centre(x, mask_x, n), centre(y, mask_y, m)
    with without_autocast(x):
        if not torch.compiler.is_compiling() and x.shape[0] + y.shape[0] < x.shape[1]:
            distance = _by_samples(x, y, n - 1, m - 1)
        else:
            distance = (x.mT @ x / (n - 1) - y.mT @ y / (m - 1)).square().sum()
    value = distance / (4 * max(x.shape[1], 1) ** 2)
    return torch.where(enough, value, torch.zeros_like(value))


def _by_samples(x: Tensor, y: Tensor, n: Tensor, m: Tensor) -> Tensor:
    """The squared norm multiplied out; every term is a squared norm of products of samples."""
    own = (x @ x.mT / n).square().sum() + (y @ y.mT / m).square().sum()
    rounding = torch.finfo(x.dtype).eps * x.shape[1] ** 0.5 * own.detach()
    return drop_rounding(own - 2 * (x @ y.mT).square().sum() / (n * m), rounding)
