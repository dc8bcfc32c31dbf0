"""RTIL: robust temporal-invariant learning in multimodal disentanglement (arXiv:2409.00143)."""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_choice, check_count, check_number
from mmdisentangle._core.errors import DtypeError, ModalityError, SettingError, UnknownNameError, nearest_names
from mmdisentangle._core.modalities import check_known, modality_names
from mmdisentangle.functional import masked_mean, masked_mean_square
from mmdisentangle.functional.temporal_invariance import TemporalAggregation, TemporalDivergence
from mmdisentangle.models._inputs import resolve_inputs
from mmdisentangle.models._pretrained import Pretrained
from mmdisentangle.models._rtil_released import (
    released_encoder,
    released_names,
    released_sizes,
    released_weights,
)
from mmdisentangle.models._task import Task, TaskTerm
from mmdisentangle.nn import (
    CentralMomentDiscrepancy,
    ModalityDiscriminator,
    ReconstructionLoss,
    SharedPrivateEncoder,
    TemporalConvEncoder,
    TemporalInvariantLoss,
    TextDrivenFusion,
)
from mmdisentangle.nn._modality_modules import ModalityModules
from mmdisentangle.nn.fusion.text_driven import FusionGate, GateAlignment, default_query
from mmdisentangle.nn.layers.modality_discriminator import DiscriminatorLoss

EncoderKind: TypeAlias = Literal["convolution", "released"]
ReconstructionForm: TypeAlias = Literal["frame", "pooled"]


@dataclass(frozen=True, kw_only=True)
class RTILSettings:
    """Every setting of `RTIL`, with the number of the deviation from the released code where there is one.

    Attributes:
        task: ``"regression"``, ``"classification"`` or ``"multilabel"``.
        hidden_features: width D of the codes.
        query: modality that drives the fusion; ``"text"`` where there is one, else the first.
        encoder: default encoder of every modality: ``"convolution"`` is `nn.TemporalConvEncoder`; ``"released"`` leaves the query
            as it is and puts a Transformer layer at its own width on every other modality.
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
        discriminator_loss: ``"cosine_margin"`` or ``"cross_entropy"``.
        discriminator_dropout: inside the discriminator.
        reversal_strength: initial strength of the gradient reversal.
        reverse_private: (3) reverse the discriminator's gradient on private codes, too.
        reconstruction: ``"frame"`` reconstructs every frame; ``"pooled"`` (4) compares the reconstruction of the time-averaged
            code with every frame.
        temporal_modalities: (5) modalities of the temporal term; all where None.
        temporal_aggregation: (5) ``"sample"``, or ``"batch"`` as released.
        temporal_divergence: see `functional.temporal_invariance`.
        temporal_temperature: see `functional.temporal_invariance`.
        honour_masks: (6) False treats padding as real frames.
        adversarial_weight: weight of the adversarial term.
        similarity_weight: weight of the central moment discrepancy.
        reconstruction_weight: weight of the reconstruction term.
        temporal_weight: weight of the temporal term.
        similarity_min_samples: batches with fewer samples of a modality add no similarity; 1 as released.
        class_weights: classification and multilabel: weight of each class.
        target_location: regression: offset of the targets.
        target_scale: regression: spread of the targets.
        gather: take batch statistics over the samples of all processes.
    """

    task: Task = "regression"
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
    discriminator_loss: DiscriminatorLoss = "cosine_margin"
    discriminator_dropout: float = 0.6
    reversal_strength: float = 1.0
    reverse_private: bool = False
    reconstruction: ReconstructionForm = "frame"
    temporal_modalities: tuple[str, ...] | None = None
    temporal_aggregation: TemporalAggregation = "sample"
    temporal_divergence: TemporalDivergence = "js"
    temporal_temperature: float = 1.0
    honour_masks: bool = True
    adversarial_weight: float = 0.4
    similarity_weight: float = 1.0
    reconstruction_weight: float = 1.0
    temporal_weight: float = 1.0
    similarity_min_samples: int = 2
    class_weights: tuple[float, ...] | None = None
    target_location: float | tuple[float, ...] = 0.0
    target_scale: float | tuple[float, ...] = 1.0
    gather: bool = False

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
                "RTIL: published=True takes the modalities in the order text, audio, vision, since each has its own part; "
                f"got {list(modalities)}."
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
            "reverse_private": True,
            "reconstruction": "pooled",
            "temporal_modalities": (modalities[2],),
            "temporal_aggregation": "batch",
            "honour_masks": False,
            "similarity_min_samples": 1,
        }

    @classmethod
    def checked(cls, modalities: tuple[str, ...], published: bool, given: Mapping[str, Any]) -> Self:
        """Settings from keyword arguments, over those of the published form where it is asked for."""
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise UnknownNameError(f"RTIL: no setting is called {name!r}{nearest_names(name, known)}")
        merged = {**(cls.published(modalities) if published else {}), **given}
        for name in ("temporal_modalities", "class_weights", "target_location", "target_scale"):
            if isinstance(merged.get(name), list):
                merged[name] = tuple(merged[name])
        settings = cls(**merged)
        settings._check(modalities)
        return settings

    def _check(self, modalities: tuple[str, ...]) -> None:
        """What no part checks for itself."""
        check_choice("RTIL", "encoder", self.encoder, ("convolution", "released"))
        check_choice("RTIL", "reconstruction", self.reconstruction, ("frame", "pooled"))
        check_count("RTIL", "hidden_features", self.hidden_features)
        check_number("RTIL", "head_dropout", self.head_dropout, low=0, high=1)
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


