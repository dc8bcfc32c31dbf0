"""How the baselines make one code out of many frames."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional import masked_max, masked_mean

Pooling: TypeAlias = Literal["mean", "mean_max"]
POOLINGS = ("mean", "mean_max")


def pooled(x: Tensor, mask: Tensor | None, form: Pooling) -> Tensor:
    """One code per sample of frames ``[B, T, D]``: ``[B, D]``, or ``[B, 2 D]`` with the maximum beside the mean."""
    mean = masked_mean(x, mask, 1)
    return mean if form == "mean" else torch.cat((mean, masked_max(x, mask, 1)), -1)


def pooled_width(features: int, form: Pooling) -> int:
    """Width of a code of frames with so many features."""
    return features if form == "mean" else 2 * features


def last_frame(x: Tensor, mask: Tensor | None) -> Tensor:
    """The last real frame ``[B, D]`` of ``[B, T, D]``, on whichever side the padding stands; 0 without one."""
    if x.shape[1] == 0:
        return x.sum(1)
    if mask is None:
        return x[:, -1]
    place = torch.arange(x.shape[1], device=x.device)
    last = torch.where(mask, place, 0).amax(1)
    found = x.gather(1, last[:, None, None].expand(-1, 1, x.shape[2])).squeeze(1)
    return zero_where_invalid(found, mask.any(1))
