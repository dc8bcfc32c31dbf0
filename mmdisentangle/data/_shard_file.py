"""One file of ragged samples: safetensors, mapped into memory and read sample by sample.

::

    frames.<modality>     [sum of T, d]    the frames of all samples, one after the other
    offsets.<modality>    [N + 1]          int64: sample n has the frames offsets[n] to offsets[n + 1]; none = missing
    target                [N] or [N, O]    where the samples have targets
    group                 [N]              int64, where they have groups
    ids, ids.offsets      [bytes], [N + 1] names in UTF-8

The map is read-only and shared: pages belong to the system's cache, which takes them back when memory is short. The
reader of the safetensors package maps privately and writable, which counts as memory of the process, and its slices
keep, and pickle, the whole file.
"""

import hashlib
import json
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.batch import MultimodalSample

INDEX = "shards.json"
FORMAT, VERSION = "mmdisentangle shards", 1
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<i2", "I64": "<i8", "U8": "u1"}


def write_shard(
    path: Path, samples: Sequence[MultimodalSample], modalities: dict[str, int], groups: Sequence[int] | None
) -> None:
    """Write samples, all of them with a target or none; ``groups`` are numbers of group names kept elsewhere."""
    tensors: dict[str, Tensor] = {}
    for name, width in modalities.items():
        rows = [sample.inputs[name] for sample in samples if name in sample.inputs]
        lengths = [len(sample.inputs[name]) if name in sample.inputs else 0 for sample in samples]
        tensors[f"frames.{name}"] = torch.cat(rows) if rows else torch.zeros(0, width)
        tensors[f"offsets.{name}"] = _offsets(lengths)
    names = [sample.id.encode() for sample in samples]
    tensors["ids"] = torch.from_numpy(np.frombuffer(b"".join(names), np.uint8).copy())
    tensors["ids.offsets"] = _offsets([len(name) for name in names])
    targets = [sample.target for sample in samples if sample.target is not None]
    if targets:
        tensors["target"] = torch.stack(targets)
    if groups is not None:
        tensors["group"] = torch.tensor(groups, dtype=torch.int64)
    save_file(tensors, path)


class ShardFile:
    """The samples of one file, each read when it is asked for.

    Args:
        path: what ``write_shard`` has written.
        modalities: modality name to width.

    Raises:
        DataError: the file is damaged, or of other modalities.
    """

    def __init__(self, path: Path, modalities: dict[str, int]) -> None:
        try:
            with path.open("rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            self._arrays, self._types = _read_header(self._map)
            found = {name: int(self._arrays[f"frames.{name}"].shape[-1]) for name in modalities}
            self._offsets = {name: self._arrays[f"offsets.{name}"] for name in modalities}
            self._ids, self._id_offsets = self._arrays["ids"], self._arrays["ids.offsets"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"load_shards: {path} is damaged ({error!r}); convert the data again.") from error
        if found != modalities:
            raise DataError(f"load_shards: {path} must have the modalities {modalities}, got {found}.")

    def read(self, row: int) -> MultimodalSample:
        """Return one sample, in memory of its own."""
        inputs = {}
        for name, offsets in self._offsets.items():
            start, end = int(offsets[row]), int(offsets[row + 1])
            if start < end:
                inputs[name] = self._tensor(f"frames.{name}", slice(start, end))
        target = self._tensor("target", row) if "target" in self._arrays else None
        return MultimodalSample(inputs, target, self._id(row))

    def targets(self) -> Tensor:
        """Return the targets of all samples."""
        return self._tensor("target", slice(None))

    def groups(self) -> list[int]:
        """Return the number of each sample's group."""
        return list(self._arrays["group"].tolist())

    def ids(self) -> list[str]:
        """Return the names of all samples."""
        return [self._id(row) for row in range(len(self._id_offsets) - 1)]

    def _id(self, row: int) -> str:
        return str(self._ids[int(self._id_offsets[row]) : int(self._id_offsets[row + 1])].tobytes(), "utf-8")

    def _tensor(self, name: str, rows: int | slice) -> Tensor:
        # np.array copies, and makes an array of a single number too.
        values = torch.from_numpy(np.array(self._arrays[name][rows]))
        return values.view(torch.bfloat16) if self._types[name] == "BF16" else values


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _offsets(lengths: Sequence[int]) -> Tensor:
    return torch.tensor([0, *lengths], dtype=torch.int64).cumsum(0)


def _read_header(content: mmap.mmap) -> tuple[dict[str, Any], dict[str, str]]:
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    arrays, types = {}, {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, (start, end) = np.dtype(_TYPES[entry["dtype"]]), entry["data_offsets"]
        count = (end - start) // dtype.itemsize
        # An empty array may begin where the file ends, which frombuffer refuses.
        values = np.frombuffer(content, dtype, count, 8 + length + start) if count else np.empty(0, dtype)
        arrays[name], types[name] = values.reshape(entry["shape"]), entry["dtype"]
    return arrays, types
