"""Additive cosine margin: a softmax classifier on angles, with a margin at the true class."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmdisentangle._core.checks import check_axes, check_float, check_mask, check_number, check_tensor, check_width
from mmdisentangle._core.errors import DtypeError, ShapeError
from mmdisentangle._core.numerics import at_least_float32, unit_vectors, without_autocast, zero_where_invalid
from mmdisentangle._core.reduction import Reduction, check_reduction, reduce_terms

# Without it torch would take class -100 for a row to leave out.
_NO_CLASS = torch.iinfo(torch.int64).min


def cosine_logits(features: Float[Tensor, "N D"], prototypes: Float[Tensor, "C D"]) -> Float[Tensor, "N C"]:
    """Cosine of every feature row with every class prototype, in float32 at least; 0 where either is the zero vector.

    Example:
        >>> cosine_logits(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        tensor([[0.6000, 0.8000]])
    """
    check_float("cosine_logits", "features", features, "N D")
    check_float("cosine_logits", "prototypes", prototypes, "C D")
    check_width("cosine_logits", "prototypes", prototypes, features.shape[1])
    return _cosines(features, prototypes)


def cosine_margin_loss(
    features: Float[Tensor, "N D"],
    prototypes: Float[Tensor, "C D"],
    target: Int[Tensor, " N"],
    *,
    scale: float = 30.0,
    margin: float = 0.5,
    mask: Bool[Tensor, " N"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    r"""Cross-entropy on scaled cosines, the true class handicapped by a margin (CosFace, AM-Softmax).

    .. math:: L_n = -\log \frac{e^{s(\cos_{n,y_n} - m)}}{e^{s(\cos_{n,y_n} - m)} + \sum_{j \ne y_n} e^{s \cos_{n,j}}}

    Use it where classes must be separated by more than a hair: a discriminator of modalities, an identity classifier.

    Args:
        features: rows to classify; only their direction counts.
        prototypes: one row per class; only their direction counts.
        target: class of each row, int64 in ``0..C-1``. Rows outside the mask may hold any value.
        scale: multiplies the cosines; the largest logit.
        margin: handicap of the true class, in units of the cosine.
        mask: True = the row counts.
        reduction: ``"none"``, ``"mean"`` (over valid rows) or ``"sum"``.

    Shape:
        features ``[N, D]``, prototypes ``[C, D]``, target and mask ``[N]``; result ``[N]`` for ``reduction="none"``,
        else ``[]``.

    Returns:
        Nats; float32 for half-precision input. A row with the same cosine to all classes costs
        ``log(1 + (C - 1) e^{s m})``, more than the ``log C`` of a plain cross-entropy where the margin is positive.

    Raises:
        DtypeError: features or prototypes are not floating, target not integer, mask not boolean.
        ShapeError: widths or numbers of rows differ.
        SettingError: scale is not positive, margin not finite, or reduction unknown.

    Numerics:
        ``margin=0`` is exactly ``cross_entropy(scale * cosines)``. A zero feature has cosine 0 with every class and a
        finite gradient. Computed in float32 for half-precision input, also under autocast; the prototypes keep their
        dtype.

    Deviations:
        The released RTIL code calls the loss angular and adds ``0.01 * ||prototypes||^2`` to it; that penalty belongs
        to the module that owns the prototypes (`ModalityDiscriminator`).

    Example:
        >>> features, prototypes = torch.tensor([[1.0, 0.0]]), torch.eye(2)
        >>> cosine_margin_loss(features, prototypes, torch.tensor([0]), scale=1.0, margin=0.0)
        tensor(0.3133)

    References:
        Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", 2018, arXiv:1801.09414.
    """
    where = "cosine_margin_loss"
    check_float(where, "features", features, "N D")
    check_float(where, "prototypes", prototypes, "C D")
    check_width(where, "prototypes", prototypes, features.shape[1])
    check_tensor(where, "target", target)
    if target.is_floating_point() or target.dtype == torch.bool:
        raise DtypeError(f"{where}: target must hold integer class indices (int64), got {target.dtype}.")
    check_axes(where, "target", target, "N")
    if target.shape[0] != features.shape[0]:
        raise ShapeError(
            f"{where}: target must have one entry for each of the {features.shape[0]} rows of features, "
            f"got {target.shape[0]}."
        )
    if mask is not None:
        check_mask(where, "mask", mask, target.shape)
        features = zero_where_invalid(features, mask)
        target = torch.where(mask, target, torch.zeros_like(target))
    check_number(where, "scale", scale, low=0, open_low=True)
    check_number(where, "margin", margin)
    check_reduction(where, reduction)
    target = target.long()
    cosines = _cosines(features, prototypes)
    # one_hot would read the values of target, which costs a device synchronisation.
    is_true_class = torch.arange(prototypes.shape[0], device=target.device) == target.unsqueeze(-1)
    logits = torch.add(scale * cosines, is_true_class, alpha=-scale * margin)
    if mask is None and reduction != "none":
        total = cross_entropy(logits, target, reduction="sum", ignore_index=_NO_CLASS)
        return total if reduction == "sum" else total / max(target.shape[0], 1)
    terms = cross_entropy(logits, target, reduction="none", ignore_index=_NO_CLASS)
    return reduce_terms(zero_where_invalid(terms, mask), mask, reduction)


def _cosines(features: Tensor, prototypes: Tensor) -> Tensor:
    with without_autocast(features):
        return unit_vectors(at_least_float32(features)) @ unit_vectors(at_least_float32(prototypes)).mT
