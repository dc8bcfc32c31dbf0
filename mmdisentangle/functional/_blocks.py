"""Sequences in blocks, each beside its neighbours, so that what stays within a window costs no more than the window."""

import torch
from torch import Tensor
from torch.nn.functional import pad

# Measured: blocks of 16 to 64 queries take about the same time, larger ones waste keys.
_LEAST_BLOCK = 32


def block_length(reach: int, frames: int) -> int:
    """Length of the blocks for neighbours up to ``reach`` places away; one block for a sequence shorter than that.

    A compiled graph must serve every length, and has blocks of ``reach``.
    """
    return max(reach if torch.compiler.is_compiling() else min(reach, frames), _LEAST_BLOCK)


def in_blocks(x: Tensor, block: int, dim: int = 1) -> Tensor:
    """Cut axis ``dim`` into blocks, zeros behind; there is at least one block, whatever the length."""
    count = x.shape[dim] // block + 1
    behind = [0, 0] * (x.ndim - dim - 1)
    x = pad(x, (*behind, 0, count * block - x.shape[dim]))
    return x.reshape(*x.shape[:dim], count, block, *x.shape[dim + 1 :])


def with_neighbours(x: Tensor, reach: int, dim: int = 1) -> Tensor:
    """Extend every block by the last ``reach`` entries of the one before and the first of the one after."""
    behind = [0, 0] * (x.ndim - dim - 2)
    rest = reach - x.shape[dim + 1]
    # A negative padding takes away: the other entries of a block, and the block at the far end.
    before = pad(x, (*behind, rest, 0, 1, -1))
    after = pad(x, (*behind, 0, rest, -1, 1))
    return torch.cat((before, x, after), dim + 1)


def diagonals(x: Tensor) -> Tensor:
    """Shift row s of ``[..., S, L]`` by s to the left, and keep the L - S + 1 columns that every row has then."""
    rows, columns = x.shape[-2:]
    # Rows one entry longer begin one place later each time.
    x = pad(x.flatten(-2), (0, rows)).reshape(*x.shape[:-1], columns + 1)
    return x[..., : columns - rows + 1]


def from_diagonals(x: Tensor) -> Tensor:
    """Shift row s of ``[..., S, W]`` by s to the right, zeros around it: ``[..., S, S + W - 1]``."""
    rows, columns = x.shape[-2], x.shape[-1] + x.shape[-2] - 1
    return pad(x, (0, rows)).flatten(-2)[..., : rows * columns].reshape(*x.shape[:-1], columns)
