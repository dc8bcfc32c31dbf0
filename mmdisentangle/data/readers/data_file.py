"""One data file of the field: what is in it, checked and cleaned, and the data sets made of it."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmdisentangle._core.checks import check_choice
from mmdisentangle._core.errors import DataError, DataWarning, ModalityError, nearest_names
from mmdisentangle._core.modalities import modality_names
from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.readers._formats import read_raw
from mmdisentangle.data.readers._names import modality_name, split_name
from mmdisentangle.data.readers._nonfinite import NONFINITE, Nonfinite, cut_and_clean, feature_means
from mmdisentangle.data.readers._raw import Array, RawFile, RawSplit, Sequences, check_split
from mmdisentangle.data.readers._report import render
from mmdisentangle.data.readers._targets import Target, choose_target, describe_target
from mmdisentangle.data.readers._windows import Windows, find_windows, length_table


@dataclass(frozen=True)
class DataFile:
    """What was read from one file.

    Args:
        path: the file or folder.
        format: mmsa, mult, misa, npz, safetensors or folder.
        sha256: of the file; of a folder, that of the sorted lines ``digest  relative/path`` of its files.
        splits: data sets by split: train, validation and test as far as they are there.
        findings: what was found, split by split and modality by modality; numbers, texts, lists and dicts only.
        raw_text: the text of each sample by split, in the order of the data set, where the file has it.
    """

    path: Path
    format: str
    sha256: str
    splits: dict[str, MultimodalDataset]
    findings: dict[str, Any]
    raw_text: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def describe(self) -> str:
        """Return the findings as plain text."""
        return render(self.findings)


def read_file(
    path: str | Path,
    *,
    format: str = "auto",
    sha256: str | None = None,
    nonfinite: Nonfinite = "zero",
    target: str | None = None,
    modalities: Sequence[str] | None = None,
    embeddings: Array | None = None,
) -> DataFile:
    """Read a data file of the field, whatever its format, without running anything in it.

    ===============  ==================================================================================================
    Format           Content
    ===============  ==================================================================================================
    ``mmsa``         pickle of MMSA (MOSI, MOSEI, SIMS): dict of splits with text, audio, vision, regression_labels ...
    ``mult``         pickle of MulT, aligned or not, padded on the left; labels may be one-hot (IEMOCAP)
    ``misa``         pickle of MISA or the CMU-Multimodal SDK: lists of samples; or a folder of train.pkl, dev.pkl ...
    ``npz``          the layout of ``load_npz``
    ``safetensors``  the same arrays under the same names; texts as JSON in the metadata
    ``folder``       ``<split>/<modality>/<id>.npy`` and ``labels.csv``
    ===============  ==================================================================================================

    In the three pickled formats frames of zeros at either end are padding and are cut away; a sample that has only such
    frames lacks the modality. Modalities of equal lengths stay aligned. Declared lengths are obeyed and checked.

    Args:
        path: a file or a folder.
        format: ``"auto"`` finds it from the content.
        sha256: the digest that the file must have; another one is an error before anything is read.
        nonfinite: what becomes of NaN and infinities in the real frames: ``"zero"``; ``"mean"``, the mean of that
            feature over the training split; ``"error"``; ``"keep"``.
        target: which target, where the file has several, for instance ``"classification_labels"``.
        modalities: those to read, in this order; all usual ones where None.
        embeddings: ``[vocabulary, d]``, for MISA pickles whose words are indices.

    Raises:
        FileNotFoundError: no such file.
        UnsafePickleError: a pickle that asks for more than arrays and plain containers.
        DataError: a file that is cut off, has other keys than its format, or contradicts itself.
        SettingError, ModalityError: an argument that names nothing.

    Warns:
        DataWarning: values that were replaced, cut off or left out, with their number.
    """
    path = Path(path)
    check_choice("read_file", "nonfinite", nonfinite, NONFINITE)
    if not path.exists():
        raise FileNotFoundError(2, "no such data file", str(path))
    found = digest(path)
    if sha256 is not None and sha256.lower() != found:
        raise DataError(
            f"{path}: the SHA-256 must be {sha256.lower()}, got {found}; the file is another one, or damaged."
        )
    format, raw = read_raw(path, format, embeddings)
    datasets, findings = build(path, raw, nonfinite=nonfinite, target=target, modalities=modalities)
    texts = {name: tuple(split.raw_text) for name, split in raw.splits.items() if split.raw_text is not None}
    return DataFile(
        path, format, found, datasets, {"path": str(path), "format": format, "sha256": found, **findings}, texts
    )


def describe_file(path: str | Path, **settings: Any) -> str:
    """Return what is in a data file as plain text; the arguments are those of ``read_file``."""
    return read_file(path, **settings).describe()


def read_split(
    path: str | Path, split: str, *, format: str = "auto", nonfinite: Nonfinite = "zero", **settings: Any
) -> MultimodalDataset:
    """Return one split of a data file; nothing is spent on the others, or on the digest."""
    check_choice("load_dataset", "nonfinite", nonfinite, NONFINITE)
    embeddings = settings.pop("embeddings", None)
    _, raw = read_raw(Path(path), format, embeddings)
    name = split_name(split)
    if name not in raw.splits:
        raise DataError(f"{path}: no split is called {split!r}; the file has {', '.join(raw.splits)}.")
    datasets, _ = build(Path(path), raw, nonfinite=nonfinite, only=name, **settings)
    return datasets[name]


def read_splits(
    path: str | Path, *, format: str = "auto", nonfinite: Nonfinite = "zero", **settings: Any
) -> dict[str, MultimodalDataset]:
    """Return every split of a data file, without its digest."""
    check_choice("load_splits", "nonfinite", nonfinite, NONFINITE)
    if not Path(path).exists():
        raise FileNotFoundError(2, "no such data file", str(path))
    _, raw = read_raw(Path(path), format, settings.pop("embeddings", None))
    return build(Path(path), raw, nonfinite=nonfinite, **settings)[0]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the list of digests of a folder."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = [f"{digest(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    for name, split in raw.splits.items():
        if only in (None, name):
            datasets[name], parts[name] = _build_split(f"{path}, {name}", path, _select(split, names), raw.padded,
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


def _select(split: RawSplit, names: Sequence[str]) -> RawSplit:
    lengths = {name: split.lengths[name] for name in names if name in split.lengths}
    inputs = {name: split.inputs[name] for name in names}
    return RawSplit(inputs, split.targets, lengths, split.ids, split.groups, split.raw_text, split.left_out)


def _training_means(path: Path, raw: RawFile, names: Sequence[str]) -> dict[str, Array]:
    if "train" not in raw.splits:
        raise DataError(f"{path}: nonfinite='mean' needs a train split, the file has {', '.join(raw.splits)}.")
    split, where = _select(raw.splits["train"], names), f"{path}, train"
    check_split(where, split)
    windows, _ = find_windows(where, split, padded=raw.padded)
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
    windows, aligned = find_windows(where, split, padded=padded)
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
        "aligned": aligned,
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
