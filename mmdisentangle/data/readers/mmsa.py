"""The pickles of MMSA: CMU-MOSI, CMU-MOSEI and CH-SIMS, aligned or not."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.dataset import Task
from mmdisentangle.data.readers._names import shown, split_parts
from mmdisentangle.data.readers._pickled_dict import (
    as_array,
    as_texts,
    gather_inputs,
    text_bert_note,
    usual_modalities,
)
from mmdisentangle.data.readers._raw import Array, RawFile, RawSplit

_REGRESSION = ("regression_labels", "regression_labels_T", "regression_labels_A", "regression_labels_V")
_CLASSES = ("classification_labels", "classification_labels_T", "classification_labels_A", "classification_labels_V")
_TASKS: dict[str, Task] = {
    **dict.fromkeys(_REGRESSION, "regression"),
    **dict.fromkeys((*_CLASSES, "annotations"), "classification"),
}
_EXPECTED = (*_TASKS, "raw_text", "id", "text_bert", "audio_lengths", "vision_lengths", "text_lengths")


def is_mmsa(content: object) -> bool:
    """Tell whether a pickle has the keys of MMSA."""
    return isinstance(content, Mapping) and any(
        isinstance(part, Mapping) and not {*_TASKS, "raw_text", "text_bert"}.isdisjoint(part)
        for part in content.values()
    )


def read_mmsa(where: str, content: Any) -> RawFile:
    """Read a dict of splits with text, audio, vision, their lengths, raw_text, id and labels of several kinds."""
    if not isinstance(content, Mapping):
        raise DataError(f"{where}: an MMSA pickle is a dict of train, valid and test, got a {type(content).__name__}.")
    splits = {name: _read_split(f"{where}, {name}", part) for name, part in split_parts(where, content).items()}
    tasks = {name: task for name, task in _TASKS.items() if all(name in split.targets for split in splits.values())}
    if not tasks:
        raise DataError(f"{where}: no target is in every split; expected regression_labels or one of {shown(_TASKS)}.")
    modalities = usual_modalities(where, {name: split.inputs for name, split in splits.items()})
    return RawFile(splits, modalities, next(iter(tasks)), tasks)


def _read_split(where: str, part: Any) -> RawSplit:
    inputs, left_out, entries = gather_inputs(where, part, _EXPECTED)
    declared = {name: f"{name}_lengths" for name in inputs if f"{name}_lengths" in entries}
    lengths = {name: as_array(where, key, entries[key]) for name, key in declared.items()}
    if "text_bert" in entries:
        left_out["text_bert"] = text_bert_note(entries["text_bert"])
        _lengths_from_mask(inputs, lengths, entries["text_bert"])
    ids = as_texts(where, "id", entries["id"]) if "id" in entries else None
    return RawSplit(
        inputs=inputs,
        targets={name: _target(where, name, entries[name]) for name in _TASKS if name in entries},
        lengths=lengths,
        ids=ids,
        # MMSA writes video$_$clip.
        groups=[id_.split("$_$")[0] for id_ in ids] if ids and all("$_$" in id_ for id_ in ids) else None,
        raw_text=as_texts(where, "raw_text", entries["raw_text"]) if "raw_text" in entries else None,
        left_out=left_out,
    )


def _lengths_from_mask(inputs: Mapping[str, Any], lengths: dict[str, Array], text_bert: Any) -> None:
    """The mask of BERT says how many tokens are real, where text is as long and the modalities are not aligned."""
    text = inputs.get("text")
    frames = {x.shape[1] for x in inputs.values() if np.ndim(x) == 3}
    if (
        text is None
        or np.ndim(text) != 3
        or "text" in lengths
        or len(frames) == 1
        or not isinstance(text_bert, np.ndarray)
    ):
        return
    if text_bert.shape == (len(text), 3, text.shape[1]):
        lengths["text"] = (text_bert[:, 1] != 0).sum(1)


def _target(where: str, name: str, value: Any) -> Array:
    target = as_array(where, name, value)
    if _TASKS[name] == "classification" and target.dtype.kind == "f":
        if not bool((np.isfinite(target) & (target == np.floor(target))).all()):
            raise DataError(f"{where}: {name!r} must hold whole numbers for a classification.")
        return target.astype(np.int64)
    return target
