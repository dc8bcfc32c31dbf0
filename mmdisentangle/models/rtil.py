"""RTIL: robust temporal-invariant learning in multimodal disentanglement (arXiv:2409.00143)."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmdisentangle._core.distributed import count_rows, mean_over_processes
from mmdisentangle._core.errors import ModalityError, SettingError
from mmdisentangle._core.modalities import modality_names
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional import masked_mean, masked_mean_square
from mmdisentangle.models._code_hook import CodeHook, hook_encoder
from mmdisentangle.models._inputs import resolve_inputs
from mmdisentangle.models._multimodal import MultimodalModel
from mmdisentangle.models._rtil_released import (
    released_encoder,
    released_names,
    released_sizes,
    released_weights,
)
from mmdisentangle.models._rtil_settings import RTILSettings
from mmdisentangle.nn import (
    CentralMomentDiscrepancy,
    MaximumMeanDiscrepancy,
    ModalityDiscriminator,
    ReconstructionLoss,
    SharedPrivateEncoder,
    TemporalConvEncoder,
    TemporalInvariantLoss,
    TextDrivenFusion,
)
from mmdisentangle.nn._dropout import Dropout
from mmdisentangle.nn._modality_modules import ModalityModules
from mmdisentangle.nn.fusion.text_driven import default_query


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
        masks: real frames, ``[B, T_m]``, of every modality that came with a mask or may be missing; others are all
            real.

    Example:
        >>> model = RTIL({"text": 16, "audio": 4}, hidden_features=8)
        >>> output = model({"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)})
        >>> output.shared["audio"].shape, output.fused.shape, output.gates["audio"].shape
        (torch.Size([2, 9, 8]), torch.Size([2, 8]), torch.Size([2, 5]))
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
    """Terms of the objective, unweighted, each 0-dim; ``total`` holds the weights.

    Attributes:
        total: the weighted sum, which is minimised.
        task: loss of the prediction.
        adversarial: loss of the discriminator on shared codes, through a gradient reversal, and on private ones.
        similarity: distance of the distributions of shared codes.
        reconstruction: error of every frame, given back from its two codes.
        temporal: change of the codes between neighbouring frames.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = RTIL({"text": 16, "audio": 4}, hidden_features=8)
        >>> output = model({"text": torch.randn(4, 5, 16), "audio": torch.randn(4, 9, 4)})
        >>> objective = model.objective(output, torch.tensor([3.0, -3.0, 0.0, 1.0]))
        >>> {name: round(term.item(), 2) for name, term in objective._asdict().items()}
        {'total': 7.52, 'task': 4.96, 'adversarial': 1.43, 'similarity': 0.75,
         'reconstruction': 1.21, 'temporal': 0.02}
    """

    total: Tensor
    task: Tensor
    adversarial: Tensor
    similarity: Tensor
    reconstruction: Tensor
    temporal: Tensor


class RTIL(MultimodalModel):
    r"""Shared and private codes of every modality, kept steady in time, fused under the lead of one modality.

    .. math:: L = L_\mathrm{task} + 0.4\, L_\mathrm{adversarial} + L_\mathrm{similarity} + L_\mathrm{reconstruction}
              + L_\mathrm{temporal}

    Encoders → `nn.SharedPrivateEncoder` → `nn.TextDrivenFusion` → mean over time → head. The objective tells modalities
    apart with a `nn.ModalityDiscriminator` (reversed on shared codes), brings shared codes together by
    `nn.CentralMomentDiscrepancy`, reconstructs every frame from both codes and keeps both from jumping between frames
    (`nn.TemporalInvariantLoss`).

    Args:
        modalities: width of every modality; at least two. The order is kept.
        num_outputs: predicted numbers, classes or labels.
        encoders: modules ``[B, T_m, d_m] -> [B, T_m, e_m]`` for some or all modalities, called with ``(x, mask)``, in
            place of the default; each must have an attribute ``out_features``.
        published: the arithmetic as released, with every deviation listed in the documentation.
        **settings: fields of `RTILSettings`.

    Shape:
        inputs ``[B, T_m, d_m]``, masks ``[B, T_m]``, present ``[B]`` per modality; target ``[B, num_outputs]`` (``[B]``
        where there is one output), int64 ``[B]`` for classification.

    Returns:
        `RTILOutput`, and `RTILObjective` from `objective`.

    Raises:
        ModalityError: fewer than two modalities, one missing or unknown.
        UnknownNameError: no setting has the name.
        SettingError, ShapeError, DtypeError: an argument does not fit.

    Deviations:
        The defaults correct the released code; ``published=True`` restores it. Numbers of the documentation's table,
        and their settings: 1 ``gate``, 2 ``share_gate_head``, 3 ``reverse_private``, 4 ``reconstruction``, 5
        ``temporal_modalities`` and ``temporal_aggregation``, 6 ``honour_masks``. Never restored: 7 NaN where moments
        coincide, 8 loops, 9 unused parameters.

    Example:
        >>> model = RTIL({"text": 16, "audio": 4}, num_outputs=1, hidden_features=8)
        >>> inputs = {"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)}
        >>> model.objective(model(inputs), torch.zeros(2, 1))._fields
        ('total', 'task', 'adversarial', 'similarity', 'reconstruction', 'temporal')

    References:
        "Robust Temporal-Invariant Learning in Multimodal Disentanglement", 2024, arXiv:2409.00143.
    """

    model_name = "rtil"
    paper = '"Robust Temporal-Invariant Learning in Multimodal Disentanglement", 2024, arXiv:2409.00143.'
    settings: RTILSettings

    def __init__(
        self,
        modalities: Mapping[str, int],
        num_outputs: int = 1,
        *,
        encoders: Mapping[str, nn.Module] | None = None,
        published: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(modalities, num_outputs)
        self.is_published = published
        self.settings = s = RTILSettings.checked(self.modalities, published, settings)
        self.query = default_query(self.modalities) if s.query is None else s.query
        width = s.hidden_features
        encoded = self._build_encoders(encoders, self._default_encoder)
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
            checkpoint_activations=s.checkpoint_activations,
        )
        self.head = nn.Sequential(
            nn.Linear(self.fusion.out_features, width),
            Dropout(s.head_dropout),
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
            gather=s.gather,
        )
        self.task_term = self._task_term()
        self.similarity_term: CentralMomentDiscrepancy | MaximumMeanDiscrepancy
        if s.similarity == "cmd":
            self.similarity_term = CentralMomentDiscrepancy(min_samples=s.similarity_min_samples, gather=s.gather)
        else:
            self.similarity_term = MaximumMeanDiscrepancy(gather=s.gather)
        self.reconstruction_term = ReconstructionLoss(detach_target=s.detach_reconstruction_target, gather=s.gather)
        self.temporal_term = TemporalInvariantLoss(
            divergence=s.temporal_divergence,
            aggregation=s.temporal_aggregation,
            temperature=s.temporal_temperature,
            gather=s.gather,
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

    def _variant(self) -> dict[str, Any]:
        return {"published": self.is_published}

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
                    "RTIL: masks and present are ignored, since honour_masks=False (part of published=True).",
                    stacklevel=2,
                )
            masks = present = None
        inputs, masks = resolve_inputs("RTIL", self.widths, inputs, masks, present)
        length = inputs[self.query].shape[1]
        if not s.honour_masks and any(x.shape[1] != length for x in inputs.values()):
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
                reconstruction[name] = self.reconstructors[name](masked_mean(both, masks.get(name), 1))
            else:
                reconstruction[name] = zero_where_invalid(self.reconstructors[name](both), masks.get(name))
        return RTILOutput(
            prediction, fused, codes.shared, codes.private, codes.projected, reconstruction, fusion.gates, masks
        )

    def register_code_hook(self, change: CodeHook) -> RemovableHandle:
        """Pass the codes of every forward through ``change(shared, private, masks)``, before they are fused."""
        return hook_encoder(self.codes, change)

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
        detach = self.settings.detach_reconstruction_target
        means, counts = [], []
        for name in self.modalities:
            target = output.projected[name].detach() if detach else output.projected[name]
            error = output.reconstruction[name].unsqueeze(1) - target
            means.append(masked_mean_square(error, output.masks.get(name)))
            counts.append(count_rows(error, output.masks.get(name)))
        stacked = torch.stack(means)
        return (mean_over_processes(stacked, torch.stack(counts)) if self.settings.gather else stacked).mean()

    @classmethod
    def from_released_state_dict(
        cls,
        state_dict: Mapping[str, Tensor],
        modalities: tuple[str, str, str] = ("text", "audio", "vision"),
        **settings: Any,
    ) -> Self:
        """Build a model in published mode from a checkpoint of the released program.

        Args:
            state_dict: its parameters by released name. Those that take no part are ignored; ``roberta.*`` is the text
                encoder, which the caller runs.
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
                "RTIL.from_released_state_dict: modalities must name the text, audio and visual streams, in that "
                f"order; got {list(names)}."
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
                "RTIL.released_names: the released program has no parameters for encoders of one's own, nor for "
                "another discriminator_loss than 'cosine_margin'."
            )
        return released_names(self)
