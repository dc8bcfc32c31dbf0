"""One data file of the field: what is in it, checked and cleaned, and the data sets made of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdisentangle._core.checks import check_choice
from mmdisentangle._core.errors import DataError
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.readers._datasets import build
from mmdisentangle.data.readers._formats import read_raw
from mmdisentangle.data.readers._names import split_name
from mmdisentangle.data.readers._nonfinite import NONFINITE, Nonfinite
from mmdisentangle.data.readers._raw import Array
from mmdisentangle.data.readers._report import render


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

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> arrays = {"train_eeg": np.random.randn(6, 50, 8), "train_target": np.arange(6) / 6}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/own.npz", task="regression", **arrays)
        ...     file = read_file(f"{folder}/own.npz")
        >>> file.format, len(file.splits["train"]), file.splits["train"].modalities
        ('npz', 6, {'eeg': 8})
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

    Example:
        >>> import numpy as np, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "own.npz"
        >>> np.savez(path, task=np.array("regression"), train_a=np.ones((2, 3, 1)), train_target=np.zeros(2))
        >>> data = read_file(path)
        >>> data.format, data.splits["train"].modalities
        ('npz', {'a': 1})
        >>> data.findings["splits"]["train"]["modalities"]["a"]["lengths"]
        {'min': 3, 'median': 3.0, 'max': 3}
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
    """Return what is in a data file as plain text.

    Args:
        path: the file or folder.
        **settings: further arguments of `read_file`.

    Raises:
        FileNotFoundError, DataError, UnsafePickleError: as `read_file`.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> arrays = {"train_eeg": np.random.randn(6, 50, 8), "train_target": np.arange(6) / 6}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/own.npz", task="regression", **arrays)
        ...     text = describe_file(f"{folder}/own.npz")
        >>> print(text[text.index("train") :])
        train: 6 samples
          regression: 0 to 0.8333, mean 0.4167
          eeg  float64  [6, 50, 8]  50 frames  no padding
    """
    return read_file(path, **settings).describe()


def read_split(
    path: str | Path,
    split: str,
    *,
    format: str = "auto",
    nonfinite: Nonfinite = "zero",
    target: str | None = None,
    modalities: Sequence[str] | None = None,
) -> MultimodalDataset:
    """Return one split of a data file; nothing is spent on the others, or on the digest."""
    check_choice("load_dataset", "nonfinite", nonfinite, NONFINITE)
    _, raw = read_raw(Path(path), format, embeddings=None)
    name = split_name(split)
    if name not in raw.splits:
        raise DataError(f"{path}: no split is called {split!r}; the file has {', '.join(raw.splits)}.")
    datasets, _ = build(Path(path), raw, nonfinite=nonfinite, target=target, modalities=modalities, only=name)
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
