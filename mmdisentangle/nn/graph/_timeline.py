"""All frames of a sample, of whatever modality, on one line of time."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from mmdisentangle._core.masks import frame_positions
from mmdisentangle._core.numerics import zero_where_invalid


class Timeline(NamedTuple):
    """Nodes of a sample by time, then by modality; padding at the end.

    Args:
        order: ``[B, N]``, where each node stands in the frames of all modalities put end to end.
        times: ``[B, N]``, 0 at padding.
        groups: ``[B, N]``, number of the modality.
        mask: ``[B, N]``.
    """

    order: Tensor
    times: Tensor
    groups: Tensor
    mask: Tensor

    def arrange(self, frames: Tensor) -> Tensor:
        """Put frames ``[B, N, D]``, modality after modality, into the order of time."""
        return frames.gather(1, self.order.unsqueeze(-1).expand(frames.shape))


def timeline(masks: Mapping[str, Tensor], timestamps: Mapping[str, Tensor] | None) -> Timeline:
    """Merge the frames of all modalities.

    Args:
        masks: ``[B, T_m]`` of every modality, in order.
        timestamps: ``[B, T_m]`` of every modality. Where None, the frames of a modality share evenly the time of the
            longest one of the sample: the k-th of n stands at ``(k + 1/2) / n`` of it.
    """
    mask = torch.cat(list(masks.values()), 1)
    # MPS has no float64; elsewhere sums of many short steps should stay exact.
    dtype = torch.float32 if mask.device.type == "mps" else torch.float64
    if timestamps is None:
        counts = {name: part.sum(1, keepdim=True) for name, part in masks.items()}
        longest = torch.cat(list(counts.values()), 1).amax(1, keepdim=True).to(dtype)
        times = [
            # In this order a frame of the longest modality stands at k + 1/2 exactly.
            (2 * frame_positions(part) + 1).to(dtype) * longest / (2 * counts[name].clamp(min=1))
            for name, part in masks.items()
        ]
    else:
        times = [timestamps[name].to(dtype) for name in masks]
    line = torch.where(mask, torch.cat(times, 1), torch.inf)
    line, order = line.sort(dim=1, stable=True)
    groups = torch.cat([torch.full_like(part, index, dtype=torch.long) for index, part in enumerate(masks.values())], 1)
    mask = mask.gather(1, order)
    return Timeline(order, zero_where_invalid(line, mask), groups.gather(1, order), mask)
