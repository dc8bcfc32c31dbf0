"""What the measures of dependence between paired codes have in common: checks, centring, the cross product."""

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_float, check_mask
from mmdisentangle._core.errors import ShapeError
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid


def check_pair(where: str, x: Tensor, y: Tensor, mask: Tensor | None) -> None:
    """Require ``x [N, D1]`` and ``y [N, D2]`` of the same samples, and a mask ``[N]`` or None."""
    check_float(where, "x", x, "N D1")
    check_float(where, "y", y, "N D2")
    if x.shape[0] != y.shape[0]:
        raise ShapeError(f"{where}: x and y must have the same number of samples, got {x.shape[0]} and {y.shape[0]}.")
    if mask is not None:
        check_mask(where, "mask", mask, x.shape[:1])


def centred(x: Tensor, mask: Tensor | None) -> Tensor:
    """Rows minus their mean. What is only its rounding becomes exactly zero, so constant features cost nothing."""
    x = at_least_float32(zero_where_invalid(x, mask))
    if x.shape[0] == 0:
        return x
    count = x.shape[0] if mask is None else mask.sum().clamp(min=1).to(x.dtype)
    rounding = torch.finfo(x.dtype).eps * x.shape[0] ** 0.5 * x.detach().abs().amax(0)
    return drop_rounding(zero_where_invalid(x - x.sum(0) / count, mask), rounding)


def count_samples(x: Tensor, mask: Tensor | None) -> Tensor:
    """Number of samples that count, as a 0-dim tensor of the dtype of ``x``."""
    if mask is None:
        return torch.full((), x.shape[0], dtype=x.dtype, device=x.device)
    return mask.sum().to(x.dtype)


def unit_scale(x: Tensor) -> Tensor:
    """Divide by the largest entry, for measures that do not see it, so that it may count as a constant."""
    if x.numel() == 0:
        return x
    largest = x.detach().abs().amax()
    return x / torch.where(largest > 0, largest, torch.ones_like(largest))


def drop_rounding(x: Tensor, rounding: Tensor) -> Tensor:
    """Make what is no larger than ``rounding`` exactly zero; its derivatives stay."""
    return x - torch.where(x.abs() > rounding, torch.zeros_like(x), x).detach()


def product_norm(x: Tensor, y: Tensor) -> Tensor:
    """``||X^T Y||_F^2``, by the N x N products ``<X X^T, Y Y^T>`` where those are smaller.

    A compiled graph must serve every N, and has the other form.
    """
    if not torch.compiler.is_compiling() and x.shape[0] < min(x.shape[1], y.shape[1]):
        return ((x @ x.mT) * (y @ y.mT)).sum()
    return (x.mT @ y).square().sum()
