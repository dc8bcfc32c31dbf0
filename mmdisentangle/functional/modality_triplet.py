"""Triplets across modalities: codes of one class should be alike in all modalities, those of others should not."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmdisentangle._core.checks import check_axes, check_float, check_mask, check_number, check_tensor
from mmdisentangle._core.errors import DtypeError, ShapeError
from mmdisentangle._core.numerics import at_least_float32, unit_vectors, without_autocast, zero_where_invalid


def modality_triplet_loss(
    features: Float[Tensor, "N D"],
    target: Int[Tensor, " N"],
    modality: Int[Tensor, " N"],
    *,
    margin: float = 0.2,
    mask: Bool[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    r"""Cosine margin between positives of another modality and negatives of the same one.

    .. math:: L = \frac{1}{|S|} \sum_{(i,j,k) \in S} \max \bigl( 0,\; m - \cos(f_i, f_j) + \cos(f_i, f_k) \bigr)

    where :math:`S` holds all triplets in which j is of the class of i and another modality, and k of the modality of i
    and another class. Use it on shared codes that should keep the task and drop the modality: a code must be nearer to
    every code of its class in other modalities than to any of another class in its own.

    Args:
        features: codes of all modalities under each other; only their direction counts.
        target: class of each row, any integers. For regression, classes of your choice: ``(score > 0).long()``.
        modality: number of each row's modality, any integers.
        margin: how much nearer, in units of the cosine.
        mask: True = the row counts.

    Shape:
        features ``[N, D]`` with N the number of samples times that of modalities, the others ``[N]``; result ``[]``.

    Returns:
        Units of the cosine, 0 to ``2 + margin``; 0 without a triplet. float32 for half-precision input.

    Raises:
        DtypeError: features are not floating, target or modality not integer, mask not boolean.
        ShapeError: numbers of rows differ.
        SettingError: the margin is negative or not finite.

    Numerics:
        Exact over all triplets, of which there may be N^3 / 4, in time N^2 (D + log N) and memory N^2: every row is
        sorted once, and running counts tell in how many active triplets each cosine stands. A zero feature has cosine 0
        with every other and a finite gradient.

    Deviations:
        The released code of DMD goes through the pairs of rows in a Python loop; the set of triplets is that of the
        paper.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
        >>> target, modality = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
        >>> modality_triplet_loss(features, target, modality)
        tensor(0.4000)

    References:
        Li, Wang and Cui, "Decoupled Multimodal Distilling for Emotion Recognition", 2023, arXiv:2303.13802.
    """
    where = "modality_triplet_loss"
    check_float(where, "features", features, "N D")
    for name, numbers in (("target", target), ("modality", modality)):
        check_tensor(where, name, numbers)
        if numbers.is_floating_point() or numbers.dtype == torch.bool:
            raise DtypeError(f"{where}: {name} must hold integers (int64), got {numbers.dtype}.")
        check_axes(where, name, numbers, "N")
        if numbers.shape[0] != features.shape[0]:
            raise ShapeError(
                f"{where}: {name} must have one entry for each of the {features.shape[0]} rows of features, "
                f"got {numbers.shape[0]}."
            )
    check_number(where, "margin", margin, low=0)
    if mask is not None:
        check_mask(where, "mask", mask, features.shape[:1])
    features = unit_vectors(at_least_float32(zero_where_invalid(features, mask)))
    with without_autocast(features):
        cosines = features @ features.mT
    same_class, same_modality = target.unsqueeze(1) == target, modality.unsqueeze(1) == modality
    positive, negative = same_class & ~same_modality, same_modality & ~same_class
    if mask is not None:
        both = mask.unsqueeze(1) & mask
        positive, negative = positive & both, negative & both
    # A triplet is active where the negative's cosine is above the positive's minus the margin.
    levels = torch.where(positive, cosines - margin, cosines)
    counts = _active_triplets(levels.detach(), positive, negative)
    triplets = (positive.sum(1) * negative.sum(1)).sum().clamp(min=1)
    return (levels * (counts / triplets)).sum()


def _active_triplets(levels: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """In how many active triplets of its row each negative stands, and minus that for each positive."""
    order = levels.argsort(dim=1, descending=True)
    is_positive, is_negative = positive.gather(1, order), negative.gather(1, order)
    negatives_above = is_negative.cumsum(1)
    positives_below = is_positive.sum(1, keepdim=True) - is_positive.cumsum(1)
    counts = is_negative * positives_below - is_positive * negatives_above
    return torch.zeros_like(levels).scatter(1, order, counts.to(levels.dtype))
