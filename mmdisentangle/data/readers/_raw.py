"""What every reader hands over: the arrays of a file as they are, under one set of names."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from mmdisentangle._core.errors import DataError, DtypeError
from mmdisentangle.data.dataset import Task

Array: TypeAlias = np.ndarray[Any, Any]
# One array for all samples, or one per sample.
Sequences: TypeAlias = Array | Sequence[Array]


@dataclass
class RawSplit:
    """One split.

    Args:
        inputs: modality name to ``[N, T, d]``, or to N arrays ``[T_n, d]``.
        targets: every target that the file has, ``[N, ...]``.
        lengths: the declared number of real frames of each sample, where the file declares it.
        ids, groups, raw_text: one text per sample.
        aligned: whether frame t is the same word in all modalities.
        left_out: what else is there, and why it is not read.
        unreadable: modalities that cannot be read as sequences, and why; an error only where one of them is wanted.
    """

    inputs: dict[str, Sequences]
    targets: dict[str, Array]
    lengths: dict[str, Array] = field(default_factory=dict)
    ids: list[str] | None = None
    groups: list[str] | None = None
    raw_text: list[str] | None = None
    aligned: bool = False
    left_out: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass
class RawFile:
    """All splits of a file.

    Args:
        splits: under the names train, validation and test, or others where the format allows them.
        modalities: those that are read where the user names none.
        target: the target that is read where the user names none.
        tasks: what each target means.
        class_names: names of the classes or labels of a target, where the file or the format gives them.
        padded: whether frames of zeros at the ends are padding; False where the format states lengths itself.
    """

    splits: dict[str, RawSplit]
    modalities: tuple[str, ...]
    target: str
    tasks: dict[str, Task]
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    padded: bool = True


def check_split(where: str, split: RawSplit) -> None:
    """Require arrays that agree on the number of samples, and modalities that are sequences of floats."""
    first, count = next(iter(split.inputs)), len(split)
    if count == 0:
        raise DataError(f"{where}: {first!r} holds no sample.")
    for name, x in split.inputs.items():
        _check_sequences(where, name, x)
    others: dict[str, Sequence[Any] | Array | None] = {
        **{repr(name): x for name, x in split.inputs.items()},
        **{f"the lengths of {name!r}": x for name, x in split.lengths.items()},
        **{f"the target {name!r}": x for name, x in split.targets.items()},
        "the list of ids": split.ids,
        "the list of groups": split.groups,
        "raw_text": split.raw_text,
    }
    for label, values in others.items():
        if values is not None and len(values) != count:
            raise DataError(f"{where}: {first!r} has {count} samples and {label} has {len(values)}; they must agree.")


def _check_sequences(where: str, name: str, sequences: Sequences) -> None:
    if isinstance(sequences, np.ndarray) and sequences.ndim != 3:
        raise DataError(f"{where}: {name!r} must have shape [N, T, d], got {list(sequences.shape)}.")
    for index, x in enumerate(sequences):
        if not isinstance(x, np.ndarray):
            raise DataError(
                f"{where}: {name!r} must hold arrays of numbers, got {type(x).__name__} for sample {index}; a modality "
                "that is missing is an array without frames, or one of zeros."
            )
        if x.ndim != 2 or x.shape[1] != sequences[0].shape[1] or x.shape[1] == 0:
            width = sequences[0].shape[-1] if sequences[0].ndim else "d"
            raise DataError(
                f"{where}: {name!r} must hold sequences [T, {width or 'd'}], got {list(x.shape)} for sample {index}."
            )
        if x.dtype.kind != "f":
            raise DtypeError(
                f"{where}: {name!r} must be floating point, got {x.dtype} for sample {index}; integers may be indices "
                "of words or pixels, which a sequence model cannot read as numbers. Convert them to features first."
            )
        if isinstance(sequences, np.ndarray):
            break
