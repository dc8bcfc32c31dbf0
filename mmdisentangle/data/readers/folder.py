"""A folder with one ``.npy`` file per sample and modality, and a table of labels."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.dataset import TASKS
from mmdisentangle.data.readers._names import SPLITS, shown, split_name
from mmdisentangle.data.readers._raw import Array, RawFile, RawSplit

_COLUMNS = ("id", "split", "group", "text")


def read_folder(root: Path) -> RawFile:
    """Read ``<split>/<modality>/<id>.npy``, ``labels.csv`` and, where it is there, ``dataset.json``.

    The table has the columns id, split, optionally group and text (the raw text), and one column per target value. A
    sample without a file lacks that modality. ``dataset.json`` may hold ``task`` and ``class_names``.
    """
    settings = _read_settings(root / "dataset.json")
    rows, targets = _read_table(root / "labels.csv")
    splits = list(dict.fromkeys(row["split"] for row in rows))
    for split in splits:
        if not (root / split).is_dir():
            raise DataError(f"{root}: labels.csv names the split {split!r}, but there is no folder of that name.")
    modalities = sorted({folder.name for split in splits for folder in (root / split).glob("*") if folder.is_dir()})
    if not modalities:
        raise DataError(f"{root}: no folder <split>/<modality> is there; labels.csv names the splits {shown(splits)}.")
    found = {(row["split"], row["id"], name): _load(root / row["split"] / name / f"{row['id']}.npy")
             for row in rows for name in modalities}  # fmt: skip
    empty = {}
    for name in modalities:
        first = next((x for (_, _, key), x in found.items() if key == name and x is not None), None)
        if first is None:
            raise DataError(f"{root}: the folders {name!r} hold no file of a sample that labels.csv names.")
        empty[name] = np.zeros((0, *first.shape[1:]), first.dtype)
    parts: dict[str, RawSplit] = {}
    for split in splits:
        mine = [row for row in rows if row["split"] == split]
        if split_name(split) in parts:
            raise DataError(f"{root / 'labels.csv'}: one split is there under two names, {shown(splits)}.")
        loaded = {name: [found[split, row["id"], name] for row in mine] for name in modalities}
        parts[split_name(split)] = RawSplit(
            inputs={name: [empty[name] if x is None else x for x in values] for name, values in loaded.items()},
            targets={"target": _targets(root, mine, targets, settings["task"])},
            ids=[row["id"] for row in mine],
            groups=[row["group"] for row in mine] if "group" in rows[0] else None,
            raw_text=[row["text"] for row in mine] if "text" in rows[0] else None,
            left_out=_strays(root / split, mine, modalities),
        )
    ordered = {name: parts[name] for name in sorted(parts, key=lambda name: [*SPLITS, name].index(name))}
    names = {"target": tuple(settings["class_names"])} if settings["class_names"] else {}
    if settings["task"] != "classification" and len(targets) > 1:
        names = names or {"target": tuple(targets)}
    return RawFile(ordered, tuple(modalities), "target", {"target": settings["task"]}, names, padded=False)


def _read_settings(file: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {"task": "regression", "class_names": None}
    if file.is_file():
        try:
            given = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file} is not JSON ({error}).") from error
        if not isinstance(given, dict) or not set(given) <= set(settings):
            raise DataError(f"{file} must hold a dict of task and class_names, got {shown(given)}.")
        settings |= given
    names = settings["class_names"]
    if settings["task"] not in TASKS:
        raise DataError(f"{file}: task must be one of {', '.join(map(repr, TASKS))}, got {settings['task']!r}.")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise DataError(f"{file}: class_names must be a list of texts, got {names!r}.")
    return settings


def _read_table(file: Path) -> tuple[list[dict[str, str]], list[str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            header = list(reader.fieldnames or [])
            rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not a table of comma-separated values ({error}).") from error
    targets = [column for column in header if column not in _COLUMNS]
    if "id" not in header or "split" not in header or not targets:
        raise DataError(f"{file} must have the columns id, split and at least one target, got {shown(header)}.")
    if not rows:
        raise DataError(f"{file} names no sample.")
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise DataError(f"{file}, line {line}: expected {len(header)} values, as in the first line.")
        for part in (row["id"], row["split"]):
            if not part or part in (".", "..") or "/" in part or "\\" in part or "\0" in part:
                raise DataError(f"{file}, line {line}: {part!r} must be the plain name of a file or folder.")
    (split, id_), times = Counter((row["split"], row["id"]) for row in rows).most_common(1)[0]
    if times > 1:
        raise DataError(f"{file}: the sample {id_!r} is there {times} times in the split {split!r}.")
    return rows, targets


def _load(file: Path) -> Array | None:
    if not file.is_file():
        return None
    try:
        # Mapped first: a shape that the file has no bytes for is refused before memory is taken.
        return np.array(np.load(file, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, EOFError, OverflowError, TypeError) as error:
        raise DataError(f"{file} is not an .npy file of plain numbers, or is cut off ({error}).") from error


def _targets(root: Path, rows: list[dict[str, str]], columns: list[str], task: str) -> Array:
    values = [[row[column] for column in columns] for row in rows]
    if task == "classification":
        if len(columns) > 1:
            raise DataError(f"{root / 'labels.csv'}: a classification has one target column, got {columns}.")
        names = [value for (value,) in values]
        whole = all(name.isascii() and name.isdigit() and len(name) < 10 for name in names)
        return np.array([int(name) for name in names]) if whole else np.array(names)
    try:
        return np.array(values, dtype=np.float64)
    except ValueError as error:
        raise DataError(
            f"{root / 'labels.csv'}: the targets {columns} must be numbers for a {task} ({error}); for "
            'class names write dataset.json with {"task": "classification"}.'
        ) from error


def _strays(folder: Path, rows: list[dict[str, str]], modalities: list[str]) -> dict[str, str]:
    named = {row["id"] for row in rows}
    strays = {name: sum(file.stem not in named for file in (folder / name).glob("*.npy")) for name in modalities}
    return {
        f"{name}/": f"{count} files of samples that labels.csv does not name" for name, count in strays.items() if count
    }
