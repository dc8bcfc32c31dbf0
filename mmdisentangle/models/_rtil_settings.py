"""Every setting of RTIL, and the preset that reproduces the released code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from mmdisentangle._core.checks import check_choice, check_count, check_flag, check_number
from mmdisentangle._core.errors import ModalityError, SettingError
from mmdisentangle._core.modalities import check_known
from mmdisentangle.functional.temporal_invariance import TemporalAggregation, TemporalDivergence
from mmdisentangle.models._settings import ModelSettings
from mmdisentangle.nn.fusion.text_driven import FusionGate, GateAlignment
from mmdisentangle.nn.layers.modality_discriminator import DiscriminatorLoss

Similarity: TypeAlias = Literal["cmd", "mmd"]
EncoderKind: TypeAlias = Literal["convolution", "released"]
ReconstructionForm: TypeAlias = Literal["frame", "pooled"]


@dataclass(frozen=True, kw_only=True)
class RTILSettings(ModelSettings):
    """Every setting of `RTIL`, with the number of the deviation from the released code where there is one.

    Those of task and batch statistics are inherited from `ModelSettings`.

    Attributes:
        hidden_features: width D of the codes.
        query: modality that drives the fusion; ``"text"`` where there is one, else the first.
        encoder: default encoder of every modality: ``"convolution"`` is `nn.TemporalConvEncoder`; ``"released"`` leaves
            the query as it is and puts a Transformer layer at its own width on every other modality.
        encoder_blocks: blocks of the convolutional encoder.
        encoder_kernel_size: kernel of the convolutional encoder.
        encoder_dropout: dropout of the convolutional encoder.
        num_heads: heads of the cross attention.
        code_gain: factor on the initial weights of the code maps; 1 as released. See `nn.SharedPrivateEncoder`.
        position_scale: amplitude of the position encoding; 1 as released.
        fusion_dropout: on the result of the cross attention.
        gate: ``"hard"``, ``"soft"``, ``"off"`` or ``"released"`` (1: no gradient).
        gate_alignment: ``"attended"``, or ``"frame"`` as released.
        gate_dropout: inside the gate.
        share_gate_head: (2) one head for all gates.
        feedforward_features: of the fusion's Transformer block; four times its width where None, 2048 as released.
        block_dropout: dropout of that block.
        block_attention_dropout: on its attention weights.
        rates: frames per second of every modality, for positions on one clock; see `nn.TextDrivenFusion`.
        head_dropout: before the prediction; .6 as released.
        discriminator_loss: ``"cross_entropy"``, or ``"cosine_margin"`` as released. A margin is hard to satisfy, so its
            reversed gradient does not fade where the modalities cannot be told apart.
        discriminator_dropout: inside the discriminator.
        reversal_strength: initial strength of the gradient reversal.
        reverse_private: (3) reverse the discriminator's gradient on private codes, too.
        reconstruction: ``"frame"`` reconstructs every frame; ``"pooled"`` (4) compares the reconstruction of the
            time-averaged code with every frame.
        detach_reconstruction_target: take what is to be reconstructed as a constant, so that it cannot move towards its
            reconstruction.
        temporal_modalities: (5) modalities of the temporal term; all where None.
        temporal_aggregation: (5) ``"sample"``, or ``"batch"`` as released.
        temporal_divergence: see `functional.temporal_invariance`.
        temporal_temperature: see `functional.temporal_invariance`.
        honour_masks: (6) False treats padding as real frames.
        adversarial_weight: weight of the adversarial term.
        similarity: what brings the distributions of shared codes together: ``"cmd"``, five moments of each feature, or
            ``"mmd"``, `nn.MaximumMeanDiscrepancy`, which sees dependences between features, too.
        similarity_weight: weight of that term; for ``"mmd"``, which is at most 2, some 100.
        reconstruction_weight: weight of the reconstruction term.
        temporal_weight: weight of the temporal term.
        similarity_min_samples: batches with fewer samples of a modality add no similarity; 1 as released.

    Example:
        >>> from mmdisentangle.models import RTIL
        >>> settings = RTIL(
        ...     {"text": 16, "audio": 4, "vision": 8}, published=True, hidden_features=8
        ... ).settings
        >>> settings.gate, settings.honour_masks, settings.temporal_modalities
        ('released', False, ('vision',))
    """

    where = "RTIL"

    hidden_features: int = 128
    query: str | None = None
    encoder: EncoderKind = "convolution"
    encoder_blocks: int = 4
    encoder_kernel_size: int = 5
    encoder_dropout: float = 0.1
    num_heads: int = 4
    code_gain: float = 4.0
    position_scale: float = 0.2
    fusion_dropout: float = 0.2
    gate: FusionGate = "hard"
    gate_alignment: GateAlignment = "attended"
    gate_dropout: float = 0.4
    share_gate_head: bool = False
    feedforward_features: int | None = None
    block_dropout: float = 0.1
    block_attention_dropout: float = 0.0
    rates: Mapping[str, float] | None = None
    head_dropout: float = 0.1
    discriminator_loss: DiscriminatorLoss = "cross_entropy"
    discriminator_dropout: float = 0.6
    reversal_strength: float = 1.0
    reverse_private: bool = False
    reconstruction: ReconstructionForm = "frame"
    detach_reconstruction_target: bool = True
    temporal_modalities: tuple[str, ...] | None = None
    temporal_aggregation: TemporalAggregation = "sample"
    temporal_divergence: TemporalDivergence = "js"
    temporal_temperature: float = 1.0
    honour_masks: bool = True
    adversarial_weight: float = 0.4
    similarity: Similarity = "cmd"
    similarity_weight: float = 1.0
    reconstruction_weight: float = 1.0
    temporal_weight: float = 1.0
    similarity_min_samples: int = 2

    @staticmethod
    def published(modalities: tuple[str, ...]) -> dict[str, Any]:
        """Settings of the arithmetic as released, for modalities in the order text, audio, vision."""
        if len(modalities) != 3:
            raise ModalityError(
                f"RTIL: published=True needs three modalities in the order text, audio, vision, got {list(modalities)}."
            )
        if set(modalities) in ({"text", "audio", "vision"}, {"text", "audio", "video"}) and (
            modalities[:2] != ("text", "audio")
        ):
            raise ModalityError(
                "RTIL: published=True takes the modalities in the order text, audio, vision, since each has its own "
                f"part; got {list(modalities)}."
            )
        return {
            "query": modalities[0],
            "encoder": "released",
            "code_gain": 1.0,
            "position_scale": 1.0,
            "gate": "released",
            "gate_alignment": "frame",
            "share_gate_head": True,
            "feedforward_features": 2048,
            "block_attention_dropout": 0.1,
            "head_dropout": 0.6,
            "discriminator_loss": "cosine_margin",
            "reverse_private": True,
            "reconstruction": "pooled",
            "detach_reconstruction_target": False,
            "temporal_modalities": (modalities[2],),
            "temporal_aggregation": "batch",
            "honour_masks": False,
            "similarity_min_samples": 1,
        }

    @classmethod
    def checked(cls, modalities: tuple[str, ...], published: bool, given: Mapping[str, Any]) -> Self:
        """Settings from keyword arguments, over those of the published form where it is asked for."""
        given = dict(given)
        if given.get("gate") is False:
            # YAML takes the word off for a boolean.
            given["gate"] = "off"
        settings = cls.from_keywords(given, cls.published(modalities) if published else {})
        settings._check(modalities)
        return settings

    def _check(self, modalities: tuple[str, ...]) -> None:
        """What no part checks for itself."""
        check_choice("RTIL", "encoder", self.encoder, ("convolution", "released"))
        check_choice("RTIL", "similarity", self.similarity, ("cmd", "mmd"))
        check_choice("RTIL", "reconstruction", self.reconstruction, ("frame", "pooled"))
        check_count("RTIL", "hidden_features", self.hidden_features)
        check_number("RTIL", "head_dropout", self.head_dropout, low=0, high=1)
        for flag in (
            "share_gate_head",
            "reverse_private",
            "detach_reconstruction_target",
            "honour_masks",
            "gather",
            "checkpoint_activations",
        ):
            check_flag("RTIL", flag, getattr(self, flag))
        for term in ("adversarial", "similarity", "reconstruction", "temporal"):
            check_number("RTIL", f"{term}_weight", getattr(self, f"{term}_weight"), low=0)
        if self.query is not None:
            check_known("RTIL", "query", self.query, modalities)
        if self.temporal_modalities is not None:
            if not isinstance(self.temporal_modalities, tuple) or not self.temporal_modalities:
                raise SettingError(
                    f"RTIL: temporal_modalities must be a non-empty tuple of names, got {self.temporal_modalities!r}."
                )
            for name in self.temporal_modalities:
                check_known("RTIL", "temporal_modalities", name, modalities)
