"""Every setting of MulT, and the table of the paper as presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from mmdisentangle._core.checks import check_choice, check_count, check_flag, check_number
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.modalities import check_known
from mmdisentangle.models._settings import ModelSettings

MulTPreset: TypeAlias = Literal["mosi", "mosei", "iemocap"]
MulTPooling: TypeAlias = Literal["mean", "last"]

_TABLE: dict[str, dict[str, Any]] = {
    "mosi": {"num_heads": 10, "attention_dropout": 0.2, "embedding_dropout": 0.2},
    "mosei": {"num_heads": 8, "attention_dropout": 0.1, "embedding_dropout": 0.3},
    "iemocap": {"num_heads": 10, "attention_dropout": 0.25, "embedding_dropout": 0.3, "task": "classification"},
}


@dataclass(frozen=True, kw_only=True)
class MulTSettings(ModelSettings):
    """Every setting of `MulT`; those of task and batch statistics are inherited from `ModelSettings`.

    Attributes:
        features: width d of every modality.
        kernel_size: of the first convolution, one odd number or one per modality; 1 in the released code.
        num_heads: of every attention; must divide ``features``.
        cross_layers: layers of every cross-modal transformer.
        memory_layers: layers of the self-attention that follows, at width ``(M - 1) features``.
        feedforward_features: of the cross-modal layers; four times ``features`` where None. The memory always has four
            times its width.
        causal: no frame attends to later ones, as in the released code; see `nn.CrossModalTransformer`.
        pooling: ``"mean"`` over real frames, or the ``"last"`` real frame as published.
        dropout: after attention and feed-forward networks.
        feedforward_dropout: inside the feed-forward networks.
        attention_dropout: on attention weights; above 0 some backends store whole maps.
        embedding_dropout: on every sequence with its positions.
        input_dropout: on the features of the modalities named, before anything else.
        head_dropout: inside the head.

    Example:
        >>> from mmdisentangle.models import MulT
        >>> settings = MulT({"text": 16, "audio": 4}, preset="mosei", num_heads=4).settings
        >>> settings.pooling, settings.num_heads, settings.input_dropout
        ('last', 4, {'text': 0.3})
    """

    where = "MulT"

    features: int = 40
    kernel_size: int | Mapping[str, int] = 3
    num_heads: int = 8
    cross_layers: int = 4
    memory_layers: int = 4
    feedforward_features: int | None = None
    causal: bool = False
    pooling: MulTPooling = "mean"
    dropout: float = 0.1
    feedforward_dropout: float = 0.1
    attention_dropout: float = 0.0
    embedding_dropout: float = 0.1
    input_dropout: Mapping[str, float] | None = None
    head_dropout: float = 0.1

    @staticmethod
    def preset(name: MulTPreset, modalities: tuple[str, ...]) -> dict[str, Any]:
        """Settings of the paper's table by the name of the dataset, with the last frame instead of the mean."""
        check_choice("MulT", "preset", name, tuple(_TABLE))
        settings = {**_TABLE[name], "pooling": "last"}
        if "text" in modalities:
            settings["input_dropout"] = {"text": settings["embedding_dropout"]}
        if name == "iemocap" and "audio" in modalities:
            settings["kernel_size"] = {other: 5 if other == "audio" else 3 for other in modalities}
        return settings

    @classmethod
    def checked(cls, modalities: tuple[str, ...], preset: MulTPreset | None, given: Mapping[str, Any]) -> Self:
        """Settings from keyword arguments, over those of a preset where one is named."""
        settings = cls.from_keywords(given, {} if preset is None else cls.preset(preset, modalities))
        settings._check(modalities)
        return settings

    def _check(self, modalities: tuple[str, ...]) -> None:
        """What no part checks for itself."""
        check_choice("MulT", "pooling", self.pooling, ("mean", "last"))
        for name in ("features", "num_heads", "cross_layers", "memory_layers"):
            check_count("MulT", name, getattr(self, name))
        for name in ("causal", "gather", "checkpoint_activations"):
            check_flag("MulT", name, getattr(self, name))
        if self.features % self.num_heads:
            raise SettingError(f"MulT: num_heads must divide features={self.features}, got {self.num_heads}.")
        check_number("MulT", "head_dropout", self.head_dropout, low=0, high=1)
        for name, share in (self.input_dropout or {}).items():
            check_known("MulT", "input_dropout", name, modalities)
            check_number("MulT", f"input_dropout[{name!r}]", share, low=0, high=1)
        sizes = (
            self.kernel_size if isinstance(self.kernel_size, Mapping) else dict.fromkeys(modalities, self.kernel_size)
        )
        for name, size in sizes.items():
            check_known("MulT", "kernel_size", name, modalities)
            check_count("MulT", "kernel_size", size)
            if size % 2 == 0:
                raise SettingError(f"MulT: kernel_size must be odd, so that frames stay in place, got {size}.")
        missing = [name for name in modalities if name not in sizes]
        if missing:
            raise SettingError(f"MulT: kernel_size lacks {', '.join(map(repr, missing))}.")
