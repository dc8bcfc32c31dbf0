"""Orthogonality of two sets of codes over a batch (the "difference" loss), and a form that does not grow with it."""

from typing import Literal, TypeAlias

from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_choice
from mmdisentangle._core.numerics import unit_vectors, without_autocast
from mmdisentangle.functional._paired_codes import centred, check_pair, product_norm

OrthogonalityForm: TypeAlias = Literal["rows", "correlation"]
ORTHOGONALITY_FORMS = ("rows", "correlation")


def orthogonality(
    x: Float[Tensor, "N D1"],
    y: Float[Tensor, "N D2"],
    *,
    form: OrthogonalityForm = "rows",
    mask: Bool[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    r"""Linear dependence between paired codes, to be driven to zero.

    .. math:: L = \frac{1}{D_1 D_2} \| \tilde X^\top \tilde Y \|_F^2

    ``form="rows"`` (MISA): :math:`\tilde X` is centred over the batch and each of its *rows* scaled to length one, the
    norm detached; the value grows with N on independent data. ``form="correlation"``: each centred *column* is scaled
    to length one, so the entries are Pearson correlations and the value is their mean square: between 0 and 1, the same
    in any units, and 1/(N-1) in expectation on independent data. Use it between private and shared codes; it sees
    linear dependence only.

    Args:
        x: first codes, one row per sample.
        y: second codes of the same samples.
        form: ``"rows"`` or ``"correlation"``.
        mask: True = the sample counts.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Returns:
        Without unit, >= 0; 0 with fewer than two samples. float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, the mask not boolean.
        ShapeError: the numbers of samples differ.
        SettingError: an unknown form.

    Numerics:
        The Gram form ``<X X^T, Y Y^T>`` is used where N < min(D1, D2), which costs N^2 D instead of N D^2. Rows and
        columns of zeros, and of what the rounding of the mean leaves of constant features, count as zeros with a finite
        gradient. With ``form="rows"`` the gradient is the surrogate that takes the norms as constants, as published.

    Deviations:
        The released code adds 1e-6 to the norms; here zero norms are handled without an epsilon.

    Example:
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> orthogonality(x, x), orthogonality(x, x, form="correlation")
        (tensor(4.), tensor(1.))

    References:
        Hazarika et al., "MISA: Modality-Invariant and -Specific Representations for Multimodal Sentiment Analysis",
        2020, arXiv:2005.03545.
    """
    check_pair("orthogonality", x, y, mask)
    check_choice("orthogonality", "form", form, ORTHOGONALITY_FORMS)
    x, y = centred(x, mask), centred(y, mask)
    if form == "rows":
        x, y = unit_vectors(x, detach_norm=True), unit_vectors(y, detach_norm=True)
    else:
        x, y = unit_vectors(x.mT).mT, unit_vectors(y.mT).mT
    with without_autocast(x):
        return product_norm(x, y) / max(x.shape[1] * y.shape[1], 1)
