"""Argument checks that look at types, shapes and settings, never at tensor values (no device synchronisation)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmdisentangle._core.errors import DtypeError, SettingError, ShapeError, nearest_names


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def check_tensor(where: str, name: str, value: object) -> None:
    """Require a tensor."""
    if not isinstance(value, Tensor):
        raise DtypeError(
            f"{where}: {name} must be a torch.Tensor, got {type(value).__name__}; "
            "convert arrays and lists with torch.as_tensor."
        )


def check_float(where: str, name: str, tensor: Tensor, axes: str) -> None:
    """Require a real floating tensor with as many axes as ``axes`` names, for instance ``"B T D"``."""
    check_tensor(where, name, tensor)
    if not tensor.is_floating_point():
        raise DtypeError(
            f"{where}: {name} must be a floating-point tensor, got {tensor.dtype}; convert it with {name}.float()."
        )
    check_axes(where, name, tensor, axes)


def check_axes(where: str, name: str, tensor: Tensor, axes: str) -> None:
    """Require as many axes as ``axes`` names."""
    if tensor.ndim != len(axes.split()):
        raise ShapeError(f"{where}: {name} must have shape [{', '.join(axes.split())}], got {_shape(tensor)}.")


def check_width(where: str, name: str, tensor: Tensor, width: int) -> None:
    """Require a given size of the last axis."""
    if tensor.shape[-1] != width:
        raise ShapeError(
            f"{where}: {name} must have {width} features on its last axis, got {tensor.shape[-1]} "
            f"(shape {_shape(tensor)})."
        )


def check_same_shape(where: str, name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Require equal shapes."""
    if tensor.shape != other.shape:
        raise ShapeError(
            f"{where}: {name} and {other_name} must have the same shape, got {_shape(tensor)} and {_shape(other)}."
        )


def check_mask(where: str, name: str, mask: Tensor, shape: Sequence[int | torch.SymInt]) -> None:
    """Require a boolean mask (True = real) of exactly ``shape``."""
    check_tensor(where, name, mask)
    if mask.dtype != torch.bool:
        raise DtypeError(
            f"{where}: {name} must be a boolean tensor (True = real), got {mask.dtype}; "
            f"convert a 0/1 attention mask with {name}.bool(), lengths with lengths_to_mask."
        )
    if tuple(mask.shape) != tuple(shape):
        raise ShapeError(f"{where}: {name} must have shape {list(shape)}, got {_shape(mask)}.")


def check_choice(where: str, name: str, value: object, choices: Sequence[str]) -> None:
    """Require one of a list of names."""
    if value not in choices:
        raise SettingError(
            f"{where}: {name} must be one of {', '.join(map(repr, choices))}, got {value!r}"
            f"{nearest_names(str(value), choices)}"
        )


def check_number(
    where: str,
    name: str,
    value: object,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Require a finite number in an interval, closed unless said otherwise."""
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    fits = (
        number is not None
        and -math.inf < number < math.inf
        and (number > low if open_low else number >= low)
        and (number < high if open_high else number <= high)
    )
    if not fits:
        left = "" if low == -math.inf else f"{low:g} {'<' if open_low else '<='} "
        right = "" if high == math.inf else f" {'<' if open_high else '<='} {high:g}"
        bounds = f" with {left}{name}{right}" if left or right else ""
        raise SettingError(f"{where}: {name} must be a finite number{bounds}, got {value!r}.")


def check_flag(where: str, name: str, value: object) -> None:
    """Require True or False itself; a string such as "no" would count as true."""
    if not isinstance(value, bool):
        raise SettingError(f"{where}: {name} must be True or False, got {value!r}.")


def check_bounds(where: str, bounds: object) -> None:
    """Require a pair ``(low, high)`` of finite numbers with low < high."""
    if not isinstance(bounds, Sequence) or isinstance(bounds, str) or len(bounds) != 2:
        raise SettingError(f"{where}: bounds must be a pair (low, high), got {bounds!r}.")
    check_number(where, "the lower bound", bounds[0])
    check_number(where, "the upper bound", bounds[1])
    if not bounds[0] < bounds[1]:
        raise SettingError(f"{where}: bounds must be (low, high) with low < high, got {bounds!r}.")


def check_count(where: str, name: str, value: object, low: int = 1) -> None:
    """Require an integer of at least ``low``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise SettingError(f"{where}: {name} must be an integer of at least {low}, got {value!r}.")
