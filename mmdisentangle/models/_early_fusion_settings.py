"""Every setting of early fusion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mmdisentangle._core.checks import check_choice, check_count, check_flag, check_number
from mmdisentangle.models._pooling import POOLINGS, Pooling
from mmdisentangle.models._settings import ModelSettings


@dataclass(frozen=True, kw_only=True)
class EarlyFusionSettings(ModelSettings):
    """Every setting of `EarlyFusion`; those of task and batch statistics are inherited from `ModelSettings`.

    Attributes:
        hidden_features: width of the joint encoder.
        encoder_blocks: blocks of the joint encoder.
        encoder_kernel_size: kernel of the joint encoder.
        encoder_dropout: dropout of the joint encoder.
        pooling: frames become one code by their mean (``"mean"``), or by mean and maximum side by side
            (``"mean_max"``).
        head_features: hidden width of the head.
        head_dropout: before and inside the head.

    Example:
        >>> from mmdisentangle.models import EarlyFusion
        >>> settings = EarlyFusion({"eeg": 8, "gaze": 2}, hidden_features=32).settings
        >>> settings.hidden_features, settings.pooling
        (32, 'mean_max')
    """

    where = "EarlyFusion"

    hidden_features: int = 128
    encoder_blocks: int = 4
    encoder_kernel_size: int = 5
    encoder_dropout: float = 0.1
    pooling: Pooling = "mean_max"
    head_features: int = 128
    head_dropout: float = 0.3

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Self:
        """Settings from keyword arguments."""
        settings = cls.from_keywords(given, {})
        check_choice(cls.where, "pooling", settings.pooling, POOLINGS)
        for name in ("hidden_features", "head_features"):
            check_count(cls.where, name, getattr(settings, name))
        check_number(cls.where, "head_dropout", settings.head_dropout, low=0, high=1)
        for name in ("gather", "checkpoint_activations"):
            check_flag(cls.where, name, getattr(settings, name))
        return settings
