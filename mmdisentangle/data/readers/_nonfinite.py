"""NaN and infinities: counted, and replaced by a rule that never looks at the test split."""

from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.readers._raw import Array, Sequences
from mmdisentangle.data.readers._windows import Windows

Nonfinite: TypeAlias = Literal["zero", "mean", "error", "keep"]
NONFINITE: tuple[str, ...] = get_args(Nonfinite)


def feature_means(sequences: Sequences, windows: Windows) -> Array:
    """Return the mean of each feature over the finite values of the real frames, 0 where there is none."""
    width = sequences[0].shape[1]
    total, count = np.zeros(width), np.zeros(width)
    for x, start, stop in zip(sequences, windows.start, windows.stop, strict=True):
        frames = _as_float32(x[start:stop])
        finite = np.isfinite(frames)
        total += np.where(finite, frames, 0).sum(0, dtype=np.float64)
        count += finite.sum(0)
    return (total / np.maximum(count, 1)).astype(np.float32)


def cut_and_clean(
    where: str, sequences: Sequences, windows: Windows, rule: Nonfinite, means: Array | None
) -> tuple[list[Tensor], dict[str, int]]:
    """Return the real frames of each sample as float32, and how many values were NaN or infinite.

    Every sample is a copy of its own, so that the padded array can be given back.
    """
    counts = {"nan": 0, "inf": 0, "-inf": 0}
    tensors = []
    for index, (x, start, stop) in enumerate(zip(sequences, windows.start, windows.stop, strict=True)):
        frames = _as_float32(x[start:stop])
        bad = ~np.isfinite(frames)
        if bad.any():
            if rule == "error":
                raise DataError(
                    f"{where}: sample {index} holds {int(bad.sum())} values that are NaN or infinite; choose "
                    "nonfinite='zero' or nonfinite='mean' to replace them."
                )
            values = frames[bad]
            counts["nan"] += int(np.isnan(values).sum())
            counts["inf"] += int((values == np.inf).sum())
            counts["-inf"] += int((values == -np.inf).sum())
            if rule != "keep":
                frames[bad] = 0 if means is None else np.broadcast_to(means, frames.shape)[bad]
        tensors.append(torch.from_numpy(frames))
    return tensors, counts


def _as_float32(frames: Array) -> Array:
    # Beyond the range of float32 a value becomes infinite here, and is then counted as such.
    with np.errstate(over="ignore"):
        return np.array(frames, dtype=np.float32, order="C")
