"""Central moment discrepancy: a distance between two samples by their mean and higher central moments."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_bounds, check_count, check_float, check_mask, check_same_shape
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid
from mmdisentangle.functional._power_sums import power_sums
from mmdisentangle.functional._two_sets import SampleMask, check_sets, enough_samples


def central_moments(
    x: Float[Tensor, "N D"], num_moments: int = 5, mask: Bool[Tensor, " N"] | None = None
) -> Float[Tensor, "K D"]:
    """Mean and central moments 2..K of every feature over the samples.

    Args:
        x: one row per sample.
        num_moments: K, at least 1.
        mask: True = the row counts.

    Returns:
        Row 0 the mean, row ``k - 1`` the moment of order ``k``, float32 at least; zeros where no row counts.

    Example:
        >>> central_moments(torch.tensor([[0.0], [1.0]]), 3)
        tensor([[0.5000],
                [0.2500],
                [0.0000]])
    """
    check_float("central_moments", "x", x, "N D")
    check_count("central_moments", "num_moments", num_moments)
    if mask is not None:
        check_mask("central_moments", "mask", mask, x.shape[:1])
    return moments_of_sets(x, num_moments, mask)


def moments_of_sets(x: Tensor, num_moments: int, mask: Tensor | None) -> Tensor:
    """`central_moments` of one set ``[N, D]``, or of several of one size ``[..., N, D]`` at a time, unchecked."""
    x = at_least_float32(zero_where_invalid(x, mask))
    count: Tensor | int = max(x.shape[-2], 1)
    if mask is not None:
        count = mask.sum(-1).clamp(min=1).to(x.dtype)[..., None, None]
    mean = x.sum(-2, keepdim=True) / count
    if num_moments == 1:
        return mean
    centred = zero_where_invalid(x - mean, mask)
    return torch.cat((mean, power_sums(centred, num_moments) / count), -2)


def central_moment_discrepancy(
    x: Float[Tensor, "N D"],
    y: Float[Tensor, "M D"],
    *,
    num_moments: int = 5,
    bounds: tuple[float, float] = (0.0, 1.0),
    mask: SampleMask = None,
    min_samples: int = 2,
) -> Float[Tensor, ""]:
    r"""Distance between the distributions of two sets of codes, feature by feature.

    .. math:: \frac{\|E x - E y\|_2}{b - a}
              + \sum_{k=2}^{K} \frac{\|E (x - E x)^k - E (y - E y)^k\|_2}{|b - a|^k}

    Use it to bring the shared codes of two modalities to one distribution. It compares marginal distributions only:
    features may depend on each other differently in the two sets.

    Args:
        x: first set, one row per sample.
        y: second set; the number of rows may differ.
        num_moments: highest order K.
        bounds: interval ``(a, b)`` that the codes live in; (0, 1) for a sigmoid, (-1, 1) for a tanh.
        mask: True = the sample counts; one ``[N]`` tensor for both sets, or a pair ``(mask_x, mask_y)``.
        min_samples: a set with fewer counting samples makes the loss 0.

    Shape:
        x ``[N, D]``, y ``[M, D]``; result ``[]``.

    Returns:
        Distance in units of the interval's width; float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, a mask not boolean.
        ShapeError: widths differ, or a mask does not match.
        SettingError: bounds are not increasing, ``num_moments`` or ``min_samples`` below 1.

    Numerics:
        Where two moments coincide the norm has the gradient 0 (a bare square root has NaN); it has no second derivative
        there.

    Deviations:
        None in value from the released code of RTIL, which uses ``num_moments=5, bounds=(0, 1), min_samples=1``.

    Example:
        >>> x = torch.tensor([[0.0], [1.0]])
        >>> central_moment_discrepancy(x, x / 2)
        tensor(0.4961)

    References:
        Zellinger et al., "Central Moment Discrepancy (CMD) for Domain-Invariant Representation Learning", 2017,
        arXiv:1702.08811.
    """
    where = "central_moment_discrepancy"
    mask_x, mask_y = check_sets(where, x, y, mask)
    check_count(where, "num_moments", num_moments)
    check_count(where, "min_samples", min_samples)
    return moment_distance(
        central_moments(x, num_moments, mask_x),
        central_moments(y, num_moments, mask_y),
        bounds=bounds,
        enough=enough_samples(x, mask_x, min_samples) & enough_samples(y, mask_y, min_samples),
    )


def moment_distance(
    moments_x: Float[Tensor, "K D"],
    moments_y: Float[Tensor, "K D"],
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    enough: Bool[Tensor, ""] | None = None,
) -> Float[Tensor, ""]:
    """Central moment discrepancy of two sets whose `central_moments` are known already.

    Args:
        moments_x: `central_moments` of the first set.
        moments_y: of the second set.
        bounds: interval the codes live in.
        enough: 0-dim; False makes the result 0.

    Example:
        >>> moment_distance(torch.tensor([[0.5], [0.25]]), torch.tensor([[0.5], [0.05]]))
        tensor(0.2000)
    """
    check_float("moment_distance", "moments_x", moments_x, "K D")
    check_float("moment_distance", "moments_y", moments_y, "K D")
    check_same_shape("moment_distance", "moments_x", moments_x, "moments_y", moments_y)
    check_bounds("moment_distance", bounds)
    return distance_of_moments(moments_x - moments_y, bounds, enough)


def distance_of_moments(difference: Tensor, bounds: tuple[float, float], enough: Tensor | None) -> Tensor:
    """`moment_distance` given the difference ``[..., K, D]`` of the moments, unchecked."""
    width = bounds[1] - bounds[0]
    # vector_norm, unlike a bare square root, has the gradient 0 at 0.
    distances = torch.linalg.vector_norm(difference, dim=-1)
    if width != 1:
        orders = torch.arange(1, difference.shape[-2] + 1, device=difference.device, dtype=difference.dtype)
        distances = distances / width**orders
    distance: Tensor = distances.sum(-1)
    return distance if enough is None else torch.where(enough, distance, torch.zeros_like(distance))
