"""The pickles of MulT: CMU-MOSI, CMU-MOSEI and IEMOCAP, aligned or ``_noalign``."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.dataset import Task
from mmdisentangle.data.readers._names import shown, split_parts
from mmdisentangle.data.readers._pickled_dict import as_array, as_texts, gather_inputs, usual_modalities
from mmdisentangle.data.readers._raw import Array, RawFile, RawSplit

# The order in which MulT evaluates IEMOCAP.
EMOTIONS = ("neutral", "happy", "sad", "angry")


def is_mult(content: object) -> bool:
    """Tell whether a pickle has the keys of MulT."""
    return isinstance(content, Mapping) and any(
        isinstance(part, Mapping) and "labels" in part for part in content.values()
    )


def read_mult(where: str, content: Any) -> RawFile:
    """Read a dict of splits with text, audio, vision, padded on the left, labels and id."""
    if not isinstance(content, Mapping):
        raise DataError(f"{where}: a MulT pickle is a dict of train, valid and test, got a {type(content).__name__}.")
    splits = {name: _read_split(f"{where}, {name}", part) for name, part in split_parts(where, content).items()}
    modalities = usual_modalities(where, {name: split.inputs for name, split in splits.items()})
    first = next(iter(splits.values())).targets["labels"]
    one_hot = first.ndim == 3 and first.shape[2] == 2
    task: Task = "multilabel" if one_hot else "regression"
    names: dict[str, tuple[str, ...]] = {"labels": EMOTIONS} if one_hot and first.shape[1] == len(EMOTIONS) else {}
    if one_hot:
        for name, split in splits.items():
            split.targets["labels"] = _from_one_hot(f"{where}, {name}", split.targets["labels"])
    return RawFile(splits, modalities, "labels", {"labels": task}, names)


def _read_split(where: str, part: Any) -> RawSplit:
    inputs, left_out, entries = gather_inputs(where, part, ("labels", "id"))
    if "labels" not in entries:
        raise DataError(f"{where}: no 'labels'; found {shown(entries)}.")
    columns = as_array(where, "id", entries["id"]) if "id" in entries else None
    return RawSplit(
        inputs=inputs,
        targets={"labels": as_array(where, "labels", entries["labels"])},
        ids=None if columns is None else as_texts(where, "id", columns),
        # Of video, start and end the video is the group.
        groups=as_texts(where, "id", columns[:, 0]) if columns is not None and columns.shape[1:] == (3,) else None,
        left_out=left_out,
    )


def _from_one_hot(where: str, labels: Array) -> Array:
    """``[N, labels, (no, yes)]`` to ``[N, labels]`` of 0 and 1."""
    if labels.ndim != 3 or labels.shape[2] != 2 or not bool((labels[..., 0] != labels[..., 1]).all()):
        raise DataError(f"{where}: labels of shape {list(labels.shape)} must be one-hot pairs (no, yes).")
    return (labels[..., 1] > labels[..., 0]).astype(np.float32)
