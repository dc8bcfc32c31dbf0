"""What distances between two sets of samples have in common: checks, masks, counts."""

from typing import TypeAlias

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_float, check_mask, check_width

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


def counts_of(*sets: tuple[Tensor, Tensor | None], dtype: torch.dtype) -> tuple[list[Tensor], Tensor]:
    """Numbers of samples that count, at least 2 each so that they may divide, and whether they were that many."""
    counts = [
        torch.full((), x.shape[0], dtype=dtype, device=x.device) if mask is None else mask.sum().to(dtype)
        for x, mask in sets
    ]
    enough = torch.stack([count >= 2 for count in counts]).all()
    return [count.clamp(min=2) for count in counts], enough


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
