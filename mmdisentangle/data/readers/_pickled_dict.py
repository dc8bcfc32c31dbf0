"""What the two formats that are dicts of dicts of arrays have in common."""

import difflib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmdisentangle._core.errors import DataError, DataWarning
from mmdisentangle.data.readers._names import modality_name, shown
from mmdisentangle.data.readers._raw import Array, Sequences
from mmdisentangle.data.readers._targets import as_text

MODALITIES = ("text", "audio", "vision")


def gather_inputs(
    where: str, part: object, expected: Sequence[str]
) -> tuple[dict[str, Sequences], dict[str, str], dict[str, Any]]:
    """Return the sequences of one split, what is left out of it and why, and all its entries under their usual names.

    Args:
        where: start of an error message.
        part: the split; a dict.
        expected: the keys that the format knows beside the modalities.
    """
    if not isinstance(part, Mapping):
        raise DataError(f"{where}: expected a dict of arrays, got a {type(part).__name__}.")
    entries: dict[str, Any] = {}
    for key, value in part.items():
        stem, suffix, _ = str(key).partition("_lengths")
        name = modality_name(stem) + suffix
        if name in entries:
            raise DataError(f"{where}: {name!r} is there twice, under {shown(part)}.")
        entries[name] = value
    inputs: dict[str, Sequences] = {name: entries[name] for name in MODALITIES if name in entries}
    for name, value in inputs.items():
        if not isinstance(value, np.ndarray):
            raise DataError(f"{where}: {name!r} must be a numpy array [N, T, d], got a {type(value).__name__}.")
    left_out = {}
    for key, value in entries.items():
        if key in expected or key in inputs or (key.endswith("_lengths") and key.removesuffix("_lengths") in entries):
            continue
        if isinstance(value, np.ndarray) and value.ndim == 3 and value.dtype.kind == "f" and key != "text_bert":
            inputs[key] = value
            left_out[key] = f"{_brief(value)}: not of the format; name it in modalities to read it"
        else:
            left_out[key] = f"{_brief(value)}: not part of the format"
        near = difflib.get_close_matches(key, [*MODALITIES, *expected], 1, cutoff=0.75)
        if near:
            warnings.warn(f"{where}: {key!r} is left out; is it meant to be {near[0]!r}?", DataWarning, stacklevel=2)
    if not any(name in inputs for name in MODALITIES):
        raise DataError(
            f"{where}: no modality is there; expected {', '.join(MODALITIES)} (or visual, acoustic), found "
            f"{shown(part)}."
        )
    return inputs, left_out, entries


def usual_modalities(where: str, splits: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    """Return text, audio and vision as far as they are there; every split must have the same."""
    found = {split: tuple(name for name in MODALITIES if name in inputs) for split, inputs in splits.items()}
    if len(set(found.values())) > 1:
        listed = "; ".join(f"{split} has {', '.join(names)}" for split, names in found.items())
        raise DataError(f"{where}: all splits must have the same modalities, but {listed}.")
    return next(iter(found.values()))


def as_array(where: str, key: str, value: object) -> Array:
    """Return a list of numbers or texts as an array."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{where}: {key!r} is a list whose entries differ in shape.") from error
    if array.ndim == 0:
        raise DataError(f"{where}: {key!r} must hold one entry per sample, got a {type(value).__name__}.")
    return array


def as_texts(where: str, key: str, value: object) -> list[str]:
    """Return one text per sample; several columns, such as video, start and end, are joined by a slash."""
    rows = as_array(where, key, value)
    if rows.ndim > 2:
        raise DataError(f"{where}: {key!r} must hold one name per sample, got shape {list(rows.shape)}.")
    return ["/".join(as_text(part) for part in np.atleast_1d(row).tolist()) for row in rows]


def _brief(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    return type(value).__name__


def text_bert_note(value: object) -> str:
    """Say what text_bert is."""
    return f"{_brief(value)}: token numbers, mask and segments for BERT, not a sequence of features"
