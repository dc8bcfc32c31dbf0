"""From the arrays of a file to data sets, with an account of what was found on the way."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmdisentangle._core.errors import DataError, DataWarning, ModalityError, nearest_names
from mmdisentangle._core.modalities import modality_names
from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.readers._names import modality_name
from mmdisentangle.data.readers._nonfinite import Nonfinite, cut_and_clean, feature_means
from mmdisentangle.data.readers._raw import Array, RawFile, RawSplit, Sequences, check_split
from mmdisentangle.data.readers._targets import Target, choose_target, describe_target
from mmdisentangle.data.readers._windows import Windows, find_windows, is_aligned, length_table


def build(
    path: Path,
    raw: RawFile,
    *,
    nonfinite: Nonfinite,
    target: str | None = None,
    modalities: Sequence[str] | None = None,
    only: str | None = None,
) -> tuple[dict[str, MultimodalDataset], dict[str, Any]]:
    """Return the data sets of a file, or ``only`` one of them, and what was found in it."""
    chosen = choose_target(str(path), raw, target, only)
    names = _choose_modalities(str(path), raw, modalities)
    means = _training_means(path, raw, names) if nonfinite == "mean" else None
    datasets, parts = {}, {}
    for name in raw.splits:
        if only in (None, name):
            datasets[name], parts[name] = _build_split(f"{path}, {name}", path, _select(raw, name, names), raw.padded,
                                                       chosen, name, nonfinite, means)  # fmt: skip
    widths = {name: data.modalities for name, data in datasets.items()}
    if len({tuple(width.items()) for width in widths.values()}) > 1:
        raise DataError(f"{path}: all splits must have the same number of features in every modality, got {widths}.")
    return datasets, {"target": chosen.name, "targets": list(raw.tasks), "splits": parts}


def _choose_modalities(where: str, raw: RawFile, wanted: Sequence[str] | None) -> tuple[str, ...]:
    names = raw.modalities if wanted is None else modality_names("read_file", [modality_name(m) for m in wanted])
    for split, part in raw.splits.items():
        for name in names:
            if name in part.unreadable:
                raise DataError(f"{where}, {split}: {name!r} cannot be read: {part.unreadable[name]}")
            if name not in part.inputs:
                raise ModalityError(f"{where}, {split}: no modality {name!r}{nearest_names(name, part.inputs)}")
    return names


def _select(raw: RawFile, split: str, names: Sequence[str]) -> RawSplit:
    """Return the chosen modalities of a split. Whether they are aligned, the usual ones together say."""
    part = raw.splits[split]
    return replace(
        part,
        inputs={name: part.inputs[name] for name in names},
        lengths={name: part.lengths[name] for name in names if name in part.lengths},
        aligned=raw.padded and set(names) <= set(raw.modalities) and is_aligned(part, raw.modalities),
    )


def _training_means(path: Path, raw: RawFile, names: Sequence[str]) -> dict[str, Array]:
    if "train" not in raw.splits:
        raise DataError(f"{path}: nonfinite='mean' needs a train split, the file has {', '.join(raw.splits)}.")
    split, where = _select(raw, "train", names), f"{path}, train"
    check_split(where, split)
    windows = find_windows(where, split, padded=raw.padded)
    return {name: feature_means(split.inputs[name], windows[name]) for name in names}


def _build_split(
    where: str,
    path: Path,
    split: RawSplit,
    padded: bool,
    target: Target,
    name: str,
    nonfinite: Nonfinite,
    means: Mapping[str, Array] | None,
) -> tuple[MultimodalDataset, dict[str, Any]]:
    check_split(where, split)
    windows = find_windows(where, split, padded=padded)
    sequences, found = {}, {}
    for modality, x in split.inputs.items():
        cleaned, counts = cut_and_clean(
            f"{where}, {modality!r}", x, windows[modality], nonfinite, None if means is None else means[modality]
        )
        sequences[modality] = cleaned
        found[modality] = _findings(x, windows[modality], counts)
        _warn(f"{where}: {modality!r}", found[modality], nonfinite, padded)
    values = target.values[name]
    samples = [
        MultimodalSample(
            {modality: x[index] for modality, x in sequences.items()},
            values[index],
            str(index) if split.ids is None else split.ids[index],
        )
        for index in range(len(split))
    ]
    dataset = MultimodalDataset(
        samples,
        modalities={modality: x[0].shape[1] for modality, x in sequences.items()},
        task=target.task,
        num_outputs=target.num_outputs,
        class_names=target.class_names,
        groups=split.groups,
        name=path.name if path.is_dir() else path.stem,
    )
    description = {
        "samples": len(split),
        "ids": split.ids is not None,
        "groups": None if split.groups is None else len(set(split.groups)),
        "raw_text": split.raw_text is not None,
        "aligned": split.aligned,
        "target": describe_target(target, name),
        "modalities": found,
        "left_out": split.left_out,
    }
    return dataset, description


def _findings(x: Sequences, windows: Windows, counts: dict[str, int]) -> dict[str, Any]:
    lengths = [len(frames) for frames in x]
    return {
        "dtype": str(x[0].dtype),
        "shape": [len(x), lengths[0] if len(set(lengths)) == 1 else "ragged", x[0].shape[1]],
        "lengths": length_table(windows.lengths),
        "declared_lengths": windows.declared,
        "padding": windows.padding,
        "missing": int((windows.lengths == 0).sum()),
        "nonfinite": counts,
        "beyond_length": {"frames": int(windows.beyond.sum()), "samples": int(np.count_nonzero(windows.beyond))},
        "lengths_beyond_array": windows.too_long,
    }


def _warn(where: str, found: dict[str, Any], nonfinite: Nonfinite, padded: bool) -> None:
    bad, beyond = sum(found["nonfinite"].values()), found["beyond_length"]
    if bad and nonfinite != "keep":
        listed = ", ".join(f"{count} {kind}" for kind, count in found["nonfinite"].items() if count)
        rule = "zero" if nonfinite == "zero" else "the mean of the feature in the training split"
        warnings.warn(f"{where} holds {bad} values that are not finite ({listed}), replaced by {rule}.", DataWarning, 5)
    # In the library's own layouts anything may lie beyond a length.
    if beyond["frames"] and padded:
        warnings.warn(
            f"{where} has values beyond the declared length: {beyond['frames']} frames of {beyond['samples']} samples, "
            "cut off.", DataWarning, 5)  # fmt: skip
    if found["lengths_beyond_array"]:
        warnings.warn(
            f"{where} declares lengths beyond the end of the array for {found['lengths_beyond_array']} samples; all "
            "their frames are taken as real.", DataWarning, 5)  # fmt: skip
