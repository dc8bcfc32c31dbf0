"""The library's own layout: one file of named arrays, as ``.npz`` or as ``.safetensors``."""

import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import safetensors
import torch

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.dataset import TASKS, Task
from mmdisentangle.data.readers._names import SPLITS, shown, split_name
from mmdisentangle.data.readers._raw import Array, RawFile, RawSplit

_RESERVED = ("target", "groups", "ids", "raw_text")
_TEXTS = re.compile(r"task|class_names|modalities|.+_(?:target|groups|ids|raw_text)")
# Deflate makes at most about a thousand bytes out of one.
_MOST_COMPRESSED = 1100


def read_npz(file: Path) -> dict[str, Array]:
    """Return the arrays of an ``.npz`` file, read without pickle, none larger than its bytes can be."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            for member in members:
                with archive.open(member) as stream:
                    _check_member(member, stream)
        with np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except zipfile.BadZipFile as error:
        raise DataError(f"{file} is not an .npz file of plain arrays, or is cut off ({error}).") from error
    # A damaged archive can end in any of these; an unknown compression is a kind of RuntimeError.
    except (ValueError, OSError, EOFError, AttributeError, TypeError, KeyError, RuntimeError, zlib.error) as error:
        raise DataError(f"{file} is not an .npz file of plain arrays ({error}).") from error


def _check_member(member: zipfile.ZipInfo, stream: IO[bytes]) -> None:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    # In Python integers: the product of a hostile shape would overflow numpy's.
    size = dtype.itemsize
    for length in shape:
        size *= length
    if not dtype.hasobject and (size > member.file_size or size > _MOST_COMPRESSED * (member.compress_size + 1)):
        raise DataError(
            f"the array {member.filename!r} declares the shape {list(shape)} of {dtype}, but the file holds "
            f"{member.compress_size} bytes of it"
        )


def read_safetensors(file: Path) -> dict[str, Array]:
    """Return the arrays of a ``.safetensors`` file; texts are JSON in its metadata, under the same names."""
    try:
        with safetensors.safe_open(file, framework="pt") as archive:
            tensors = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
            metadata = archive.metadata() or {}
    except safetensors.SafetensorError as error:
        raise DataError(f"{file} is not a .safetensors file, or is cut off ({error}).") from error
    # numpy has no bfloat16.
    arrays = {key: (x.float() if x.dtype == torch.bfloat16 else x).numpy() for key, x in tensors.items()}
    for key, value in metadata.items():
        if _TEXTS.fullmatch(key):
            arrays[key] = _from_json(f"{file}: the metadata {key!r}", value)
    return arrays


def _from_json(where: str, value: str) -> Array:
    try:
        texts = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} must be JSON, got {value[:60]!r}; write it with json.dumps.") from error
    if not isinstance(texts, str) and not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        raise DataError(f"{where} must be a text or a list of texts, got {value[:60]!r}.")
    return np.array(texts, dtype=np.str_)


def read_own(where: str, arrays: dict[str, Array]) -> RawFile:
    """Sort named arrays into splits; the layout is described at ``load_npz``."""
    task = _read_task(where, arrays)
    prefixes = [key.removesuffix("_target") for key in arrays if key.endswith("_target")]
    # "train_heart_target" would be the modality "heart_target" of "train".
    prefixes = [name for name in prefixes if not any(name.startswith(f"{other}_") for other in prefixes)]
    if not prefixes:
        raise DataError(f"{where}: no array 'train_target'; the file has {shown(sorted(arrays))}.")
    if len({split_name(prefix) for prefix in prefixes}) < len(prefixes):
        raise DataError(f"{where}: one split is there under two names; the file has {shown(sorted(arrays))}.")
    splits = {split_name(prefix): _read_split(where, prefix, arrays) for prefix in prefixes}
    ordered = {name: splits[name] for name in sorted(splits, key=lambda name: (name not in SPLITS, *_rank(name)))}
    names = {tuple(sorted(split.inputs)) for split in ordered.values()}
    if len(names) > 1:
        raise DataError(f"{where}: all splits must have the same modalities, got {sorted(map(list, names))}.")
    first = next(iter(ordered.values()))
    class_names = {"target": tuple(map(str, arrays["class_names"]))} if "class_names" in arrays else {}
    modalities = tuple(map(str, np.atleast_1d(arrays["modalities"]))) if "modalities" in arrays else tuple(first.inputs)
    return RawFile(ordered, modalities, "target", {"target": task}, class_names, padded=False)


def _rank(name: str) -> tuple[int, str]:
    return (SPLITS.index(name) if name in SPLITS else 0), name


def _read_task(where: str, arrays: dict[str, Array]) -> Task:
    task = str(arrays["task"]) if "task" in arrays else None
    if task not in TASKS:
        raise DataError(
            f"{where}: the array 'task' must be one of {', '.join(map(repr, TASKS))}, got {task!r}; "
            "add task=np.array('classification'), for instance, to numpy.savez."
        )
    return cast(Task, task)


def _read_split(where: str, split: str, arrays: dict[str, Array]) -> RawSplit:
    prefix = f"{split}_"
    parts = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    modalities = [key for key in parts if key not in _RESERVED and not _is_lengths(key, parts)]
    if not modalities:
        raise DataError(
            f"{where}: no array '{prefix}<modality>' for the split {split!r}; the file has {shown(sorted(arrays))}."
        )
    return RawSplit(
        inputs={name: parts[name] for name in modalities},
        targets={"target": np.atleast_1d(parts["target"])},
        lengths={name: parts[f"{name}_lengths"] for name in modalities if f"{name}_lengths" in parts},
        ids=_texts(parts, "ids"),
        groups=_texts(parts, "groups"),
        raw_text=_texts(parts, "raw_text"),
    )


def _is_lengths(key: str, parts: dict[str, Array]) -> bool:
    return key.endswith("_lengths") and key.removesuffix("_lengths") in parts


def _texts(parts: dict[str, Array], key: str) -> list[str] | None:
    return [str(text) for text in np.atleast_1d(parts[key])] if key in parts else None
