"""Contrastive losses between paired codes: every sample must find its partner among the other samples."""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_choice, check_flag, check_float, check_number, check_width
from mmdisentangle._core.errors import SettingError, ShapeError
from mmdisentangle._core.numerics import at_least_float32, unit_vectors, without_autocast, zero_where_invalid
from mmdisentangle._core.reduction import Reduction, check_reduction, reduce_terms
from mmdisentangle.functional._paired_codes import check_pair

ContrastiveCritic: TypeAlias = Literal["cosine", "dot", "bilinear"]
CONTRASTIVE_CRITICS = ("cosine", "dot", "bilinear")
Negatives: TypeAlias = Literal["other", "both"]
NEGATIVES = ("other", "both")


def info_nce(
    x: Float[Tensor, "N D1"],
    y: Float[Tensor, "N D2"],
    *,
    temperature: float = 0.1,
    critic: ContrastiveCritic = "cosine",
    weight: Float[Tensor, "D1 D2"] | None = None,
    negatives: Negatives = "other",
    symmetric: bool = True,
    mask: Bool[Tensor, " N"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    r"""Cross-entropy of finding the partner y_i of x_i among the codes of all samples.

    .. math:: L_i = -\log \frac{e^{s(x_i, y_i)}}{\sum_j e^{s(x_i, y_j)}}, \qquad
              s = \frac{\cos(x, y)}{\tau}, \quad \frac{x^\top y}{\tau} \quad \text{or} \quad \frac{x^\top W y}{\tau}

    Use it to make codes of two modalities tell the same of a sample (shared codes). With n samples
    :math:`\log n - L` is a lower bound of the mutual information in expectation, for every critic; it cannot exceed
    log n. ``negatives="both"`` is NT-Xent: the codes :math:`x_j` of the anchor's own modality are negatives, too, which
    also spreads each modality by itself, and bounds no information.

    Args:
        x: codes of one modality, one row per sample.
        y: codes of the other modality, of the same samples.
        temperature: divides the scores.
        critic: ``"cosine"``, ``"dot"`` or ``"bilinear"``.
        weight: W of the bilinear critic; codes may then differ in width.
        negatives: ``"other"``, the codes of the other modality, or ``"both"``.
        symmetric: mean of both directions; where False, x alone looks for y.
        mask: True = the sample has both codes. Other samples are neither anchors nor negatives.
        reduction: ``"none"``, ``"mean"`` (over samples that count) or ``"sum"``.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[N]`` for ``reduction="none"``, else ``[]``.

    Returns:
        Nats, >= 0; log n where nothing can be told apart, 0 with fewer than two samples. float32 for half-precision
        input.

    Raises:
        DtypeError: an input is not floating, the mask not boolean.
        ShapeError: numbers of samples or widths differ, or the weight does not fit.
        SettingError: an unknown setting, a temperature that is not positive, a weight without its critic or the
            reverse, or ``critic="bilinear"`` with ``negatives="both"``.

    Numerics:
        Zero codes have cosine 0 with a finite gradient. Scores of any size give finite values.

    Example:
        >>> x = torch.eye(2)
        >>> info_nce(x, x, temperature=1.0), info_nce(x, x, temperature=1.0, negatives="both")
        (tensor(0.3133), tensor(0.5514))

    References:
        van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018, arXiv:1807.03748.
        Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020, arXiv:2002.05709
        (NT-Xent).
    """
    where = "info_nce"
    check_pair(where, x, y, mask)
    check_settings(where, temperature, critic, negatives, symmetric, reduction)
    if (weight is None) == (critic == "bilinear"):
        raise SettingError(f"{where}: critic='bilinear' and weight belong together, got critic={critic!r}.")
    if weight is None:
        check_width(where, "y", y, x.shape[1])
    else:
        check_float(where, "weight", weight, "D1 D2")
        if weight.shape != (x.shape[1], y.shape[1]):
            widths = [x.shape[1], y.shape[1]]
            raise ShapeError(f"{where}: weight must have shape {widths}, got {list(weight.shape)}.")
    x, y = (at_least_float32(zero_where_invalid(codes, mask)) for codes in (x, y))
    if critic == "cosine":
        x, y = unit_vectors(x), unit_vectors(y)
    with without_autocast(x):
        scores = (x if weight is None else x @ at_least_float32(weight)) @ y.mT / temperature
        within = [codes @ codes.mT / temperature if negatives == "both" else None for codes in (x, y)]
    terms = _lost(scores, within[0], mask, 1)
    if symmetric:
        terms = (terms + _lost(scores, within[1], mask, 0)) / 2
    return reduce_terms(zero_where_invalid(terms, mask), mask, reduction)


def check_settings(
    where: str, temperature: float, critic: str, negatives: str, symmetric: bool, reduction: str
) -> None:
    """Require settings that fit together."""
    check_number(where, "temperature", temperature, low=0, open_low=True)
    check_choice(where, "critic", critic, CONTRASTIVE_CRITICS)
    check_choice(where, "negatives", negatives, NEGATIVES)
    check_flag(where, "symmetric", symmetric)
    check_reduction(where, reduction)
    if critic == "bilinear" and negatives == "both":
        raise SettingError(
            f"{where}: critic='bilinear' compares codes of two modalities and has no score within one; "
            "use negatives='other'."
        )


def _lost(scores: Tensor, within: Tensor | None, mask: Tensor | None, axis: int) -> Tensor:
    """Cross-entropy of the diagonal along an axis, beside the scores ``within`` the anchor's modality."""
    logits = scores
    if mask is not None or within is not None:
        own = torch.eye(scores.shape[0], dtype=torch.bool, device=scores.device)
        counts = torch.ones_like(own) if mask is None else mask.unsqueeze(1 - axis).expand_as(own)
        # A sample that is out keeps its own score, so that nothing is empty.
        logits = torch.where(counts | own, scores, -torch.inf)
        if within is not None:
            logits = torch.cat((logits, torch.where(counts & ~own, within, -torch.inf)), axis)
    return -logits.log_softmax(axis).diagonal()
