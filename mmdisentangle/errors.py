"""The exceptions and warnings of the library, for ``except`` clauses and filters."""

from mmdisentangle._core.errors import (
    AdversaryWarning,
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
    "AdversaryWarning",
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
