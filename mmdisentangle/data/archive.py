"""Read a user's own data from one ``.npz`` file of plain arrays."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.dataset import TASKS, MultimodalDataset

_RESERVED = ("target", "groups", "ids")


def load_npz(path: str | Path, split: str = "train") -> MultimodalDataset:
    """Load one split of an ``.npz`` file, written with ``numpy.savez``.

    =============================  ====================================================================================
    Array                          Content
    =============================  ====================================================================================
    ``task``                       a string: ``"regression"``, ``"classification"`` or ``"multilabel"``; never guessed
    ``train_<modality>``           ``[N, T, d]`` floats; any modality names except target, groups and ids
    ``train_<modality>_lengths``   optional ``[N]`` integers: real frames of each sample; 0 = the modality is missing
    ``train_target``               ``[N]`` or ``[N, num_outputs]``; for a classification names or integers from 0
    ``train_groups``               optional ``[N]`` names, for instance of persons: validation keeps groups whole
    ``train_ids``                  optional ``[N]`` names of the samples
    ``class_names``                optional names of the classes or labels, in the order of the outputs
    ``test_...``                   the same for the test split
    =============================  ====================================================================================

    Args:
        path: the file. It is read without pickle: object arrays are refused.
        split: prefix of the arrays, usually ``"train"`` or ``"test"``.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is not such an archive, or contradicts itself.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(2, "no such data file", str(path))
    arrays = _read(file)
    where = f"load_npz: {file}"
    task = str(arrays["task"]) if "task" in arrays else None
    if task not in TASKS:
        raise DataError(
            f"{where}: the array 'task' must be one of {', '.join(map(repr, TASKS))}, got {task!r}; "
            "add task=np.array('classification'), for instance, to numpy.savez."
        )
    prefix = f"{split}_"
    parts = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    modalities = [key for key in parts if key not in _RESERVED and not _is_lengths(key, parts)]
    if not modalities:
        raise DataError(
            f"{where}: no array '{prefix}<modality>' for the split {split!r}; the file has {sorted(arrays)}."
        )
    if "target" not in parts:
        raise DataError(f"{where}: no array '{prefix}target'; the file has {sorted(arrays)}.")
    class_names = [str(name) for name in arrays["class_names"]] if "class_names" in arrays else None
    target, class_names = _read_target(where, task, prefix, arrays, class_names)
    return MultimodalDataset.from_arrays(
        {name: _floats(parts[name]) for name in modalities},
        target,
        lengths={name: parts[f"{name}_lengths"] for name in modalities if f"{name}_lengths" in parts},
        ids=None if "ids" not in parts else [str(id_) for id_ in parts["ids"]],
        groups=None if "groups" not in parts else [str(group) for group in parts["groups"]],
        task=task,
        class_names=class_names,
        name=file.stem,
    )


def _read(file: Path) -> dict[str, np.ndarray[Any, Any]]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError) as error:
        raise DataError(f"load_npz: {file} is not an .npz file of plain arrays ({error}).") from error


def _is_lengths(key: str, parts: dict[str, np.ndarray[Any, Any]]) -> bool:
    owner = re.fullmatch(r"(.+)_lengths", key)
    return owner is not None and owner.group(1) in parts


def _floats(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # Models compute in float32; numpy's default is float64. Other types are left for from_arrays to refuse by name.
    return values.astype(np.float32) if values.dtype == np.float64 else values


def _read_target(
    where: str, task: str, prefix: str, arrays: dict[str, np.ndarray[Any, Any]], class_names: list[str] | None
) -> tuple[Tensor, list[str] | None]:
    target = arrays[f"{prefix}target"]
    if task != "classification":
        if target.dtype.kind not in "fiub":
            raise DataError(f"{where}: '{prefix}target' must hold numbers for a {task}, got {target.dtype}.")
        return torch.from_numpy(target.astype(np.float32)), class_names
    if target.dtype.kind in "iu":
        if class_names is None:
            # All splits together, or a class without a training sample would change the number of outputs.
            found = [value for key, value in arrays.items() if key.endswith("_target") and value.dtype.kind in "iu"]
            highest = max(int(value.max(initial=0)) for value in found)
            class_names = [str(index) for index in range(highest + 1)]
        return torch.from_numpy(target.astype(np.int64)), class_names
    if target.dtype.kind != "U":
        raise DataError(
            f"{where}: '{prefix}target' must hold class names or integers for a classification, got {target.dtype}."
        )
    if class_names is None:
        found = [value for key, value in arrays.items() if key.endswith("_target") and value.dtype.kind == "U"]
        class_names = sorted({str(name) for value in found for name in value})
    index = {name: position for position, name in enumerate(class_names)}
    unknown = sorted({str(name) for name in target} - set(index))
    if unknown:
        raise DataError(
            f"{where}: '{prefix}target' holds {unknown[0]!r}, which is not among class_names {class_names}."
        )
    return torch.tensor([index[str(name)] for name in target], dtype=torch.int64), class_names
