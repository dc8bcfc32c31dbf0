"""What is to be predicted: one of the targets of a file, in the form that the data set wants."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmdisentangle._core.errors import DataError, SettingError, nearest_names
from mmdisentangle.data.dataset import Task
from mmdisentangle.data.readers._raw import Array, RawFile

# More are a mistake, the numbers of samples for instance.
_MOST_CLASSES = 10**6


@dataclass(frozen=True)
class Target:
    """One target of all splits."""

    name: str
    task: Task
    class_names: tuple[str, ...] | None
    num_outputs: int
    values: dict[str, Tensor]


def choose_target(where: str, raw: RawFile, name: str | None, only: str | None = None) -> Target:
    """Return the target that the user named, or the usual one of the format; ``only`` for one split where given."""
    name = raw.target if name is None else name
    if name not in raw.tasks:
        raise SettingError(f"{where}: no target is called {name!r}{nearest_names(name, list(raw.tasks))}")
    arrays = {}
    for split, part in raw.splits.items():
        if name not in part.targets:
            raise DataError(f"{where}, {split}: no target {name!r}; this split has {sorted(part.targets)}.")
        arrays[split] = _squeeze(part.targets[name])
    task, names = raw.tasks[name], raw.class_names.get(name)
    if task == "classification":
        names, values = _classes(where, name, arrays, names)
        return Target(name, task, names, len(names), values)
    values = {
        split: _numbers(f"{where}, {split}", name, task, array)
        for split, array in arrays.items()
        if only in (None, split)
    }
    widths = {1 if value.ndim == 1 else value.shape[1] for value in values.values()}
    if len(widths) > 1:
        raise DataError(f"{where}: the target {name!r} has {sorted(widths)} outputs in different splits.")
    return Target(name, task, names, widths.pop(), values)


def _squeeze(target: Array) -> Array:
    """``[N, 1, 1]`` and ``[N, 1]`` are ``[N]``, ``[N, 1, k]`` is ``[N, k]``."""
    while target.ndim > 1 and target.shape[1] == 1:
        target = target[:, 0]
    return target


def _numbers(where: str, name: str, task: Task, target: Array) -> Tensor:
    if target.dtype.kind not in "fiub":
        raise DataError(f"{where}: the target {name!r} must hold numbers for a {task}, got {target.dtype}.")
    if target.ndim > 2:
        raise DataError(f"{where}: the target {name!r} must have shape [N] or [N, outputs], got {list(target.shape)}.")
    with np.errstate(over="ignore"):
        target = np.array(target, dtype=np.float32)
    bad = int((~np.isfinite(target)).sum())
    if bad:
        raise DataError(
            f"{where}: the target {name!r} holds {bad} values that are NaN or infinite; no rule can say what they "
            "should be, so leave those samples out."
        )
    return torch.from_numpy(target)


def _classes(
    where: str, name: str, arrays: dict[str, Array], names: tuple[str, ...] | None
) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """Return class indices. Classes are counted over all splits, or one without a training sample would be lost."""
    listed: dict[str, list[Any]] = {}
    for split, array in arrays.items():
        if array.ndim != 1 or array.dtype.kind not in "iuUSO":
            raise DataError(
                f"{where}, {split}: the target {name!r} must hold class names or integers for a classification, got "
                f"{array.dtype} of shape {list(array.shape)}."
            )
        listed[split] = [value if array.dtype.kind in "iu" else as_text(value) for value in array.tolist()]
    found = {value for values in listed.values() for value in values}
    if not all(isinstance(value, int) for value in found):
        order: list[Any] = list(names or sorted(map(str, found)))
    elif max(found) - min(found) > _MOST_CLASSES:
        raise DataError(
            f"{where}: the target {name!r} holds {min(found)} to {max(found)} as class indices; classes "
            "are counted from 0."
        )
    elif min(found) < 0:
        # SIMS counts -1, 0, 1.
        order, names = sorted(found), names or tuple(str(value) for value in sorted(found))
    else:
        order = list(range(len(names) if names else max(found) + 1))
    position = {value: index for index, value in enumerate(order)}
    unknown = sorted(map(str, found - set(position)))
    if unknown:
        raise DataError(
            f"{where}: the target {name!r} holds {unknown[0]!r}, which is not among class_names {list(names or ())}."
        )
    indices = {
        split: torch.tensor([position[value] for value in values], dtype=torch.int64)
        for split, values in listed.items()
    }
    return names or tuple(str(value) for value in order), indices


def as_text(value: object) -> str:
    """Return a text, also of the bytes that Python 2 left."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def describe_target(target: Target, split: str) -> dict[str, Any]:
    """Return the range of a regression target, or how often each class or label occurs."""
    values = target.values[split]
    found: dict[str, Any] = {"name": target.name, "task": target.task, "outputs": target.num_outputs}
    if target.task == "regression":
        return {**found, "min": float(values.min()), "mean": float(values.mean()), "max": float(values.max())}
    counts = values.bincount(minlength=target.num_outputs) if target.task == "classification" else values.sum(0)
    names = target.class_names or tuple(str(index) for index in range(target.num_outputs))
    return {**found, "counts": {name: int(count) for name, count in zip(names, counts.reshape(-1), strict=True)}}
