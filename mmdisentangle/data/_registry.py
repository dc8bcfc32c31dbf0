"""Data sets by name or by path."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mmdisentangle._core.errors import SettingError, UnknownNameError, nearest_names
from mmdisentangle.data._shard_file import INDEX
from mmdisentangle.data.basic_motions import load_basic_motions
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.readers._nonfinite import Nonfinite
from mmdisentangle.data.readers.data_file import read_split
from mmdisentangle.data.shards import load_shards

_DATASETS: dict[str, Callable[..., MultimodalDataset]] = {"basic-motions": load_basic_motions}
_SUFFIXES = (".npz", ".pkl", ".pickle", ".safetensors")


def list_datasets() -> list[str]:
    """Return the names that ``load_dataset`` knows."""
    return sorted(_DATASETS)


def load_dataset(
    name_or_path: str | Path,
    split: str = "train",
    *,
    format: str = "auto",
    nonfinite: Nonfinite = "zero",
    target: str | None = None,
    modalities: Sequence[str] | None = None,
) -> MultimodalDataset:
    """Load one split of a bundled data set by name, or of a data file or folder by path.

    See ``read_file`` and, for a folder of shards, ``load_shards``.

    Args:
        name_or_path: a name of ``list_datasets``, or the path of whatever ``read_file`` reads.
        split: ``"train"``, ``"validation"`` (dev, valid, val are the same) or ``"test"``.
        format: of a file, as for ``read_file``; found from the content by default.
        nonfinite: what becomes of NaN and infinities in a file, as for ``read_file``.
        target: which target of a file, where it has several.
        modalities: which modalities of a file, and in which order.

    Raises:
        UnknownNameError: neither a known name nor the path of a data file.
        FileNotFoundError: a path to no file.
        DataError: a file that cannot be read, or has no such split.

    Example:
        >>> len(load_dataset("basic-motions", "test"))
        40
    """
    name, path = str(name_or_path), Path(name_or_path)
    if name in _DATASETS:
        if (format, nonfinite, target, modalities) != ("auto", "zero", None, None):
            raise SettingError(
                f"load_dataset: format, nonfinite, target and modalities are for files, not for {name!r}."
            )
        return _DATASETS[name](split)
    if (path / INDEX).is_file():
        return load_shards(path, split)
    if path.suffix.lower() in _SUFFIXES or path.exists():
        return read_split(path, split, format=format, nonfinite=nonfinite, target=target, modalities=modalities)
    raise UnknownNameError(
        f"load_dataset: no data set is called {name!r}, and no file or folder either"
        f"{nearest_names(name, list_datasets())}"
    )