class RTILOutput(NamedTuple):
    """What `RTIL` returns; padded frames of sequences are 0.

    Attributes:
        prediction: ``[B, num_outputs]``: target units, or logits.
        fused: ``[B, (M-1) D]``, what the head reads.
        shared: shared code of every modality, ``[B, T_m, D]``.
        private: private code of every modality, ``[B, T_m, D]``.
        projected: target of the reconstruction, ``[B, T_m, D]``.
        reconstruction: ``[B, T_m, D]``; ``[B, D]`` for ``reconstruction="pooled"``.
        gates: gate of every modality but the query, ``[B, Tq]``.
        masks: real frames, ``[B, T_m]``, of every modality that came with a mask or may be missing; others are all real.
    """

    prediction: Tensor
    fused: Tensor
    shared: dict[str, Tensor]
    private: dict[str, Tensor]
    projected: dict[str, Tensor]
    reconstruction: dict[str, Tensor]
    gates: dict[str, Tensor]
    masks: dict[str, Tensor]


class RTILObjective(NamedTuple):
    """Terms of the objective, unweighted, each 0-dim; ``total`` holds the weights."""

    total: Tensor
    task: Tensor
    adversarial: Tensor
    similarity: Tensor
    reconstruction: Tensor
    temporal: Tensor


