"""Pooling of frames into the segments that they belong to, for instance of sub-words into words."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmdisentangle._core.checks import check_axes, check_choice, check_count, check_float, check_tensor
from mmdisentangle._core.errors import DtypeError, ShapeError
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid

SegmentPooling = Literal["mean", "first", "last"]


class PooledSegments(NamedTuple):
    """What `pool_segments` returns.

    Attributes:
        values: pooled frames; 0 for a segment without a frame.
        mask: True = the segment has a frame.

    Example:
        >>> x, words = torch.tensor([[[1.0], [3.0], [8.0]]]), torch.tensor([[0, 0, 2]])
        >>> pooled = pool_segments(x, words, 3)
        >>> pooled.values[pooled.mask]
        tensor([[2.],
                [8.]])
    """

    values: Float[Tensor, "B S D"]
    mask: Bool[Tensor, "B S"]


def pool_segments(
    x: Float[Tensor, "B T D"],
    segments: Int[Tensor, "B T"],
    num_segments: int,
    *,
    pooling: SegmentPooling = "mean",
) -> PooledSegments:
    r"""Pool the frames of every segment.

    .. math:: y_s = \frac{1}{|\{t : s_t = s\}|} \sum_{t : s_t = s} x_t

    Use it to bring a stream to the units of another: sub-words to words, or fast frames to the words they are spoken
    with. Segments may be empty, in any order, and need not be contiguous.

    Args:
        x: frames.
        segments: for each frame the number of its segment, 0 to ``num_segments - 1``; any other number: the frame
            belongs to none, as padding and special tokens do.
        num_segments: segments of a sample.
        pooling: ``"mean"``, or the ``"first"`` or ``"last"`` frame of each segment.

    Shape:
        x ``[B, T, D]``, segments ``[B, T]``; values ``[B, num_segments, D]``, mask ``[B, num_segments]``.

    Returns:
        Values in the units and dtype of x, and which segments have a frame.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: num_segments or pooling is out of range.

    Numerics:
        Sums run in float32 at least. Frames of no segment take no part, NaN and infinities included.

    Example:
        >>> x = torch.tensor([[[9.0], [1.0], [3.0], [5.0]]])
        >>> pooled = pool_segments(x, torch.tensor([[-1, 0, 0, 2]]), 3)
        >>> pooled.values.squeeze(-1), pooled.mask
        (tensor([[2., 0., 5.]]), tensor([[ True, False,  True]]))
    """
    where = "pool_segments"
    check_float(where, "x", x, "B T D")
    check_tensor(where, "segments", segments)
    if segments.is_floating_point() or segments.dtype == torch.bool:
        raise DtypeError(f"{where}: segments must be an integer tensor, got {segments.dtype}.")
    check_axes(where, "segments", segments, "B T")
    if segments.shape != x.shape[:2]:
        raise ShapeError(
            f"{where}: segments must have the first two axes of x, {list(x.shape[:2])}, got {list(segments.shape)}."
        )
    check_count(where, "num_segments", num_segments, low=0)
    check_choice(where, "pooling", pooling, ("mean", "first", "last"))
    valid = (segments >= 0) & (segments < num_segments)
    # Frames of no segment go to one more, which is cut off.
    index = torch.where(valid, segments, num_segments).long()
    if pooling != "mean":
        index = torch.where(_at_end(index, num_segments, first=pooling == "first"), index, num_segments)
    frames = at_least_float32(zero_where_invalid(x, valid))
    shape = (x.shape[0], num_segments + 1)
    count = frames.new_zeros(shape).scatter_add(1, index, torch.ones_like(frames[..., 0]))[:, :-1]
    total = frames.new_zeros((*shape, x.shape[2])).scatter_add(1, index.unsqueeze(-1).expand(x.shape), frames)[:, :-1]
    return PooledSegments((total / count.clamp(min=1).unsqueeze(-1)).to(x.dtype), count > 0)


def _at_end(index: Tensor, num_segments: int, *, first: bool) -> Tensor:
    """Tell which frames are the first, or last, of their segment."""
    positions = torch.arange(index.shape[1], device=index.device).expand(index.shape)
    start = index.shape[1] if first else -1
    ends = torch.full((index.shape[0], num_segments + 1), start, dtype=positions.dtype, device=index.device)
    ends = ends.scatter_reduce(1, index, positions, "amin" if first else "amax")
    return positions == ends.gather(1, index)
