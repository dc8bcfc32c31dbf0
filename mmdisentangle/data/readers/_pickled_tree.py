"""From the containers of a pickle, with arrays still under construction in them, to plain data."""

from collections.abc import Callable
from typing import Any

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.readers._pickled_values import LongText, Name, PickledArray, PickledDtype

_DEEPEST = 64
_ATOMS = frozenset({str, bytes, int, float, bool, type(None)})


def resolve(value: Any) -> Any:
    """Return a copy of a tree of containers in which every array is finished."""
    return _resolve(value, {}, 0)


def _resolve(value: Any, done: dict[int, Any], depth: int) -> Any:
    """Replace arrays under construction by arrays, each object once however often it occurs."""
    if type(value) in _ATOMS:
        return value
    if id(value) in done:
        if done[id(value)] is None:
            raise DataError("something contains itself")
        return done[id(value)]
    if depth > _DEEPEST:
        raise DataError(f"containers are nested more than {_DEEPEST} deep")
    done[id(value)] = None
    done[id(value)] = result = _resolve_new(value, lambda part: _resolve(part, done, depth + 1))
    return result


def _resolve_new(value: Any, resolve: Callable[[Any], Any]) -> Any:
    kind = type(value)
    if kind is dict:
        return {name: resolve(part) for name, part in value.items()}
    if kind is list:
        return [resolve(part) for part in value]
    if kind is tuple:
        return tuple(resolve(part) for part in value)
    if kind is PickledArray:
        return value.fill(resolve)
    if kind is memoryview:
        return bytes(value)
    if kind is LongText:
        return str(value.raw, "latin1")
    if kind in (Name, PickledDtype):
        raise DataError("it holds a type where data should be")
    return value