class RTIL(Pretrained):
    r"""Shared and private codes of every modality, kept steady in time, fused under the lead of one modality.

    .. math:: L = L_\mathrm{task} + 0.4\, L_\mathrm{adversarial} + L_\mathrm{similarity} + L_\mathrm{reconstruction}
              + L_\mathrm{temporal}

    Encoders → `nn.SharedPrivateEncoder` → `nn.TextDrivenFusion` → mean over time → head. The objective tells modalities apart with
    a `nn.ModalityDiscriminator` (reversed on shared codes), brings shared codes together by `nn.CentralMomentDiscrepancy`,
    reconstructs every frame from both codes and keeps both from jumping between frames (`nn.TemporalInvariantLoss`).

    Args:
        modalities: width of every modality; at least two. The order is kept.
        num_outputs: predicted numbers, classes or labels.
        encoders: modules ``[B, T_m, d_m] -> [B, T_m, e_m]`` for some or all modalities, called with ``(x, mask)``, in place of the
            default; each must have an attribute ``out_features``.
        published: the arithmetic as released, with every deviation listed in the documentation.
        **settings: fields of `RTILSettings`.

    Shape:
        inputs ``[B, T_m, d_m]``, masks ``[B, T_m]``, present ``[B]`` per modality; target ``[B, num_outputs]`` (``[B]`` where there
        is one output), int64 ``[B]`` for classification.

    Returns:
        `RTILOutput`, and `RTILObjective` from `objective`.

    Raises:
        ModalityError: fewer than two modalities, one missing or unknown.
        UnknownNameError: no setting has the name.
        SettingError, ShapeError, DtypeError: an argument does not fit.

    Deviations:
        The defaults correct the released code; ``published=True`` restores it. Numbers of the documentation's table, and their
        settings: 1 ``gate``, 2 ``share_gate_head``, 3 ``reverse_private``, 4 ``reconstruction``, 5 ``temporal_modalities`` and
        ``temporal_aggregation``, 6 ``honour_masks``. Never restored: 7 NaN where moments coincide, 8 loops, 9 unused parameters.

    Example:
        >>> model = RTIL({"text": 16, "audio": 4}, num_outputs=1, hidden_features=8)
        >>> inputs = {"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)}
        >>> model.objective(model(inputs), torch.zeros(2, 1))._fields
        ('total', 'task', 'adversarial', 'similarity', 'reconstruction', 'temporal')

    References:
        "Robust Temporal-Invariant Learning in Multimodal Disentanglement", 2024, arXiv:2409.00143.
    """

    model_name = "rtil"

    def __init__(
        self,
        modalities: Mapping[str, int],
        num_outputs: int = 1,
        *,
        encoders: Mapping[str, nn.Module] | None = None,
        published: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        if not isinstance(modalities, Mapping):
            raise DtypeError(
                f"RTIL: modalities must be a mapping from name to width, got {type(modalities).__name__}."
            )
        self.modalities = modality_names("RTIL", modalities, least=2)
        for name in self.modalities:
            check_count("RTIL", f"modalities[{name!r}]", modalities[name])
        check_count("RTIL", "num_outputs", num_outputs)
        self.widths = {name: modalities[name] for name in self.modalities}
        self.num_outputs, self.is_published = num_outputs, published
        self.settings = s = RTILSettings.checked(self.modalities, published, settings)
        self.query = default_query(self.modalities) if s.query is None else s.query
        width = s.hidden_features
        encoders = {} if encoders is None else encoders
        self.custom_encoders = tuple(encoders)
        for name in self.custom_encoders:
            check_known("RTIL", "encoders", name, self.modalities)
        parts = {name: encoders[name] if name in encoders else self._default_encoder(name) for name in self.modalities}
        encoded = {name: _out_features(name, encoder, self.widths[name]) for name, encoder in parts.items()}
        self.encoders = ModalityModules(parts)
        self.codes = SharedPrivateEncoder(encoded, width, initial_gain=s.code_gain)
        self.fusion = TextDrivenFusion(
            self.modalities,
            width,
            query=self.query,
            num_heads=s.num_heads,
            dropout=s.fusion_dropout,
            gate=s.gate,
            gate_alignment=s.gate_alignment,
            gate_dropout=s.gate_dropout,
            share_gate_head=s.share_gate_head,
            feedforward_features=s.feedforward_features,
            block_dropout=s.block_dropout,
            block_attention_dropout=s.block_attention_dropout,
            position_scale=s.position_scale,
            rates=s.rates,
        )
        self.head = nn.Sequential(
            nn.Linear(self.fusion.out_features, width),
            nn.Dropout(s.head_dropout),
            nn.ReLU(),
            nn.Linear(width, num_outputs),
        )
        self.reconstructors = ModalityModules({name: nn.Linear(width, width) for name in self.modalities})
        self.discriminator = ModalityDiscriminator(
            self.modalities,
            width,
            loss=s.discriminator_loss,
            dropout=s.discriminator_dropout,
            strength=s.reversal_strength,
        )
        self.task_term = TaskTerm(
            s.task,
            num_outputs,
            class_weights=s.class_weights,
            target_location=s.target_location,
            target_scale=s.target_scale,
        )
        self.similarity_term = CentralMomentDiscrepancy(min_samples=s.similarity_min_samples, gather=s.gather)
        self.reconstruction_term = ReconstructionLoss()
        self.temporal_term = TemporalInvariantLoss(
            divergence=s.temporal_divergence,
            aggregation=s.temporal_aggregation,
            temperature=s.temporal_temperature,
            gather=s.gather and s.temporal_aggregation == "batch",
        )

    def _default_encoder(self, name: str) -> nn.Module:
        s, width = self.settings, self.widths[name]
        if s.encoder == "released":
            if name == self.query:
                return nn.Identity()
            # Two heads for the first other modality (audio), one for the next (vision).
            first = next(other for other in self.modalities if other != self.query)
            return released_encoder(width, num_heads=2 if name == first else 1)
        return TemporalConvEncoder(
            width,
            s.hidden_features,
            num_blocks=s.encoder_blocks,
            kernel_size=s.encoder_kernel_size,
            dropout=s.encoder_dropout,
        )

    @property
    def config(self) -> dict[str, Any]:
        """Settings that rebuild the model, JSON types only."""
        if self.custom_encoders:
            config_encoders = {"custom_encoders": list(self.custom_encoders)}
        else:
            config_encoders = {}
        return {
            "model": self.model_name,
            "modalities": dict(self.widths),
            "num_outputs": self.num_outputs,
            "published": self.is_published,
            **config_encoders,
            **_json_types(asdict(self.settings)),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **parts: Any) -> Self:
        """Rebuild the model without its weights; ``encoders`` must hold those that were the user's own."""
        config = dict(config)
        missing = [name for name in config.pop("custom_encoders", ()) if name not in (parts.get("encoders") or {})]
        if missing:
            raise SettingError(
                f"RTIL: the checkpoint was saved with encoders of the user's own for {missing}; pass them as encoders={{...}}."
            )
        return super().from_config(config, **parts)

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
        *,
        present: Mapping[str, Tensor] | None = None,
    ) -> RTILOutput:
        """Encode, fuse and predict."""
        s = self.settings
        if not s.honour_masks:
            if (masks is not None or present is not None) and not torch.compiler.is_compiling():
                warnings.warn(
                    "RTIL: masks and present are ignored, since honour_masks=False (part of published=True).", stacklevel=2
                )
            masks = present = None
        inputs, masks = resolve_inputs("RTIL", self.widths, inputs, masks, present)
        if not s.honour_masks and len({x.shape[1] for x in inputs.values()}) != 1:
            raise SettingError(
                "RTIL: honour_masks=False (part of published=True) needs equal lengths, got "
                f"{ {name: x.shape[1] for name, x in inputs.items()} }."
            )
        encoded = {name: self._encode(name, x, masks.get(name)) for name, x in inputs.items()}
        codes = self.codes(encoded, masks)
        fusion = self.fusion(codes.private, codes.shared, masks)
        fused = masked_mean(fusion.sequence, fusion.mask if masks else None, 1)
        prediction = self.task_term.in_units(self.head(fused))
        reconstruction = {}
        for name in self.modalities:
            both = codes.private[name] + codes.shared[name]
            if s.reconstruction == "pooled":
                both = masked_mean(both, masks.get(name), 1)
            reconstruction[name] = self.reconstructors[name](both)
        return RTILOutput(
            prediction, fused, codes.shared, codes.private, codes.projected, reconstruction, fusion.gates, masks
        )

    def _encode(self, name: str, x: Tensor, mask: Tensor | None) -> Tensor:
        encoder = self.encoders[name]
        if x.shape[1] == 0:
            return x.new_zeros(x.shape[0], 0, self.codes.widths[name])
        return x if isinstance(encoder, nn.Identity) else encoder(x, mask)

    def objective(self, output: RTILOutput, target: Tensor) -> RTILObjective:
        """Return the terms of the objective and their weighted sum.

        Args:
            output: of this model.
            target: ``[B, num_outputs]`` or, for one output, ``[B]``; int64 class indices ``[B]`` for classification.
        """
        s, masks = self.settings, output.masks
        here = {name: mask.any(1) for name, mask in masks.items()}
        pooled = {name: masked_mean(code, masks.get(name), 1) for name, code in output.shared.items()}
        on_shared = self.discriminator(pooled, here, reverse=True)
        on_private = self.discriminator(output.private, masks, reverse=s.reverse_private)
        task = self.task_term(output.prediction, target)
        adversarial = on_shared.loss + on_private.loss
        similarity = self.similarity_term.pairwise(pooled, here)
        reconstruction = self._reconstruction(output)
        temporal = torch.stack(
            [
                self.temporal_term(torch.cat((output.private[name], output.shared[name]), -1), masks.get(name))
                for name in s.temporal_modalities or self.modalities
            ]
        ).mean()
        total = (
            task
            + s.adversarial_weight * adversarial
            + s.similarity_weight * similarity
            + s.reconstruction_weight * reconstruction
            + s.temporal_weight * temporal
        )
        return RTILObjective(total, task, adversarial, similarity, reconstruction, temporal)

    def _reconstruction(self, output: RTILOutput) -> Tensor:
        if self.settings.reconstruction == "frame":
            per_frame: Tensor = self.reconstruction_term(output.reconstruction, output.projected, output.masks)
            return per_frame
        errors = [
            masked_mean_square(output.reconstruction[name].unsqueeze(1) - output.projected[name], output.masks.get(name))
            for name in self.modalities
        ]
        return torch.stack(errors).mean()

    @classmethod
    def from_released_state_dict(
        cls,
        state_dict: Mapping[str, Tensor],
        modalities: tuple[str, str, str] = ("text", "audio", "vision"),
        **settings: Any,
    ) -> Self:
        """Build a model in published mode from a checkpoint of the released program.

        Args:
            state_dict: its parameters by released name. Those that take no part are ignored; ``roberta.*`` is the text encoder,
                which the caller runs.
            modalities: names for the text, audio and visual streams, in that order.
            **settings: further settings, for instance ``task``.

        Raises:
            CheckpointError: a parameter is missing, unknown or of the wrong shape; each is named.

        Warns:
            UserWarning: the model does not honour masks; and where ``roberta.*`` was left out.
        """
        names = modality_names("RTIL.from_released_state_dict", modalities)
        if len(names) != 3:
            raise ModalityError(
                "RTIL.from_released_state_dict: modalities must name the text, audio and visual streams, in that order; "
                f"got {list(names)}."
            )
        widths, hidden_features, num_outputs = released_sizes(state_dict, names)
        model = cls(widths, num_outputs, published=True, hidden_features=hidden_features, **settings)
        weights = released_weights(state_dict, model.released_names(), model.state_dict())
        model.load_state_dict(weights, strict=False)
        warnings.warn(
            "RTIL.from_released_state_dict: the model computes as released; it needs equal lengths and ignores masks.",
            stacklevel=2,
        )
        model.eval()
        return model

    def released_names(self) -> dict[str, str]:
        """Released parameter name of each own parameter name, for a model in published mode.

        Raises:
            SettingError: the model is not in published mode.
        """
        if not self.is_published:
            raise SettingError("RTIL.released_names: only a model with published=True has released parameter names.")
        for setting in ("query", "encoder", "gate", "share_gate_head"):
            value, released = getattr(self.settings, setting), RTILSettings.published(self.modalities)[setting]
            if value != released and not (setting == "gate" and value != "off"):
                raise SettingError(
                    f"RTIL.released_names: the released program has no parameters for {setting}={value!r}; "
                    f"it needs {setting}={released!r}."
                )
        if self.custom_encoders or self.settings.discriminator_loss != "cosine_margin":
            raise SettingError(
                "RTIL.released_names: the released program has no parameters for encoders of one's own, nor for another "
                "discriminator_loss than 'cosine_margin'."
            )
        return released_names(self)


def _out_features(name: str, encoder: nn.Module, width: int) -> int:
    if not isinstance(encoder, nn.Module):
        raise DtypeError(f"RTIL: encoders[{name!r}] must be a torch.nn.Module, got {type(encoder).__name__}.")
    if isinstance(encoder, nn.Identity):
        return width
    features = getattr(encoder, "out_features", None)
    if not isinstance(features, int):
        raise SettingError(
            f"RTIL: encoders[{name!r}] ({type(encoder).__name__}) must have an integer attribute out_features, "
            f"got {features!r}."
        )
    return features


def _json_types(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json_types(entry) for key, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value
