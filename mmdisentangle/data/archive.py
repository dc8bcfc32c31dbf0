"""Read a user's own data from one ``.npz`` file of plain arrays."""

from pathlib import Path

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.readers._datasets import build
from mmdisentangle.data.readers._names import shown, split_name
from mmdisentangle.data.readers.own import read_npz, read_own


def load_npz(path: str | Path, split: str = "train") -> MultimodalDataset:
    """Load one split of an ``.npz`` file, written with ``numpy.savez``.

    =============================  ====================================================================================
    Array                          Content
    =============================  ====================================================================================
    ``task``                       a string: ``"regression"``, ``"classification"`` or ``"multilabel"``; never guessed
    ``train_<modality>``           ``[N, T, d]`` floats; any modality names but target, groups, ids, raw_text
    ``train_<modality>_lengths``   optional ``[N]`` integers: real frames of each sample; 0 = the modality is missing
    ``train_target``               ``[N]`` or ``[N, num_outputs]``; for a classification names or integers from 0
    ``train_groups``               optional ``[N]`` names, for instance of persons: validation keeps groups whole
    ``train_ids``                  optional ``[N]`` names of the samples
    ``train_raw_text``             optional ``[N]`` texts, for an encoder of text (see ``read_file``)
    ``class_names``                optional names of the classes or labels, in the order of the outputs
    ``modalities``                 optional names of the modalities to read, in their order; that of the file otherwise
    ``validation_...``             optional, the same for the validation split
    ``test_...``                   the same for the test split
    =============================  ====================================================================================

    Args:
        path: the file. It is read without pickle: object arrays are refused.
        split: prefix of the arrays, usually ``"train"``, ``"validation"`` (dev, valid, val are the same) or ``"test"``.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is not such an archive, or contradicts itself.

    Numerics:
        The inputs come as float32; NaN and infinities are kept (``read_file`` replaces them).

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> arrays = {"train_eeg": np.random.randn(6, 50, 8), "train_target": np.arange(6) / 6}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/own.npz", task="regression", **arrays)
        ...     load_npz(f"{folder}/own.npz").modalities
        {'eeg': 8}
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(2, "no such data file", str(path))
    arrays = read_npz(file)
    raw = read_own(f"load_npz: {file}", arrays)
    name = split_name(split)
    if name not in raw.splits:
        raise DataError(f"load_npz: {file}: no array '{split}_target'; the file has {shown(sorted(arrays))}.")
    datasets, _ = build(file, raw, nonfinite="keep", only=name)
    return datasets[name]
