"""Wasserstein distance of the Gaussians that fit two samples: their means and covariances."""

import torch
from jaxtyping import Float
from torch import Tensor

from mmdisentangle._core.checks import check_flag
from mmdisentangle._core.numerics import without_autocast
from mmdisentangle.functional._two_sets import SampleMask, centre, check_sets, counts_of


def gaussian_wasserstein(
    x: Float[Tensor, "N D"], y: Float[Tensor, "M D"], *, diagonal: bool = False, mask: SampleMask = None
) -> Float[Tensor, ""]:
    r"""Squared 2-Wasserstein distance between Gaussians with the means and covariances of two sets of codes.

    .. math:: W_2^2 = |\mu_x - \mu_y|^2
              + \mathrm{tr} \bigl( C_x + C_y - 2 (C_x^{1/2} C_y C_x^{1/2})^{1/2} \bigr), \qquad
              C_x = \frac{1}{N} \tilde X^\top \tilde X

    and with ``diagonal``, which leaves the covariances between features out, the sum over features of
    :math:`(\mu_x - \mu_y)^2 + (\sigma_x - \sigma_y)^2`. Use it to bring the shared codes of two modalities to one
    distribution in their own units; of what `maximum_mean_discrepancy` sees, it sees the first two moments. It is never
    more than the squared 2-Wasserstein distance of the samples themselves. (With N - 1 in place of N it is the Frechet
    distance of FID.)

    Args:
        x: first set, one row per sample.
        y: second set; the number of rows may differ.
        diagonal: compare variances only, at a cost of (N + M) D.
        mask: True = the sample counts; one ``[N]`` tensor for both sets, or a pair ``(mask_x, mask_y)``.

    Shape:
        x ``[N, D]``, y ``[M, D]``; result ``[]``.

    Returns:
        Squared units of x, >= 0; 0 where either set has fewer than two samples. float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, a mask not boolean.
        ShapeError: widths differ, or a mask does not match.
        SettingError: ``diagonal`` is neither True nor False.

    Numerics:
        Costs (N + M) D^2 + D^3. No root of a matrix is taken: with :math:`\tilde X = Q_x R_x` and the singular vectors
        U, V of :math:`R_x R_y^\top`, the second term is :math:`\|R_x - U V^\top R_y\|^2` (Procrustes), a sum of squares
        that keeps its digits near equality. The turn :math:`U V^\top` is the best one, so it counts as a constant in
        the gradient, which is exact where both covariances are regular, and finite everywhere: equal, singular, and
        constant sets included. For the same reason second derivatives are not those of the distance (those of
        ``diagonal`` are). On a GPU the singular value decomposition waits for the device; ``diagonal`` does not.

    Deviations:
        None.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> gaussian_wasserstein(x, 3 * x + 1), gaussian_wasserstein(x, x.flip(1)), gaussian_wasserstein(x, x)
        (tensor(6.), tensor(2.), tensor(0.))

    References:
        Dowson and Landau, "The Frechet Distance between Multivariate Normal Distributions", 1982,
        doi:10.1016/0047-259X(82)90077-X.
    """
    where = "gaussian_wasserstein"
    mask_x, mask_y = check_sets(where, x, y, mask)
    check_flag(where, "diagonal", diagonal)
    n, m, enough = counts_of(x, mask_x, y, mask_y)
    (x, mean_x), (y, mean_y) = centre(x, mask_x, n), centre(y, mask_y, m)
    if diagonal:
        spread = (_deviations(x, n) - _deviations(y, m)).square().sum()
    else:
        with without_autocast(x):
            spread = _procrustes(x / n.sqrt(), y / m.sqrt())
    value = (mean_x - mean_y).square().sum() + spread
    return torch.where(enough, value, torch.zeros_like(value))


def _deviations(x: Tensor, count: Tensor) -> Tensor:
    """Standard deviations of centred features; vector_norm, unlike a bare square root, has the gradient 0 at 0."""
    deviations: Tensor = torch.linalg.vector_norm(x, dim=0) / count.sqrt()
    return deviations


def _procrustes(x: Tensor, y: Tensor) -> Tensor:
    """Least ``||A - B||_F^2`` over all A and B with ``A^T A = x^T x`` and ``B^T B = y^T y``."""
    if x.numel() == 0 or y.numel() == 0:
        return x.sum() + y.sum()
    basis_x, basis_y = torch.linalg.qr(x.detach()).Q, torch.linalg.qr(y.detach()).Q
    x, y = basis_x.mT @ x, basis_y.mT @ y
    u, sizes, v = torch.linalg.svd((x @ y.mT).detach(), full_matrices=False)
    # Where a singular value is 0, any vectors would do: leave those directions alone.
    matched = sizes > torch.finfo(x.dtype).eps * max(x.shape[1], 1) * sizes.amax()
    turn = (u * matched) @ v
    turned = turn @ y
    distance: Tensor = (x - turned).square().sum() + (y - turn.mT @ turned).square().sum()
    return distance
