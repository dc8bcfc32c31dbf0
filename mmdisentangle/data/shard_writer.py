"""Write a data set, however large, to a folder of shards."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from mmdisentangle._core.checks import check_count
from mmdisentangle._core.errors import DataError
from mmdisentangle.data._shard_file import FORMAT, INDEX, VERSION, sha256, write_shard
from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset, Task

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class SampleStream:
    """Samples that are made or read one by one, with the description that a ``MultimodalDataset`` has.

    Args:
        samples: gone through once; never held in memory together.
        modalities: modality name to width.
        task: kind of target.
        num_outputs: number of classes, labels or regression outputs; from ``class_names`` or the first target if None.
        class_names: name of each class or label.
        groups: one name per sample, in their order.
        name: name of the data set.

    Example:
        >>> import tempfile
        >>> from mmdisentangle.data import load_shards
        >>> clips = (
        ...     MultimodalSample({"eeg": torch.randn(50, 8)}, torch.tensor(n % 2))
        ...     for n in range(6)
        ... )
        >>> stream = SampleStream(
        ...     clips, {"eeg": 8}, task="classification", class_names=("rest", "move")
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_shards(f"{folder}/own", {"train": stream})
        ...     load_shards(f"{folder}/own", "train").targets
        tensor([0, 1, 0, 1, 0, 1])
    """

    samples: Iterable[MultimodalSample]
    modalities: Mapping[str, int]
    task: Task = "regression"
    num_outputs: int | None = None
    class_names: Sequence[str] | None = None
    groups: Iterable[str] | None = None
    name: str = "data"


def write_shards(
    directory: str | Path,
    splits: Mapping[str, MultimodalDataset | SampleStream],
    *,
    samples_per_shard: int = 4096,
) -> None:
    """Write data sets to a new folder that ``load_shards`` trains from.

    The folder appears when everything is in it: what an interrupted conversion leaves is called ``<directory>.part``,
    and the next one removes it. Memory holds two copies of one shard at most.

    Args:
        directory: a folder that does not exist yet.
        splits: ``"train"``, ``"validation"``, ``"test"`` to the data, of one kind.
        samples_per_shard: samples in one file. Some 10 to 500 MB are a good size.

    Raises:
        DataError: the folder exists; no split, or an unknown one; a sample that contradicts the description, holds NaN
            or infinity, or lacks the target that others of the split have; splits of different kinds.

    Example:
        >>> import tempfile
        >>> from mmdisentangle.data import load_shards
        >>> data = MultimodalDataset.from_arrays({"eeg": torch.randn(6, 50, 8)}, torch.randn(6))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_shards(f"{folder}/own", {"train": data}, samples_per_shard=4)
        ...     len(load_shards(f"{folder}/own", "train"))
        6
    """
    check_count("write_shards", "samples_per_shard", samples_per_shard)
    folder = Path(directory)
    if not splits or any(split not in SPLITS for split in splits):
        raise DataError(f"write_shards: splits must be some of {', '.join(SPLITS)}, got {list(splits)}.")
    if folder.exists():
        raise DataError(f"write_shards: {folder} exists; choose another folder, or remove it.")
    beside = folder.with_name(f"{folder.name}.part")
    if beside.exists():
        _remove_interrupted(beside)
    beside.mkdir(parents=True)
    kind: dict[str, Any] = {}
    index: dict[str, Any] = {}
    for split, data in splits.items():
        writer = _SplitWriter(beside, split, data, samples_per_shard)
        index[split] = writer.write()
        kind = kind or writer.kind
        if writer.kind != kind:
            raise DataError(
                f"write_shards: {split} must be of the kind of the other splits, {kind}, got {writer.kind}."
            )
    name = next(iter(splits.values())).name
    text = json.dumps({"format": FORMAT, "version": VERSION, "name": name, **kind, "splits": index}, indent=1)
    (beside / INDEX).write_text(text + "\n", encoding="utf-8")
    beside.rename(folder)


class _SplitWriter:
    """Writes the files of one split and notes what the index has to say about it."""

    def __init__(
        self, folder: Path, split: str, data: MultimodalDataset | SampleStream, samples_per_shard: int
    ) -> None:
        self.folder, self.split, self.data, self.samples_per_shard = folder, split, data, samples_per_shard
        self.groups: dict[str, int] = {}
        self.labelled: bool | None = None
        self.dtypes: dict[str, torch.dtype] = {}
        self.modalities = {name: {"frames": 0, "longest": 0, "missing": 0} for name in data.modalities}
        self.kind: dict[str, Any] = {}

    def write(self) -> dict[str, Any]:
        source = self.data.samples
        samples = iter(source)
        groups = None if self.data.groups is None else iter(self.data.groups)
        shards: list[dict[str, Any]] = []
        while chunk := list(islice(samples, self.samples_per_shard)):
            part = self._check(chunk)
            numbers = None if groups is None else self._number(list(islice(groups, len(chunk))), len(chunk))
            file = self.folder / f"{self.split}-{len(shards):05d}.safetensors"
            write_shard(file, chunk, part.modalities, numbers)
            shards.append(
                {"file": file.name, "samples": len(chunk), "bytes": file.stat().st_size, "sha256": sha256(file)}
            )
        if not shards:
            raise DataError(f"write_shards: {self.split} has no sample.")
        if groups is not None and next(groups, None) is not None:
            raise DataError(f"write_shards: {self.split} has more groups than samples.")
        return {
            "samples": sum(shard["samples"] for shard in shards),
            "labelled": self.labelled,
            "groups": None if groups is None else list(self.groups),
            "modalities": self.modalities,
            "shards": shards,
        }

    def _check(self, chunk: list[MultimodalSample]) -> MultimodalDataset:
        part = MultimodalDataset(
            chunk,
            modalities=self.data.modalities,
            task=self.data.task,
            num_outputs=self.kind.get("num_outputs", self.data.num_outputs),
            class_names=self.data.class_names,
            name=self.data.name,
        )
        names = None if part.class_names is None else list(part.class_names)
        self.kind = {"modalities": part.modalities, "task": part.task, "num_outputs": part.num_outputs}
        self.kind["class_names"] = names
        where = f"write_shards: {self.split} sample"
        for sample in chunk:
            if self.labelled is None:
                self.labelled = sample.target is not None
            if self.labelled != (sample.target is not None):
                raise DataError(f"{where} {sample.id!r}: either all samples of a split have a target or none.")
            for name, x in sample.inputs.items():
                if self.dtypes.setdefault(name, x.dtype) != x.dtype:
                    raise DataError(f"{where} {sample.id!r}: {name!r} must be {self.dtypes[name]}, got {x.dtype}.")
            for name, known in self.modalities.items():
                length = len(sample.inputs[name]) if name in sample.inputs else 0
                known["frames"] += length
                known["longest"] = max(known["longest"], length)
                known["missing"] += length == 0
        found = part.find_not_finite()
        if found is not None:
            raise DataError(f"{where} {found[0]!r} holds NaN or infinity in {found[1]!r}; replace these values first.")
        return part

    def _number(self, names: list[str], count: int) -> list[int]:
        if len(names) < count:
            raise DataError(f"write_shards: {self.split} has fewer groups than samples.")
        return [self.groups.setdefault(str(name), len(self.groups)) for name in names]


def _remove_interrupted(beside: Path) -> None:
    ours = beside.is_dir() and all(p.name == INDEX or p.suffix == ".safetensors" for p in beside.iterdir())
    if not ours:
        raise DataError(f"write_shards: {beside} is in the way, and no conversion has written it; remove it.")
    shutil.rmtree(beside)
