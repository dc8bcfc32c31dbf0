"""Settings that every model of the zoo has, and how settings are made from keyword arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from mmdisentangle._core.errors import UnknownNameError, nearest_names
from mmdisentangle.models._task import Task


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What the task term and the batch statistics of every model need.

    Attributes:
        task: ``"regression"``, ``"classification"`` or ``"multilabel"``.
        class_weights: classification and multilabel: weight of each class.
        label_smoothing: classification: share of the target spread over all classes.
        target_location: regression: offset of the targets.
        target_scale: regression: spread of the targets.
        gather: take every mean and batch statistic of the objective over the samples of all processes.
        checkpoint_activations: compute encoders and attention layers again in the backward pass instead of storing what
            is inside them; encoders of the user's own are left alone. The numbers stay the same.

    Example:
        >>> from mmdisentangle import create_model
        >>> sizes = {"modalities": {"text": 16, "audio": 4}, "num_outputs": 3}
        >>> settings = create_model(
        ...     "misa", task="classification", class_weights=(1.0, 1.0, 4.0), **sizes
        ... ).settings
        >>> settings.task, settings.class_weights, settings.label_smoothing
        ('classification', (1.0, 1.0, 4.0), 0.0)
    """

    where: ClassVar[str]

    task: Task = "regression"
    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    target_location: float | tuple[float, ...] = 0.0
    target_scale: float | tuple[float, ...] = 1.0
    gather: bool = False
    checkpoint_activations: bool = False

    @classmethod
    def from_keywords(cls, given: Mapping[str, Any], base: Mapping[str, Any]) -> Self:
        """Settings from keyword arguments over those of a preset; an unknown name lists the nearest ones."""
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise UnknownNameError(f"{cls.where}: no setting is called {name!r}{nearest_names(name, known)}")
        merged = {**base, **given}
        for name, value in merged.items():
            if isinstance(value, list):
                # JSON and YAML know lists only.
                merged[name] = tuple(value)
        return cls(**merged)
