"""Total variation in time: how far a sequence of codes moves from frame to frame."""

from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_count, check_float, check_mask
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid
from mmdisentangle._core.reduction import Reduction, check_reduction, reduce_terms


def total_variation(
    x: Float[Tensor, "B T D"],
    mask: Bool[Tensor, "B T"] | None = None,
    *,
    order: int = 1,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    r"""Mean absolute difference of neighbouring frames.

    .. math:: L = \frac{1}{|V|} \sum_{(b,t) \in V} \frac{1}{D} \sum_{d=1}^{D} | x_{b,t+1,d} - x_{b,t,d} |

    where :math:`V` holds the pairs of neighbours that are both real. Use it as a smoothness loss on codes whose size
    means something: it compares the numbers themselves, in their units. A jump costs what a slow drift over the same
    way costs, so it allows steps. It is 0 for constant codes: pair it with a term that needs the code.
    ``temporal_invariance(divergence="total_variation")`` is another quantity: half the absolute difference of the
    *softmax* of neighbouring frames, a probability, blind to a number added to all features of a frame.

    Args:
        x: codes; any real values.
        mask: True = real frame; None means that all are real. Padding may hold anything, NaN included.
        order: of the differences; 2 leaves constant drift free and takes the change of the slope, and so on. The
            ``order + 1`` frames of a difference must all be real.
        reduction: ``"none"``, ``"mean"`` (over valid differences) or ``"sum"``.

    Shape:
        x ``[B, T, D]``, mask ``[B, T]``; result ``[B, T - order]`` for ``reduction="none"``, invalid ones 0; else
        ``[]``.

    Returns:
        Units of x, per frame; float32 for half-precision input. Without a valid difference, 0 with a zero gradient.

    Raises:
        DtypeError: x is not floating, mask not boolean.
        ShapeError: x has not three axes, or the mask another shape.
        SettingError: ``order`` below 1, or an unknown reduction.

    Numerics:
        Equal neighbours have the gradient 0.

    Deviations:
        The total variation of the literature is the sum over time; ``reduction="none"`` summed over time and times D is
        that. The mean does not grow with the length.

    Example:
        >>> x = torch.tensor([[[0.0], [1.0], [2.0], [5.0]]])
        >>> total_variation(x, reduction="none"), total_variation(x, order=2)
        (tensor([[1., 1., 3.]]), tensor(1.))
        >>> total_variation(x, torch.tensor([[True, True, False, True]]))
        tensor(1.)

    References:
        Rudin, Osher and Fatemi, "Nonlinear Total Variation Based Noise Removal Algorithms", 1992,
        doi:10.1016/0167-2789(92)90242-F.
    """
    where = "total_variation"
    check_float(where, "x", x, "B T D")
    if mask is not None:
        check_mask(where, "mask", mask, x.shape[:2])
    check_count(where, "order", order)
    check_reduction(where, reduction)
    differences = at_least_float32(zero_where_invalid(x, mask))
    for _ in range(order):
        differences = differences[:, 1:] - differences[:, :-1]
    terms = differences.abs().sum(-1) / max(x.shape[2], 1)
    valid = valid_differences(mask, order)
    return reduce_terms(zero_where_invalid(terms, valid), valid, reduction)


def valid_differences(mask: Tensor | None, order: int) -> Tensor | None:
    """Boolean ``[B, T - order]``: where all frames of a difference are real; None where all are."""
    if mask is None:
        return None
    for _ in range(order):
        mask = mask[:, 1:] & mask[:, :-1]
    return mask
