"""Every exception the library raises on purpose. Each is also a builtin exception, so callers need not import ours."""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class MMDisentangleError(Exception):
    """Base of all errors raised on purpose by this library."""

    def __str__(self) -> str:
        # KeyError would print the repr of its argument, quotes and all.
        return str(self.args[0]) if self.args else ""


class ShapeError(MMDisentangleError, ValueError):
    """A tensor has a shape that does not fit."""


class DtypeError(MMDisentangleError, TypeError):
    """A tensor, or another argument, has a type that does not fit."""


class SettingError(MMDisentangleError, ValueError):
    """A setting has a value outside its range or list."""


class ModalityError(MMDisentangleError, KeyError):
    """A modality is missing, unknown or named twice."""


class UnknownNameError(MMDisentangleError, KeyError):
    """A name is not in a registry."""


class CheckpointError(MMDisentangleError, ValueError):
    """A checkpoint cannot be read, or does not fit the model."""


class DataError(MMDisentangleError, ValueError):
    """Data on disk or in memory contradicts itself or its description."""


class UnsafePickleError(DataError):
    """A pickle asks for something that is neither a numpy array nor a plain container; nothing of it was run."""


class DataWarning(UserWarning):
    """Data was read, but something in it was replaced, cut off or left out."""


class AdversaryWarning(UserWarning):
    """A discriminator in training does nothing for the encoders."""


class MissingExtraError(MMDisentangleError, ImportError):
    """An optional dependency is not installed."""


def nearest_names(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return ``"; did you mean 'a' or 'b'?"``, or the whole list where nothing is near."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=limit, cutoff=0.5)
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
