"""Sequences of unequal lengths brought to one timeline."""

import torch
from torch import Tensor

from mmdisentangle._core.masks import frame_positions
from mmdisentangle._core.numerics import zero_where_invalid


def compact_frames(x: Tensor, order: Tensor, mask: Tensor) -> Tensor:
    """Move every real frame ``x[b, t]`` to the place ``order[b, t]``; places without one are 0.

    Args:
        x: ``[B, T, D]``.
        order: ``[B, T]``, from 0, different for the real frames of a sample.
        mask: ``[B, T]``, True = real.
    """
    spare = x.shape[1]
    slots = torch.where(mask, order, spare).unsqueeze(-1)
    compact = x.new_zeros(x.shape[0], spare + 1, x.shape[2])
    return compact.scatter(1, slots.expand_as(x), zero_where_invalid(x, mask))[:, :spare]


def resample_frames(x: Tensor, mask: Tensor | None, counts: Tensor, size: int) -> Tensor:
    """Spread the real frames of every sample evenly over its first ``counts[b]`` places, interpolated linearly.

    The first and the last frame stay the first and the last; with as many places as frames nothing changes.

    Args:
        x: ``[B, T, D]``.
        mask: ``[B, T]``, True = real, on whichever side the padding stands; all real where None.
        counts: ``[B]``, places to fill.
        size: number of places; those beyond ``counts[b]`` are 0, as are all places of a sample without a frame.

    Returns:
        ``[B, size, D]``.
    """
    if x.shape[1] == 0:
        return x.sum(1, keepdim=True).expand(-1, size, -1)
    if mask is None:
        frames = torch.full_like(counts, x.shape[1])
    else:
        frames, x = mask.sum(1), compact_frames(x, frame_positions(mask), mask)
    place = torch.arange(size, device=x.device)
    # Whole numbers, so that no rounding moves a place to the neighbouring frame.
    way, steps = place * (frames - 1).clamp(min=0).unsqueeze(1), (counts - 1).clamp(min=1).unsqueeze(1)
    before = (way // steps).clamp(max=x.shape[1] - 1)
    after = torch.minimum(before + 1, (frames - 1).clamp(min=0).unsqueeze(1))
    share = ((way % steps) / steps).to(x.dtype).unsqueeze(-1)
    low, high = (x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[2])) for index in (before, after))
    filled = (place < counts.unsqueeze(1)) & (frames > 0).unsqueeze(1)
    return zero_where_invalid(low + share * (high - low), filled)
