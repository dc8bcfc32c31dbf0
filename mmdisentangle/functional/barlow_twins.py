"""Barlow Twins: the cross-correlation of paired codes is brought to the identity."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_number, check_width
from mmdisentangle._core.numerics import unit_vectors, without_autocast
from mmdisentangle.functional._paired_codes import centred, check_pair, count_samples, product_norm


def barlow_twins(
    x: Float[Tensor, "N D"],
    y: Float[Tensor, "N D"],
    *,
    redundancy_weight: float = 0.005,
    mask: Bool[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    r"""Distance of the cross-correlation from the identity.

    .. math:: L = \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \ne j} C_{ij}^2

    with C the Pearson correlations over the batch. Use it to make feature i of one modality say what feature i of the
    other says, and no two features the same; it needs no negatives and is the same in any units.

    Args:
        x: codes of one modality, one row per sample.
        y: codes of the other modality, of the same samples.
        redundancy_weight: :math:`\lambda`, weight of the entries off the diagonal.
        mask: True = the sample has both codes.

    Shape:
        x, y ``[N, D]``, mask ``[N]``; result ``[]``.

    Returns:
        Without unit; 0 with fewer than two samples. float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, the mask not boolean.
        ShapeError: numbers of samples or widths differ.
        SettingError: a negative weight.

    Numerics:
        A constant feature has correlation 0 with everything: it costs 1, and its gradient is that of a deviation held
        at a constant, finite and not 0. Fewer samples than features cost N^2 D instead of N D^2.

    Deviations:
        The released code divides by standard deviations with an epsilon under the root.

    Example:
        >>> x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> barlow_twins(x, 3 * x), barlow_twins(x, x.flip(1), redundancy_weight=0.5)
        (tensor(0.), tensor(3.))

    References:
        Zbontar et al., "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", 2021, arXiv:2103.03230.
    """
    check_pair("barlow_twins", x, y, mask)
    check_width("barlow_twins", "y", y, x.shape[1])
    check_number("barlow_twins", "redundancy_weight", redundancy_weight, low=0)
    x, y = (unit_vectors(centred(codes, mask).mT).mT for codes in (x, y))
    own = (x * y).sum(0)
    with without_autocast(x):
        others = product_norm(x, y) - own.square().sum()
    loss = (1 - own).square().sum() + redundancy_weight * others
    return torch.where(count_samples(x, mask) >= 2, loss, torch.zeros_like(loss))
