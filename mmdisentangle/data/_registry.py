"""Data sets by name."""

from collections.abc import Callable
from pathlib import Path

from mmdisentangle._core.errors import UnknownNameError, nearest_names
from mmdisentangle.data._shard_file import INDEX
from mmdisentangle.data.archive import load_npz
from mmdisentangle.data.basic_motions import load_basic_motions
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.shards import load_shards

_DATASETS: dict[str, Callable[..., MultimodalDataset]] = {"basic-motions": load_basic_motions}


def list_datasets() -> list[str]:
    """Return the names that ``load_dataset`` knows."""
    return sorted(_DATASETS)


def load_dataset(name_or_path: str | Path, split: str = "train") -> MultimodalDataset:
    """Load one split of a bundled data set by name, or of an ``.npz`` file or a folder of shards by path.

    See ``load_npz`` and ``load_shards``.

    Raises:
        UnknownNameError: neither a known name, nor a folder of shards, nor a path that ends in ``.npz``.
        FileNotFoundError: a path to no file.

    Example:
        >>> len(load_dataset("basic-motions", "test"))
        40
    """
    name = str(name_or_path)
    if name in _DATASETS:
        return _DATASETS[name](split)
    if (Path(name) / INDEX).is_file():
        return load_shards(name, split)
    if name.endswith(".npz"):
        return load_npz(name, split)
    raise UnknownNameError(
        f"load_dataset: no data set is called {name!r}, and it is not the path of an .npz file"
        f"{nearest_names(name, list_datasets())}"
    )
