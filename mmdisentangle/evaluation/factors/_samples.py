"""Codes and factors as checked arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from mmdisentangle._core.errors import DataError, DtypeError, SettingError, ShapeError

Array: TypeAlias = npt.NDArray[np.float64]
Rows: TypeAlias = npt.NDArray[np.int64]
# With fewer samples, a third of them tells nothing.
FEWEST = 12


@dataclass(frozen=True)
class Samples:
    """Codes ``[N, D]`` and factors ``[N, K]``; a factor with classes holds their indices from 0.

    ``classes`` has the number of classes of every factor, None for a continuous one.
    """

    codes: Array
    factors: Array
    classes: tuple[int | None, ...]

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.codes)

    @property
    def varying(self) -> npt.NDArray[np.bool_]:
        """Whether each factor takes more than one value, ``[K]``."""
        result: npt.NDArray[np.bool_] = self.factors.min(0) < self.factors.max(0)
        return result


def read_samples(where: str, codes: Any, factors: Any, discrete: bool | Sequence[bool] | None) -> Samples:
    """Check what a user passed.

    Args:
        where: who asks.
        codes: ``[N, D]`` or ``[N]``, array or tensor.
        factors: ``[N, K]`` or ``[N]``, array or tensor.
        discrete: whether factors are classes, for all or one by one; None: those of an integer or boolean type are.

    Raises:
        ShapeError, DtypeError, DataError, SettingError: one sentence about what does not fit.
    """
    code_values, _ = read_columns(where, "codes", codes)
    factor_values, counts = read_columns(where, "factors", factors)
    check_rows(where, "codes", code_values, "factors", factor_values)
    chosen = _chosen(where, discrete, counts, factor_values.shape[1])
    classes: list[int | None] = []
    for index, is_discrete in enumerate(chosen):
        names = None
        if is_discrete:
            names, factor_values[:, index] = np.unique(factor_values[:, index], return_inverse=True)
        classes.append(None if names is None else len(names))
    return Samples(code_values, factor_values, tuple(classes))


def read_columns(where: str, name: str, values: Any) -> tuple[Array, bool]:
    """Return finite columns ``[N, D]``, a copy in float64, and whether they were of an integer or boolean type."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"{where}: {name} must hold real numbers or class indices, got dtype {array.dtype}.")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ShapeError(f"{where}: {name} must have shape [N, columns], got {list(array.shape)}.")
    if len(array) < FEWEST:
        raise DataError(f"{where}: {name} must have at least {FEWEST} samples, got {len(array)}.")
    counts = array.dtype.kind != "f"
    columns = array.astype(np.float64)
    wrong = ~np.isfinite(columns)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"{where}: {name} must be finite, got {columns[row, column]} in column {column} of sample {row} "
            f"({int(wrong.any(1).sum())} samples have such values); leave these samples out."
        )
    return columns, counts


def check_rows(where: str, name: str, first: Array, other_name: str, other: Array) -> None:
    """Require as many samples in both."""
    if len(first) != len(other):
        raise ShapeError(
            f"{where}: {name} and {other_name} must have one row per sample, got {len(first)} and {len(other)} rows."
        )


def _chosen(where: str, discrete: bool | Sequence[bool] | None, counts: bool, columns: int) -> list[bool]:
    if discrete is None:
        return [counts] * columns
    if isinstance(discrete, bool):
        return [discrete] * columns
    chosen = list(discrete)
    if len(chosen) != columns or not all(isinstance(entry, (bool, np.bool_)) for entry in chosen):
        raise SettingError(
            f"{where}: discrete must be True, False or one of them for each of the {columns} factors, got {discrete!r}."
        )
    return [bool(entry) for entry in chosen]
