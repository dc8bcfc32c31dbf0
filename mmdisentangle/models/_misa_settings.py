"""Every setting of MISA, and the released settings as presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from mmdisentangle._core.checks import check_choice, check_count, check_flag, check_number
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.modalities import check_known
from mmdisentangle.functional.orthogonality import ORTHOGONALITY_FORMS, OrthogonalityForm
from mmdisentangle.models._pooling import POOLINGS, Pooling
from mmdisentangle.models._settings import ModelSettings

MISAEncoder: TypeAlias = Literal["conv", "lstm"]
Similarity: TypeAlias = Literal["cmd", "mmd", "adversarial"]
Packing: TypeAlias = Literal["own_lengths", "text_lengths"]
MISAPreset: TypeAlias = Literal["mosi", "mosei", "ur_funny"]

_RELEASED: dict[str, Any] = {
    "temporal_encoder": "lstm",
    "code_gain": 1.0,
    "terms_reach_encoders": True,
    "feedforward_features": 2048,
    "fusion_attention_dropout": 0.1,
    "head_dropout": 0.5,
    "discriminator_dropout": 0.5,
}
_TABLE: dict[str, dict[str, Any]] = {"mosi": {}, "mosei": {}, "ur_funny": {"task": "classification"}}


@dataclass(frozen=True, kw_only=True)
class MISASettings(ModelSettings):
    """Every setting of `MISA`; those of task and batch statistics are inherited from `ModelSettings`.

    Attributes:
        hidden_features: width D of the codes.
        temporal_encoder: ``"conv"`` pools the frames of `nn.TemporalConvEncoder`, which compiles and exports;
            ``"lstm"``, as published, is `nn.RecurrentUtteranceEncoder`.
        encoder_blocks: blocks of the convolutional encoder.
        encoder_kernel_size: kernel of the convolutional encoder.
        encoder_dropout: dropout of the convolutional encoder.
        pooling: frames of the convolutional encoder become one vector by their mean (``"mean"``), or by mean and
            maximum side by side (``"mean_max"``), which keeps what happens for a short time.
        averaged_modalities: modalities whose features are averaged over time as they come, without an encoder: as
            published, text that BERT has read.
        packing: ``"own_lengths"``: every modality is read to its own end. ``"text_lengths"``, as in MMSA: the encoder
            reads as many frames of every modality, from the first one on, as the text has tokens, and none after them.
        code_gain: factor on the initial weights of the code maps; 1 as released. See `nn.SharedPrivateEncoder`.
        similarity: ``"cmd"``; ``"mmd"``, `nn.MaximumMeanDiscrepancy`, at most 2, so give it a weight of some 100; or
            ``"adversarial"``: a discriminator behind a gradient reversal.
        num_moments: of the central moment discrepancy.
        similarity_min_samples: batches with fewer samples of a modality add no discrepancy.
        reversal_strength: initial strength of the gradient reversal (``similarity="adversarial"``).
        discriminator_dropout: inside that discriminator.
        difference_form: ``"rows"`` as published, which grows with the batch, or ``"correlation"``, which does not; see
            `functional.orthogonality`.
        terms_reach_encoders: let similarity, difference and reconstruction train encoders and projections, too, as
            published. Each of them is small where the vectors of all samples are alike, and the encoders can make them
            so; where False, these terms train the code maps, the reconstruction and the discriminator, and the task
            alone the encoders.
        num_heads: of the fusion's Transformer layer.
        feedforward_features: of that layer; four times ``hidden_features`` where None, 2048 as released.
        fusion_dropout: of that layer.
        fusion_attention_dropout: on its attention weights.
        head_dropout: inside the head; .5 as released.
        difference_weight: weight of the difference term.
        similarity_weight: weight of the similarity term.
        reconstruction_weight: weight of the reconstruction term.

    Example:
        >>> from mmdisentangle.models import MISA
        >>> settings = MISA(
        ...     {"text": 16, "audio": 4, "vision": 8}, preset="mosi", hidden_features=64
        ... ).settings
        >>> settings.temporal_encoder, settings.averaged_modalities, settings.hidden_features
        ('lstm', ('text',), 64)
    """

    where = "MISA"

    hidden_features: int = 128
    temporal_encoder: MISAEncoder = "conv"
    encoder_blocks: int = 4
    encoder_kernel_size: int = 5
    encoder_dropout: float = 0.1
    pooling: Pooling = "mean_max"
    averaged_modalities: tuple[str, ...] = ()
    packing: Packing = "own_lengths"
    code_gain: float = 4.0
    similarity: Similarity = "cmd"
    num_moments: int = 5
    similarity_min_samples: int = 2
    reversal_strength: float = 1.0
    discriminator_dropout: float = 0.1
    difference_form: OrthogonalityForm = "rows"
    terms_reach_encoders: bool = False
    num_heads: int = 2
    feedforward_features: int | None = None
    fusion_dropout: float = 0.1
    fusion_attention_dropout: float = 0.0
    head_dropout: float = 0.1
    difference_weight: float = 0.3
    similarity_weight: float = 1.0
    reconstruction_weight: float = 1.0

    @staticmethod
    def preset(name: MISAPreset, modalities: tuple[str, ...]) -> dict[str, Any]:
        """Settings of the released program by the name of the dataset.

        Its defaults, which it trains all three datasets with, are weights .3, 1 and 1 for difference, similarity and
        reconstruction, 128 features, dropout .5 and ReLU. Only the task differs here; settings that the paper tuned per
        dataset are not part of this preset.
        """
        check_choice("MISA", "preset", name, tuple(_TABLE))
        return {**_RELEASED, **_TABLE[name], "averaged_modalities": tuple(m for m in modalities if m == "text")}

    @classmethod
    def checked(cls, modalities: tuple[str, ...], preset: MISAPreset | None, given: Mapping[str, Any]) -> Self:
        """Settings from keyword arguments, over those of a preset where one is named."""
        settings = cls.from_keywords(given, {} if preset is None else cls.preset(preset, modalities))
        settings._check(modalities)
        return settings

    def _check(self, modalities: tuple[str, ...]) -> None:
        """What no part checks for itself, or only where it is switched on."""
        for name, choices in (
            ("temporal_encoder", ("conv", "lstm")),
            ("pooling", POOLINGS),
            ("packing", ("own_lengths", "text_lengths")),
            ("similarity", ("cmd", "mmd", "adversarial")),
            ("difference_form", ORTHOGONALITY_FORMS),
        ):
            check_choice("MISA", name, getattr(self, name), choices)
        for name in ("hidden_features", "num_heads"):
            check_count("MISA", name, getattr(self, name))
        for name in ("terms_reach_encoders", "gather", "checkpoint_activations"):
            check_flag("MISA", name, getattr(self, name))
        check_number("MISA", "head_dropout", self.head_dropout, low=0, high=1)
        for term in ("difference", "similarity", "reconstruction"):
            check_number("MISA", f"{term}_weight", getattr(self, f"{term}_weight"), low=0)
        if not isinstance(self.averaged_modalities, tuple):
            raise SettingError(f"MISA: averaged_modalities must be a tuple of names, got {self.averaged_modalities!r}.")
        for name in self.averaged_modalities:
            check_known("MISA", "averaged_modalities", name, modalities)
        if self.packing == "text_lengths" and "text" not in modalities:
            raise SettingError(
                f"MISA: packing='text_lengths' needs a modality named 'text', got {list(modalities)}; leave it at "
                "'own_lengths'."
            )
