"""Similarity-preserving consistency: samples that are alike in one set of codes are alike in the other."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_flag
from mmdisentangle._core.numerics import at_least_float32, safe_sqrt, without_autocast, zero_where_invalid
from mmdisentangle.functional._paired_codes import check_pair, count_samples, unit_scale


def similarity_preserving(
    x: Float[Tensor, "N D1"],
    y: Float[Tensor, "N D2"],
    *,
    published: bool = False,
    mask: Bool[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    r"""Distance between the similarities of samples in two sets of codes.

    .. math:: L = \frac{1}{n} \sum_i \Bigl\| \frac{g^x_i}{|g^x_i|} - \frac{g^y_i}{|g^y_i|} \Bigr\|^2,
              \qquad G^x = X X^\top, \quad G^y = Y Y^\top

    Use it to hand the structure of one set of codes on to another of any width: neighbours stay neighbours, no feature
    has to match. Detach the set that teaches.

    Args:
        x: first codes, one row per sample.
        y: second codes of the same samples.
        published: divide by n once more, as in the paper; the value then falls with the size of the batch.
        mask: True = the sample has both codes.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Returns:
        Without unit, 0 to 2 (rows of a Gram matrix of codes >= 0) or 4; 0 with fewer than two samples. float32 for
        half-precision input.

    Raises:
        DtypeError: an input is not floating, the mask not boolean.
        ShapeError: the numbers of samples differ.
        SettingError: published is not True or False.

    Numerics:
        :math:`g^x_i \cdot g^y_i = x_i^\top (X^\top Y)\, y_i`: no N x N matrix is formed, the cost is N D^2. The
        distance of unit vectors is taken as 2 - 2 cos, so values near 0 have the absolute accuracy of the dtype. Codes
        of any size give the same value. A zero code has a zero row, with a finite gradient.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> similarity_preserving(x, x), similarity_preserving(x, torch.ones(2, 1))
        (tensor(0.), tensor(0.5858))

    References:
        Tung and Mori, "Similarity-Preserving Knowledge Distillation", 2019, arXiv:1907.09682.
    """
    check_pair("similarity_preserving", x, y, mask)
    check_flag("similarity_preserving", "published", published)
    x, y = (unit_scale(at_least_float32(zero_where_invalid(codes, mask))) for codes in (x, y))
    with without_autocast(x):
        inner = (x @ (x.mT @ y) * y).sum(1)
        lengths = [safe_sqrt((codes @ (codes.mT @ codes) * codes).sum(1)) for codes in (x, y)]
    here = [length > 0 for length in lengths]
    safe = [torch.where(positive, length, 1) for positive, length in zip(here, lengths, strict=True)]
    squares = here[0].to(inner.dtype) + here[1].to(inner.dtype) - 2 * inner / (safe[0] * safe[1])
    count = count_samples(x, mask)
    loss = squares.sum() / (count.square() if published else count).clamp(min=1)
    return torch.where(count >= 2, loss, torch.zeros_like(loss))
