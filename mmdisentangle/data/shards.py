"""Data sets larger than memory: a folder of memory-mapped safetensors files, read sample by sample."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmdisentangle._core.errors import DataError
from mmdisentangle.data._shard_file import FORMAT, INDEX, VERSION, ShardFile, sha256
from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.lazy import LazySamples


def load_shards(directory: str | Path, split: str = "train", *, verify: bool = False) -> MultimodalDataset:
    """Open one split of a folder that ``write_shards`` has written; frames are read when a sample is asked for.

    Args:
        directory: the folder.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        verify: compare the SHA-256 of every file, which reads all of it; else its size alone.

    Returns:
        A data set of ``LazySamples``. It can be pickled, and sent to processes started either way: each opens the files
        itself.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: the folder holds no shards, is damaged, or has no such split.

    Example:
        >>> import tempfile
        >>> from mmdisentangle.data import make_shared_private, write_shards
        >>> data = make_shared_private(6, modalities={"eeg": 6, "gaze": 4}).dataset
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_shards(f"{folder}/own", {"train": data})
        ...     train = load_shards(f"{folder}/own", "train", verify=True)
        ...     train[5].inputs["gaze"].shape
        torch.Size([32, 4])
    """
    folder = Path(directory)
    index = read_index(folder)
    if split not in index["splits"]:
        raise DataError(f"load_shards: {folder} has no split {split!r}, it has {', '.join(index['splits'])}.")
    part = index["splits"][split]
    for shard in part["shards"]:
        _check_file(folder / shard["file"], shard, verify)
    samples = ShardedSamples(folder, part["shards"], index["modalities"], part["labelled"])
    return MultimodalDataset(
        samples,
        modalities=index["modalities"],
        task=index["task"],
        num_outputs=index["num_outputs"],
        class_names=index["class_names"],
        groups=None if part["groups"] is None else [part["groups"][number] for number in samples.groups()],
        name=index["name"],
    )


def read_index(folder: Path) -> dict[str, Any]:
    """Read ``shards.json``.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: it holds no shards, or those of a later version.
    """
    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder of shards", str(folder))
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        known = index["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"load_shards: {folder / INDEX} is not an index of shards ({error!r}).") from error
    if not known or index["version"] != VERSION:
        raise DataError(
            f"load_shards: {folder / INDEX} must be of format {FORMAT!r}, version {VERSION}, "
            f"got {index['format']!r}, version {index.get('version')!r}."
        )
    missing = [
        key for key in ("name", "modalities", "task", "num_outputs", "class_names", "splits") if key not in index
    ]
    if missing:
        raise DataError(f"load_shards: {folder / INDEX} is not an index of shards (it lacks {missing[0]!r}).")
    return index


def describe_shards(folder: Path) -> str:
    """Return what is in a folder of shards as plain text, from its index alone."""
    index = read_index(folder)
    outputs = f"{index['task']}, {index['num_outputs']} output" + ("s" if index["num_outputs"] > 1 else "")
    lines = [f"{folder}: shards of {index['name']!r}, {outputs}"]
    for split, part in index["splits"].items():
        size = sum(shard["bytes"] for shard in part["shards"]) / 2**20
        lines.append(f"{split}: {part['samples']} samples in {len(part['shards'])} files, {size:.1f} MiB")
        for name, width in index["modalities"].items():
            found = part["modalities"][name]
            lines.append(
                f"  {name}: {width} features, {found['frames']} frames, longest {found['longest']}, "
                f"missing in {found['missing']} samples"
            )
    return "\n".join(lines)


class ShardedSamples(LazySamples):
    """The samples of one split, in the order in which they were written."""

    def __init__(self, folder: Path, shards: list[dict[str, Any]], modalities: dict[str, int], labelled: bool) -> None:
        self.folder, self.shards, self.modalities, self.labelled = folder, shards, modalities, labelled
        self.starts = [0]
        for shard in shards:
            self.starts.append(self.starts[-1] + shard["samples"])
        self._open: dict[int, ShardFile] = {}

    def __len__(self) -> int:
        return self.starts[-1]

    def __getstate__(self) -> dict[str, Any]:
        # Maps stay with the process that made them.
        return {**self.__dict__, "_open": {}}

    def read(self, index: int) -> MultimodalSample:
        """Return the sample at an index."""
        number = bisect_right(self.starts, index) - 1
        return self._file(number).read(index - self.starts[number])

    def targets(self) -> Tensor | None:
        """Return all targets; no frame is read."""
        if not self.labelled:
            return None
        return torch.cat([file.targets() for file in self._files()])

    def groups(self) -> list[int]:
        """Return the number of each sample's group."""
        return [number for file in self._files() for number in file.groups()]

    def ids(self) -> tuple[str, ...]:
        """Return the name of every sample; no frame is read."""
        return tuple(name for file in self._files() for name in file.ids())

    def digest(self) -> str:
        """Return a hash of the files, as they were when they were written."""
        return hashlib.sha256("".join(shard["sha256"] for shard in self.shards).encode()).hexdigest()

    @property
    def finite(self) -> bool:
        """True: ``write_shards`` has checked it."""
        return True

    def _files(self) -> Iterator[ShardFile]:
        return map(self._file, range(len(self.shards)))

    def _file(self, number: int) -> ShardFile:
        if number not in self._open:
            self._open[number] = ShardFile(self.folder / self.shards[number]["file"], self.modalities)
        return self._open[number]


def _check_file(file: Path, shard: Mapping[str, Any], verify: bool) -> None:
    if not file.is_file():
        raise DataError(f"load_shards: {file} is missing; convert the data again.")
    if file.stat().st_size != shard["bytes"]:
        raise DataError(
            f"load_shards: {file} must have {shard['bytes']} bytes, got {file.stat().st_size}; convert the data again."
        )
    if verify and sha256(file) != shard["sha256"]:
        raise DataError(f"load_shards: {file} has changed since it was written; convert the data again.")
