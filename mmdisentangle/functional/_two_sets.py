"""What distances between two sets of samples have in common: checks, masks, counts."""

from typing import TypeAlias

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_float, check_mask, check_width
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid

SampleMask: TypeAlias = Tensor | tuple[Tensor | None, Tensor | None] | None


def check_sets(where: str, x: Tensor, y: Tensor, mask: SampleMask) -> tuple[Tensor | None, Tensor | None]:
    """Require ``x [N, D]``, ``y [M, D]`` and masks ``[N]`` and ``[M]``, one for both or a pair; return the pair."""
    check_float(where, "x", x, "N D")
    check_float(where, "y", y, "M D")
    check_width(where, "y", y, x.shape[1])
    mask_x, mask_y = mask if isinstance(mask, tuple) else (mask, mask)
    if mask_x is not None:
        check_mask(where, "mask of x", mask_x, x.shape[:1])
    if mask_y is not None:
        check_mask(where, "mask of y", mask_y, y.shape[:1])
    return mask_x, mask_y


def enough_samples(x: Tensor, mask: Tensor | None, least: int = 2) -> Tensor:
    """Whether ``least`` samples count, as a 0-dim boolean."""
    if mask is None:
        return torch.full((), x.shape[0] >= least, dtype=torch.bool, device=x.device)
    return mask.sum() >= least


def counts_of(x: Tensor, mask_x: Tensor | None, y: Tensor, mask_y: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of samples that count, at least 2 each so that they may divide, and whether they were that many."""
    counts = [
        torch.full((), codes.shape[0], device=codes.device) if mask is None else mask.sum()
        for codes, mask in ((x, mask_x), (y, mask_y))
    ]
    dtype = torch.promote_types(x.dtype, torch.float32)
    enough = (counts[0] >= 2) & (counts[1] >= 2)
    return counts[0].clamp(min=2).to(dtype), counts[1].clamp(min=2).to(dtype), enough


def centre(x: Tensor, mask: Tensor | None, count: Tensor) -> tuple[Tensor, Tensor]:
    """Rows minus their mean, float32 at least, and the mean; rounding of constant features is left as it is."""
    x = at_least_float32(zero_where_invalid(x, mask))
    mean = x.sum(0) / count
    return zero_where_invalid(x - mean, mask), mean


def join_masks(x: Tensor, mask_x: Tensor | None, y: Tensor, mask_y: Tensor | None) -> Tensor | None:
    """Mask of the rows of both sets in one, None where all count."""
    if mask_x is None and mask_y is None:
        return None
    return torch.cat(
        [
            torch.ones(codes.shape[0], dtype=torch.bool, device=codes.device) if mask is None else mask
            for codes, mask in ((x, mask_x), (y, mask_y))
        ]
    )
