"""Every exception the library raises on purpose. Each is also a builtin exception, so callers need not import ours."""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class MMDisentangleError(Exception):
    """Base of all errors raised on purpose by this library. Each of them is also the builtin error of its kind.

    Example:
        >>> from mmdisentangle import create_model
        >>> from mmdisentangle.errors import MMDisentangleError
        >>> try:
        ...     create_model("rtli", modalities={"text": 16, "audio": 4})
        ... except MMDisentangleError as error:
        ...     print(error)
        create_model: no model is called 'rtli'; did you mean 'rtil'?
    """

    def __str__(self) -> str:
        # KeyError would print the repr of its argument, quotes and all.
        return str(self.args[0]) if self.args else ""


class ShapeError(MMDisentangleError, ValueError):
    """A tensor has a shape that does not fit. It is a ``ValueError``.

    Example:
        >>> from mmdisentangle.functional import hsic
        >>> hsic(torch.randn(8, 3), torch.randn(6, 3))
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.ShapeError: hsic: x and y must have the same number of
        samples, got 8 and 6.
    """


class DtypeError(MMDisentangleError, TypeError):
    """A tensor, or another argument, has a type that does not fit. It is a ``TypeError``.

    Example:
        >>> from mmdisentangle.functional import hsic
        >>> hsic(torch.arange(8).reshape(4, 2), torch.randn(4, 2))
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.DtypeError: hsic: x must be a floating-point tensor, got
        torch.int64; convert it with x.float().
    """


class SettingError(MMDisentangleError, ValueError):
    """A setting has a value outside its range or list. It is a ``ValueError``.

    Example:
        >>> from mmdisentangle.nn import InfoNCELoss
        >>> InfoNCELoss(temperature=-1.0)
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.SettingError: InfoNCELoss: temperature must be a finite
        number with 0 < temperature, got -1.0.
    """


class ModalityError(MMDisentangleError, KeyError):
    """A modality is missing, unknown or named twice. It is a ``KeyError``.

    Example:
        >>> from mmdisentangle.nn import SharedPrivateEncoder
        >>> SharedPrivateEncoder({"text": 8, "audio": 3})({"text": torch.randn(2, 5, 8)})
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.ModalityError: SharedPrivateEncoder: inputs lacks
        'audio'; expected ['text', 'audio'], got ['text'].
    """


class UnknownNameError(MMDisentangleError, KeyError):
    """A name is not in a registry. It is a ``KeyError``.

    Example:
        >>> from mmdisentangle import create_model
        >>> create_model("rtli", modalities={"text": 16, "audio": 4})
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.UnknownNameError: create_model: no model is called
        'rtli'; did you mean 'rtil'?
    """


class CheckpointError(MMDisentangleError, ValueError):
    """A checkpoint cannot be read, or does not fit the model. It is a ``ValueError``.

    Example:
        >>> from mmdisentangle.models import load_pretrained
        >>> load_pretrained("no-such-folder")
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.CheckpointError: from_pretrained: 'no-such-folder' is no
        folder with config.json and model.safetensors, and no repository name of the form
        'owner/name'.
    """


class DataError(MMDisentangleError, ValueError):
    """Data on disk or in memory contradicts itself or its description. It is a ``ValueError``.

    Example:
        >>> from mmdisentangle.data import MultimodalDataset
        >>> MultimodalDataset.from_arrays(
        ...     {"eeg": torch.randn(2, 50, 8)}, torch.randn(2), groups=["Ada"]
        ... )
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.DataError: MultimodalDataset: groups must name one group
        per sample, got 1 for 2 samples.
    """


class UnsafePickleError(DataError):
    """A pickle asks for something that is neither a numpy array nor a plain container; nothing of it was run.

    Example:
        >>> import pathlib, pickle, tempfile
        >>> from mmdisentangle.data import read_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pathlib.Path(f"{folder}/own.pkl").write_bytes(pickle.dumps({"train": print}))
        ...     read_file(f"{folder}/own.pkl")
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.UnsafePickleError: .../own.pkl is refused, and nothing in
        it was run: it asks for 'builtins.print', which is neither a numpy array nor a plain
        container; if you trust its author, load it yourself and save plain numpy arrays.
    """


class DataWarning(UserWarning):
    """Data was read, but something in it was replaced, cut off or left out. A filter turns it into an error.

    Example:
        >>> import tempfile, warnings
        >>> import numpy as np
        >>> from mmdisentangle.data import read_file
        >>> arrays = {"train_eeg": np.full((2, 50, 8), np.nan), "train_target": np.zeros(2)}
        >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        ...     warnings.simplefilter("error", DataWarning)
        ...     np.savez(f"{folder}/own.npz", task="regression", **arrays)
        ...     read_file(f"{folder}/own.npz")
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.DataWarning: .../own.npz, train: 'eeg' holds 800 values
        that are not finite (800 nan), replaced by zero.
    """


class AdversaryWarning(UserWarning):
    """A discriminator in training does nothing for the encoders. A filter turns it into an error.

    Example:
        >>> import warnings
        >>> from mmdisentangle.data import make_shared_private
        >>> from mmdisentangle.training import fit, load_config
        >>> data = make_shared_private(20, modalities={"eeg": 4, "gaze": 2}).dataset
        >>> config = load_config(
        ...     overrides=["training.max_epochs=1", "training.reversal.strength=0"]
        ... )
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("error", AdversaryWarning)
        ...     fit(config, train=data, model="rtil")
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.AdversaryWarning: adversary 'discriminator' has no
        strength: that of the reversal was 0 in every step so far, so the encoders learn
        nothing from it; see to the schedule (training.reversal) or call set_strength.
    """


class MissingExtraError(MMDisentangleError, ImportError):
    """An optional dependency is not installed. It is an ``ImportError``.

    Example:
        >>> from unittest import mock
        >>> from mmdisentangle.models import LateFusion, export_onnx
        >>> with mock.patch.dict("sys.modules", onnx=None):  # as where it is not installed
        ...     export_onnx(LateFusion({"text": 16, "audio": 4}), "model.onnx")
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.MissingExtraError: onnx is not installed, and this part
        of mmdisentangle needs it: pip install 'mmdisentangle[onnx]'.
    """


def nearest_names(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return ``"; did you mean 'a' or 'b'?"``, or the whole list where nothing is near; case does not matter."""
    known = list(known)
    folded = {candidate.casefold(): candidate for candidate in reversed(known)}
    close = [folded[found] for found in difflib.get_close_matches(name.casefold(), folded, n=limit, cutoff=0.5)]
    if close:
        return "; did you mean " + " or ".join(repr(candidate) for candidate in close) + "?"
    return "; known names: " + (", ".join(repr(candidate) for candidate in known) or "none")


def require_extra(module: str, extra: str) -> ModuleType:
    """Import ``module``, or say which extra of this package brings it.

    Args:
        module: importable name, for instance ``"lightning"``.
        extra: the extra in ``pip install 'mmdisentangle[extra]'``.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"{module} is not installed, and this part of mmdisentangle needs it: pip install 'mmdisentangle[{extra}]'."
        ) from error
