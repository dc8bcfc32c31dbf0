"""Every setting of late fusion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from mmdisentangle._core.checks import check_choice, check_count, check_flag, check_number
from mmdisentangle.models._pooling import POOLINGS, Pooling
from mmdisentangle.models._settings import ModelSettings

LateFusionForm: TypeAlias = Literal["concat", "mean", "weighted"]


@dataclass(frozen=True, kw_only=True)
class LateFusionSettings(ModelSettings):
    """Every setting of `LateFusion`; those of task and batch statistics are inherited from `ModelSettings`.

    Attributes:
        hidden_features: width of the encoders.
        encoder_blocks: blocks of the convolutional encoder.
        encoder_kernel_size: kernel of the convolutional encoder.
        encoder_dropout: dropout of the convolutional encoder.
        pooling: frames become one code by their mean (``"mean"``), or by mean and maximum side by side
            (``"mean_max"``).
        fusion: ``"concat"``: one head reads the codes of all modalities; a missing one counts as zeros. ``"mean"``: a
            head per modality, and the mean of the outputs of those that are there. ``"weighted"``: the same with one
            learnt weight per modality.
        head_features: hidden width of every head.
        head_dropout: before and inside every head.

    Example:
        >>> from mmdisentangle.models import LateFusion
        >>> settings = LateFusion({"eeg": 8, "gaze": 2}, fusion="weighted").settings
        >>> settings.fusion, settings.head_features
        ('weighted', 128)
    """

    where = "LateFusion"

    hidden_features: int = 64
    encoder_blocks: int = 4
    encoder_kernel_size: int = 5
    encoder_dropout: float = 0.1
    pooling: Pooling = "mean_max"
    fusion: LateFusionForm = "concat"
    head_features: int = 128
    head_dropout: float = 0.3

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Self:
        """Settings from keyword arguments."""
        settings = cls.from_keywords(given, {})
        check_choice(cls.where, "pooling", settings.pooling, POOLINGS)
        check_choice(cls.where, "fusion", settings.fusion, ("concat", "mean", "weighted"))
        for name in ("hidden_features", "head_features"):
            check_count(cls.where, name, getattr(settings, name))
        check_number(cls.where, "head_dropout", settings.head_dropout, low=0, high=1)
        for name in ("gather", "checkpoint_activations"):
            check_flag(cls.where, name, getattr(settings, name))
        return settings
