"""Data sets by name or by path."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mmdisentangle._core.errors import SettingError, UnknownNameError, nearest_names
from mmdisentangle.data._shard_file import INDEX
from mmdisentangle.data.basic_motions import load_basic_motions
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.readers._names import split_name
from mmdisentangle.data.readers._nonfinite import Nonfinite
from mmdisentangle.data.readers.data_file import read_split, read_splits
from mmdisentangle.data.shards import load_shards, read_index

_DATASETS: dict[str, Callable[..., MultimodalDataset]] = {"basic-motions": load_basic_motions}
_SUFFIXES = (".npz", ".pkl", ".pickle", ".safetensors")


def list_datasets() -> list[str]:
    """Return the names that ``load_dataset`` knows.

    Example:
        >>> list_datasets()
        ['basic-motions']
    """
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
        _check_plain("load_dataset", name, format, nonfinite, target)
        return _only(_DATASETS[name](split), modalities)
    if (path / INDEX).is_file():
        _check_plain("load_dataset", name, format, nonfinite, target)
        return _only(load_shards(path, split_name(split)), modalities)
    if path.suffix.lower() in _SUFFIXES or path.exists():
        return read_split(path, split, format=format, nonfinite=nonfinite, target=target, modalities=modalities)
    raise _unknown("load_dataset", name)


def load_splits(
    name_or_path: str | Path,
    *,
    format: str = "auto",
    nonfinite: Nonfinite = "zero",
    target: str | None = None,
    modalities: Sequence[str] | None = None,
) -> dict[str, MultimodalDataset]:
    """Load every split of a bundled data set or of a data file, which is read once; arguments as of ``load_dataset``.

    Returns:
        ``train``, ``validation`` and ``test``, as far as they are there, in this order.

    Raises:
        UnknownNameError, FileNotFoundError, DataError: as ``load_dataset``.

    Example:
        >>> {split: len(data) for split, data in load_splits("basic-motions").items()}
        {'train': 40, 'test': 40}
    """
    name, path = str(name_or_path), Path(name_or_path)
    if name in _DATASETS:
        _check_plain("load_splits", name, format, nonfinite, target)
        found = {split: _only(_DATASETS[name](split), modalities) for split in ("train", "test")}
    elif (path / INDEX).is_file():
        _check_plain("load_splits", name, format, nonfinite, target)
        found = {split: _only(load_shards(path, split), modalities) for split in read_index(path)["splits"]}
    elif path.suffix.lower() in _SUFFIXES or path.exists():
        found = read_splits(path, format=format, nonfinite=nonfinite, target=target, modalities=modalities)
    else:
        raise _unknown("load_splits", name)
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _unknown(where: str, name: str) -> UnknownNameError:
    return UnknownNameError(
        f"{where}: no data set is called {name!r}, and no file or folder either{nearest_names(name, list_datasets())}"
    )


def _check_plain(where: str, name: str, format: str, nonfinite: str, target: str | None) -> None:
    if (format, nonfinite, target) != ("auto", "zero", None):
        raise SettingError(f"{where}: format, nonfinite and target are for files of other formats, not for {name!r}.")


def _only(dataset: MultimodalDataset, modalities: Sequence[str] | None) -> MultimodalDataset:
    return dataset if modalities is None else dataset.select(modalities)
