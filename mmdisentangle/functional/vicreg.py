"""VICReg: paired codes agree, every feature varies, no two features say the same."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_number, check_width
from mmdisentangle._core.numerics import at_least_float32, safe_sqrt, without_autocast, zero_where_invalid
from mmdisentangle.functional._paired_codes import centred, check_pair, count_samples, product_norm


class VICReg(NamedTuple):
    """What `vicreg` returns, all 0-dim.

    Attributes:
        total: weighted sum of the terms.
        invariance: mean squared difference of the pairs.
        variance: how far the deviations of the features fall short of the one wanted.
        covariance: mean of the squared covariances between features.

    Example:
        >>> collapsed = torch.ones(4, 2)
        >>> found = vicreg(collapsed, collapsed)
        >>> found.invariance, found.variance, found.covariance
        (tensor(0.), tensor(1.), tensor(0.))
    """

    total: Tensor
    invariance: Tensor
    variance: Tensor
    covariance: Tensor


def vicreg(
    x: Float[Tensor, "N D"],
    y: Float[Tensor, "N D"],
    *,
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    deviation: float = 1.0,
    mask: Bool[Tensor, " N"] | None = None,
) -> VICReg:
    r"""Agreement of paired codes without collapse.

    .. math:: \begin{aligned}
        \text{invariance} &= \mathrm{mean}_{n,d} (x - y)^2 \\
        \text{variance} &= \tfrac12 \sum_{z \in \{x, y\}} \mathrm{mean}_d \max(0, \gamma - \mathrm{std}(z_d)) \\
        \text{covariance} &= \sum_{z \in \{x, y\}} \tfrac1D \sum_{i \ne j} \mathrm{cov}(z)_{ij}^2 \end{aligned}

    Use it like `barlow_twins` where the codes should be equal in their units, too. Each set of codes is kept from
    collapse by itself, so the weights can be set term by term.

    Args:
        x: codes of one modality, one row per sample.
        y: codes of the other modality, of the same samples.
        invariance_weight: of the first term.
        variance_weight: of the second term.
        covariance_weight: of the third term.
        deviation: :math:`\gamma`, the standard deviation below which a feature costs.
        mask: True = the sample has both codes.

    Shape:
        x, y ``[N, D]``, mask ``[N]``; results ``[]``.

    Returns:
        `VICReg`. Invariance in squared units of the codes, variance in units, covariance in units to the fourth power;
        variance and covariance are 0 with fewer than two samples. float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, the mask not boolean.
        ShapeError: numbers of samples or widths differ.
        SettingError: a negative weight or deviation.

    Numerics:
        A constant feature has the deviation 0, with gradient 0. Fewer samples than features cost N^2 D instead of
        N D^2.

    Deviations:
        Means and halves are those of the released code: the paper sums the invariance over features. The released
        code adds 1e-4 under the root.

    Example:
        >>> x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> vicreg(x, x).total, vicreg(x, x[:, :1].expand(4, 2)).covariance
        (tensor(0.), tensor(1.7778))

    References:
        Bardes et al., "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", 2022,
        arXiv:2105.04906.
    """
    check_pair("vicreg", x, y, mask)
    check_width("vicreg", "y", y, x.shape[1])
    check_settings("vicreg", invariance_weight, variance_weight, covariance_weight, deviation)
    width = max(x.shape[1], 1)
    x, y = (at_least_float32(zero_where_invalid(codes, mask)) for codes in (x, y))
    count = count_samples(x, mask)
    invariance = (x - y).square().sum() / (count.clamp(min=1) * width)
    variance, covariance = torch.zeros_like(invariance), torch.zeros_like(invariance)
    for codes in (centred(x, mask), centred(y, mask)):
        variances = codes.square().sum(0) / (count - 1).clamp(min=1)
        variance = variance + (deviation - safe_sqrt(variances)).relu().sum() / (2 * width)
        with without_autocast(codes):
            squares = product_norm(codes, codes) / (count - 1).clamp(min=1).square()
        covariance = covariance + (squares - variances.square().sum()) / width
    variance, covariance = (torch.where(count >= 2, term, torch.zeros_like(term)) for term in (variance, covariance))
    total = invariance_weight * invariance + variance_weight * variance + covariance_weight * covariance
    return VICReg(total, invariance, variance, covariance)


def check_settings(
    where: str, invariance_weight: float, variance_weight: float, covariance_weight: float, deviation: float
) -> None:
    """Require weights and a deviation that are not negative."""
    check_number(where, "invariance_weight", invariance_weight, low=0)
    check_number(where, "variance_weight", variance_weight, low=0)
    check_number(where, "covariance_weight", covariance_weight, low=0)
    check_number(where, "deviation", deviation, low=0)
