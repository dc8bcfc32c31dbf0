"""The exceptions and warnings of the library, for ``except`` clauses and filters."""

from mmdisentangle._core.errors import (
    CheckpointError,
    DataError,
    DataWarning,
    DtypeError,
    MissingExtraError,
    MMDisentangleError,
    ModalityError,
    SettingError,
    ShapeError,
    UnknownNameError,
    UnsafePickleError,
)

__all__ = [
    "CheckpointError",
    "DataError",
    "DataWarning",
    "DtypeError",
    "MMDisentangleError",
    "MissingExtraError",
    "ModalityError",
    "SettingError",
    "ShapeError",
    "UnknownNameError",
    "UnsafePickleError",
]
