"""How the baselines make one code out of many frames."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

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
