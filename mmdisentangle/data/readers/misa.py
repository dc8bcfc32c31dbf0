"""The pickles of MISA and of the CMU-Multimodal SDK: lists of ((words, visual, acoustic, words), label, segment)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.dataset import Task
from mmdisentangle.data.readers._names import split_name, split_parts
from mmdisentangle.data.readers._raw import Array, RawFile, RawSplit
from mmdisentangle.data.readers._targets import as_text
from mmdisentangle.data.readers._unpickle import read_pickle

# The columns of the labels of CMU-MOSEI.
_EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")


def is_misa(content: object) -> bool:
    """Tell whether a pickle is a list of samples, or a dict of such lists."""
    parts = list(content.values()) if isinstance(content, Mapping) else [content]
    return bool(parts) and all(isinstance(part, list | tuple) for part in parts)


def read_misa_folder(folder: Path) -> dict[str, Any]:
    """Return train.pkl, dev.pkl and test.pkl of a folder as one dict."""
    return {file.stem: read_pickle(file) for file in misa_files(folder)}


def misa_files(folder: Path) -> list[Path]:
    """Return the pickles of a folder that are named after a split."""
    stems = ("train", "dev", "valid", "val", "validation", "test")
    return [file for stem in stems for file in [folder / f"{stem}.pkl"] if file.is_file()]


def read_misa(where: str, content: Any, *, stem: str = "train", embeddings: Array | None = None) -> RawFile:
    """Read lists of samples.

    Args:
        where: start of an error message.
        content: a dict of splits, or the list of one.
        stem: name of the file, which names the split of a single list.
        embeddings: ``[vocabulary, d]``, the vectors of words that are given as integers.
    """
    if not is_misa(content):
        raise DataError(f"{where}: a MISA pickle holds lists of samples, got a {type(content).__name__}.")
    if not isinstance(content, Mapping):
        known = split_name(stem) in ("validation", "test")
        content = {split_name(stem) if known else "train": content}
    splits = {
        name: _read_split(f"{where}, {name}", part, embeddings) for name, part in split_parts(where, content).items()
    }
    labels = next(iter(splits.values())).targets
    tasks: dict[str, Task] = dict.fromkeys(labels, "regression")
    names = {"emotions": _EMOTIONS, "labels": ("sentiment", *_EMOTIONS)} if "emotions" in labels else {}
    return RawFile(splits, ("text", "audio", "vision"), next(iter(labels)), tasks, names)


def _read_split(where: str, samples: Sequence[Any], embeddings: Array | None) -> RawSplit:
    if not samples:
        raise DataError(f"{where}: the list of samples is empty.")
    columns: dict[str, list[Any]] = {"text": [], "vision": [], "audio": [], "words": [], "label": [], "segment": []}
    for index, sample in enumerate(samples):
        at = f"{where}, sample {index}"
        if not isinstance(sample, list | tuple) or len(sample) != 3 or not isinstance(sample[0], list | tuple):
            raise DataError(f"{at}: expected ((words, visual, acoustic, actual_words), label, segment).")
        features, label, segment = sample
        if len(features) not in (3, 4):
            raise DataError(
                f"{at}: expected words, visual, acoustic and perhaps actual_words, got {len(features)} parts."
            )
        columns["text"].append(_words(at, features[0], embeddings))
        columns["vision"].append(_array(at, "visual", features[1]))
        columns["audio"].append(_array(at, "acoustic", features[2]))
        if len(features) == 4:
            columns["words"].append(_spoken(features[3]))
        columns["label"].append(_array(at, "label", label).reshape(-1))
        columns["segment"].append(as_text(segment))
    if len({len(label) for label in columns["label"]}) > 1:
        raise DataError(
            f"{where}: all labels must have as many values, got {sorted({len(x) for x in columns['label']})}."
        )
    ids = columns["segment"]
    video = [re.fullmatch(r"(.+)\[.*\]", id_) for id_ in ids]
    unreadable = {}
    if any(words.dtype.kind in "iu" for words in columns["text"]):
        unreadable["text"] = (
            "the words are integers, indices of a vocabulary, and no sequence of features; give embeddings=, the "
            "[vocabulary, d] array of their vectors, or leave text out with modalities=('audio', 'vision')."
        )
    return RawSplit(
        inputs={name: columns[name] for name in ("text", "audio", "vision") if name not in unreadable},
        targets=_targets(np.stack(columns["label"])),
        ids=ids,
        # The SDK writes video[clip].
        groups=[match.group(1) for match in video if match] if all(video) else None,
        raw_text=columns["words"] or None,
        unreadable=unreadable,
    )


def _words(where: str, words: Any, embeddings: Array | None) -> Array:
    array = _array(where, "words", words)
    if array.dtype.kind not in "iu" or embeddings is None:
        return array
    if array.ndim != 1 or (array.size and not 0 <= int(array.min()) <= int(array.max()) < len(embeddings)):
        raise DataError(f"{where}: the words must be indices in 0..{len(embeddings) - 1}, the rows of embeddings.")
    vectors: Array = embeddings[array]
    return vectors


def _spoken(words: Any) -> str:
    listed = words.tolist() if isinstance(words, np.ndarray) else words
    return " ".join(map(as_text, listed)) if isinstance(listed, list | tuple) else as_text(listed)


def _array(where: str, name: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{where}: {name} is a list whose entries differ in shape.") from error
    if array.dtype.kind not in "fiu":
        raise DataError(f"{where}: {name} must hold numbers, got {array.dtype}.")
    return array


def _targets(labels: Array) -> dict[str, Array]:
    if labels.shape[1] == 7:
        return {"sentiment": labels[:, 0], "emotions": labels[:, 1:], "labels": labels}
    return {"sentiment": labels[:, 0]} if labels.shape[1] == 1 else {"labels": labels}
