"""The several names that the field has for one thing."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from mmdisentangle._core.errors import DataError, nearest_names

Value = TypeVar("Value")

SPLITS = ("train", "validation", "test")
_SPLITS = {"dev": "validation", "valid": "validation", "val": "validation"}
_MODALITIES = {"visual": "vision", "video": "vision", "acoustic": "audio"}


def split_name(name: str) -> str:
    """Return the one name of a split: dev, valid and val are all the validation split."""
    return _SPLITS.get(name, name)


def modality_name(name: str) -> str:
    """Return the one name of a modality: visual and video are vision, acoustic is audio."""
    return _MODALITIES.get(name, name)


def split_parts(where: str, content: Mapping[str, Value]) -> dict[str, Value]:
    """Return the splits of a dict under their one name, in the usual order."""
    known = [*SPLITS, *_SPLITS]
    parts: dict[str, Value] = {}
    for name, part in content.items():
        if name not in known:
            raise DataError(
                f"{where}: expected the splits train, valid (or dev, validation) and test, found "
                f"{shown(content)}{nearest_names(str(name), known)}"
            )
        if split_name(name) in parts:
            raise DataError(f"{where}: the file has two {split_name(name)} splits, under {shown(content)}.")
        parts[split_name(name)] = part
    if not parts:
        raise DataError(f"{where}: the file holds an empty dict; expected the splits train, valid and test.")
    return {name: parts[name] for name in SPLITS if name in parts}


def shown(names: Iterable[object], most: int = 20) -> str:
    """Return names for an error message, cut to a readable number."""
    listed = [repr(name)[:60] for name in names]
    return "[" + ", ".join(listed[:most]) + (f", ... ({len(listed)} in all)" if len(listed) > most else "") + "]"
