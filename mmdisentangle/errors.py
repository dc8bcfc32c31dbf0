"""The exceptions of the library, for ``except`` clauses."""

from mmdisentangle._core.errors import (
    CheckpointError,
    DataError,
    DtypeError,
    MissingExtraError,
    MMDisentangleError,
    ModalityError,
    SettingError,
    ShapeError,
    UnknownNameError,
)

__all__ = [
    "CheckpointError",
    "DataError",
    "DtypeError",
    "MMDisentangleError",
    "MissingExtraError",
    "ModalityError",
    "SettingError",
    "ShapeError",
    "UnknownNameError",
]
