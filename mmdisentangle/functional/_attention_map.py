"""What an attention map consists of: every pair of frames, or a band of pairs along the diagonal.

A whole map is ``[B, H, T, T]``. With ``window`` it is ``[B, H, T, 2 window + 1]``: entry c of row t stands for key
t + c - window. Nothing of the size T x T is made for a band.
"""

import torch
from torch import Tensor

from mmdisentangle.functional._blocks import block_length, diagonals, from_diagonals, in_blocks, with_neighbours


def columns(frames: int, window: int | None) -> int:
    """Number of columns of the map of a sequence."""
    return frames if window is None else 2 * window + 1


def products(q: Tensor, k: Tensor, window: int | None) -> Tensor:
    """Inner products of ``[B, H, T, d_head]`` queries and keys; 0 outside the sequence."""
    if window is None:
        return q @ k.mT
    block = block_length(window, k.shape[2])
    keys = with_neighbours(in_blocks(k, block, 2), window, 2)
    return diagonals(in_blocks(q, block, 2) @ keys.mT).flatten(2, 3)[:, :, : q.shape[2]]


def sums(weights: Tensor, v: Tensor, window: int | None) -> Tensor:
    """Sums of ``[B, H, T, d_head]`` values with the weights of a map."""
    if window is None:
        return weights @ v
    block = block_length(window, v.shape[2])
    values = with_neighbours(in_blocks(v, block, 2), window, 2)
    return (from_diagonals(in_blocks(weights, block, 2)) @ values).flatten(2, 3)[:, :, : v.shape[2]]


def real_pairs(mask: Tensor, window: int | None) -> Tensor:
    """Which entries of the map stand for two real frames: ``[B, 1, T, columns]``."""
    own = mask[:, None, :, None]
    return own & (mask[:, None, None, :] if window is None else _keys(mask, window))


def open_keys(mask: Tensor, window: int | None) -> Tensor:
    """Keys that a softmax may choose from, ``[B, 1, 1 or T, columns]``; a row that has none is used by nobody."""
    if window is None:
        return (mask | ~mask.any(-1, keepdim=True))[:, None, None, :]
    # The own frame stands in, so that every row has a key.
    return _keys(mask, window) | (torch.arange(2 * window + 1, device=mask.device) == window)


def kernel(weight: Tensor, window: int | None) -> Tensor:
    """Weight of the convolution of a map, ``[H, H, 3, 3]``; of a band, ``[H, H, 3, 5]``.

    A row of a band starts one key later than the row above it: pair (i + a, j + b) stands b - a columns beside (i, j).
    """
    return weight if window is None else from_diagonals(weight.flip(-2)).flip(-2)


def _keys(mask: Tensor, window: int) -> Tensor:
    """Whether the key of every entry of a band is a real frame of the sequence, ``[B, 1, T, 2 window + 1]``."""
    block = block_length(window, mask.shape[1])
    keys = with_neighbours(in_blocks(mask, block), window)
    return diagonals(keys.unsqueeze(-2).expand(-1, -1, block, -1)).flatten(1, 2)[:, None, : mask.shape[1]]
