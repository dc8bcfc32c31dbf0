"""MISA: modality-invariant and -specific representations (arXiv:2005.03545)."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmdisentangle._core.numerics import without_autocast, zero_where_invalid
from mmdisentangle.models._code_hook import CodeHook, hook_encoder
from mmdisentangle.models._inputs import resolve_inputs
from mmdisentangle.models._misa_settings import MISAPreset, MISASettings
from mmdisentangle.models._multimodal import MultimodalModel
from mmdisentangle.models._pooling import Pooling, pooled, pooled_width
from mmdisentangle.nn import (
    CentralMomentDiscrepancy,
    MaximumMeanDiscrepancy,
    ModalityDiscriminator,
    OrthogonalityLoss,
    ReconstructionLoss,
    RecurrentUtteranceEncoder,
    SharedPrivateCodes,
    SharedPrivateEncoder,
    TemporalConvEncoder,
    TransformerBlock,
)
from mmdisentangle.nn._checkpoint import checkpointed
from mmdisentangle.nn._dropout import Dropout
from mmdisentangle.nn._modality_modules import ModalityModules


class MISAOutput(NamedTuple):
    """What `MISA` returns; codes of a missing modality are 0.

    Attributes:
        prediction: ``[B, num_outputs]``: target units, or logits.
        fused: ``[B, 2 M D]``, what the head reads: private codes, then shared ones, after they have seen each other.
        shared: shared (modality-invariant) code of every modality, ``[B, D]``.
        private: private (modality-specific) code of every modality, ``[B, D]``.
        projected: target of the reconstruction, ``[B, D]``.
        reconstruction: ``[B, D]``.
        present: which samples have the modality, ``[B]``, of every modality that came with a mask or may be missing;
            others are there in all.

    Example:
        >>> model = MISA({"text": 16, "audio": 4}, hidden_features=8)
        >>> inputs = {"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)}
        >>> output = model(inputs, present={"audio": torch.tensor([True, False])})
        >>> output.fused.shape, output.shared["audio"].abs().amax(1) > 0
        (torch.Size([2, 32]), tensor([ True, False]))
    """

    prediction: Tensor
    fused: Tensor
    shared: dict[str, Tensor]
    private: dict[str, Tensor]
    projected: dict[str, Tensor]
    reconstruction: dict[str, Tensor]
    present: dict[str, Tensor]


class MISAObjective(NamedTuple):
    """Terms of the objective, unweighted, each 0-dim; ``total`` holds the weights.

    Attributes:
        total: the weighted sum, which is minimised.
        task: loss of the prediction.
        difference: linear dependence of the two codes of a modality, and of the private codes of every two.
        similarity: distance of the shared codes, or loss of the discriminator.
        reconstruction: error of every modality's vector, given back from its codes.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = MISA({"text": 16, "audio": 4}, hidden_features=8)
        >>> output = model({"text": torch.randn(4, 5, 16), "audio": torch.randn(4, 9, 4)})
        >>> objective = model.objective(output, torch.tensor([3.0, -3.0, 0.0, 1.0]))
        >>> {name: round(term.item(), 2) for name, term in objective._asdict().items()}
        {'total': 7.6, 'task': 5.05, 'difference': 0.46, 'similarity': 1.11,
         'reconstruction': 1.3}
    """

    total: Tensor
    task: Tensor
    difference: Tensor
    similarity: Tensor
    reconstruction: Tensor


class MISA(MultimodalModel):
    r"""One vector per modality, split into a shared and a private code, fused by attention among all codes.

    .. math:: L = L_\mathrm{task} + 0.3\, L_\mathrm{difference} + L_\mathrm{similarity} + L_\mathrm{reconstruction}

    Encoders, mean and maximum over time → `nn.SharedPrivateEncoder` → `nn.TransformerBlock` over the 2 M codes → head.
    The objective takes linear dependence out of the two codes of a modality and out of the private codes of every two
    (`nn.OrthogonalityLoss`), brings shared codes together by `nn.CentralMomentDiscrepancy` or a discriminator, and
    reconstructs every modality's vector from the sum of its codes. These terms decide how the vectors are split, not
    what the encoders take from the data (``terms_reach_encoders``).

    Args:
        modalities: width of every modality; at least two. The order is kept.
        num_outputs: predicted numbers, classes or labels.
        encoders: modules ``[B, T_m, d_m] -> [B, T_m, e_m]`` or ``[B, e_m]`` for some or all modalities, called with
            ``(x, mask)``, in place of the default, averaged over time; each must have an attribute ``out_features``.
        preset: settings of the released program for ``"mosi"``, ``"mosei"`` or ``"ur_funny"``.
        **settings: fields of `MISASettings`.

    Shape:
        inputs ``[B, T_m, d_m]``, masks ``[B, T_m]``, present ``[B]`` per modality; target ``[B, num_outputs]`` (``[B]``
        where there is one output), int64 ``[B]`` for classification.

    Returns:
        `MISAOutput`, and `MISAObjective` from `objective`.

    Raises:
        ModalityError: fewer than two modalities, one missing or unknown.
        UnknownNameError: no setting has the name.
        SettingError, ShapeError, DtypeError: an argument does not fit.

    Deviations:
        The defaults differ from the released program in the temporal encoder, the reach of the terms, the initial
        weights of the code maps, the width of the feed-forward network and the dropout; presets restore them. Masks are
        each modality's own; ``packing="text_lengths"`` restores those of MMSA's version. All are listed in the
        documentation.

    Example:
        >>> model = MISA({"text": 16, "audio": 4, "vision": 8}, num_outputs=1, hidden_features=16)
        >>> inputs = {"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4), "vision": torch.randn(2, 7, 8)}
        >>> model.objective(model(inputs), torch.zeros(2, 1))._fields
        ('total', 'task', 'difference', 'similarity', 'reconstruction')

    References:
        Hazarika, Zimmermann and Poria, "MISA: Modality-Invariant and -Specific Representations for Multimodal Sentiment
        Analysis", 2020, arXiv:2005.03545.
    """

    model_name = "misa"
    paper = (
        'Hazarika, Zimmermann and Poria, "MISA: Modality-Invariant and -Specific Representations for '
        'Multimodal Sentiment Analysis", 2020, arXiv:2005.03545.'
    )
    settings: MISASettings

    def __init__(
        self,
        modalities: Mapping[str, int],
        num_outputs: int = 1,
        *,
        encoders: Mapping[str, nn.Module] | None = None,
        preset: MISAPreset | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(modalities, num_outputs)
        self.preset = preset
        self.settings = s = MISASettings.checked(self.modalities, preset, settings)
        width = s.hidden_features
        encoded = self._build_encoders(encoders, self._default_encoder)
        encoded = {name: pooled_width(features, self._pooling(name)) for name, features in encoded.items()}
        self.codes = SharedPrivateEncoder(encoded, width, initial_gain=s.code_gain)
        self.reconstructors = ModalityModules({name: nn.Linear(width, width) for name in self.modalities})
        self.fusion = TransformerBlock(
            width,
            num_heads=s.num_heads,
            feedforward_features=s.feedforward_features,
            dropout=s.fusion_dropout,
            attention_dropout=s.fusion_attention_dropout,
        )
        half = len(self.modalities) * width
        self.head = nn.Sequential(
            nn.Linear(2 * half, half), Dropout(s.head_dropout), nn.ReLU(), nn.Linear(half, num_outputs)
        )
        self.task_term = self._task_term()
        self.difference_term = OrthogonalityLoss(form=s.difference_form, gather=s.gather)
        self.reconstruction_term = ReconstructionLoss(detach_target=not s.terms_reach_encoders, gather=s.gather)
        self.similarity_term: CentralMomentDiscrepancy | MaximumMeanDiscrepancy
        if s.similarity == "cmd":
            self.similarity_term = CentralMomentDiscrepancy(
                num_moments=s.num_moments, min_samples=s.similarity_min_samples, gather=s.gather
            )
        elif s.similarity == "mmd":
            self.similarity_term = MaximumMeanDiscrepancy(gather=s.gather)
        else:
            self.discriminator = ModalityDiscriminator(
                self.modalities,
                width,
                loss="cross_entropy",
                dropout=s.discriminator_dropout,
                strength=s.reversal_strength,
                prototype_penalty=0.0,
                gather=s.gather,
            )

    def _default_encoder(self, name: str) -> nn.Module:
        s, width = self.settings, self.widths[name]
        if name in s.averaged_modalities:
            return nn.Identity()
        if s.temporal_encoder == "lstm":
            return RecurrentUtteranceEncoder(width)
        return TemporalConvEncoder(
            width,
            s.hidden_features,
            num_blocks=s.encoder_blocks,
            kernel_size=s.encoder_kernel_size,
            dropout=s.encoder_dropout,
        )

    def _pooling(self, name: str) -> Pooling:
        """What a default encoder over frames is followed by; others are averaged, if they return frames at all."""
        s = self.settings
        own = name in self.custom_encoders or name in s.averaged_modalities or s.temporal_encoder == "lstm"
        return "mean" if own else s.pooling

    def _variant(self) -> dict[str, Any]:
        return {"preset": self.preset}

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
        *,
        present: Mapping[str, Tensor] | None = None,
    ) -> MISAOutput:
        """Encode, separate, fuse and predict."""
        inputs, masks = resolve_inputs("MISA", self.widths, inputs, masks, present)
        here = {name: mask.any(1) for name, mask in masks.items()}
        if self.settings.packing == "text_lengths":
            inputs, masks = self._packed(inputs, masks, here)
        # One frame per modality, which is there or not.
        vectors = {name: self._utterance(name, x, masks.get(name)).unsqueeze(1) for name, x in inputs.items()}
        codes = self._separated(vectors, {name: exists.unsqueeze(1) for name, exists in here.items()})
        shared, private, projected = ({n: x.squeeze(1) for n, x in code.items()} for code in codes)
        reconstruction = self._reconstructed(shared, private, here)
        tokens = torch.stack([*private.values(), *shared.values()], 1)
        fused = checkpointed(
            self.fusion, tokens, self._token_mask(tokens, here), active=self.settings.checkpoint_activations
        ).flatten(1)
        prediction = self.task_term.in_units(self.head(fused))
        return MISAOutput(prediction, fused, shared, private, projected, reconstruction, here)

    def _separated(self, vectors: Mapping[str, Tensor], exists: Mapping[str, Tensor]) -> SharedPrivateCodes:
        """Codes in the precision of the weights: means over time differ little, and the terms look at differences."""
        weight = self.codes.shared.weight
        with without_autocast(weight):
            codes: SharedPrivateCodes = self.codes({n: x.to(weight.dtype) for n, x in vectors.items()}, exists)
        return codes

    def _reconstructed(
        self, shared: Mapping[str, Tensor], private: Mapping[str, Tensor], here: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        return {
            name: zero_where_invalid(self.reconstructors[name](private[name] + shared[name]), here.get(name))
            for name in self.modalities
        }

    def _utterance(self, name: str, x: Tensor, mask: Tensor | None) -> Tensor:
        """One vector ``[B, e_m]``."""
        encoded = self._encode(name, x, mask)
        return encoded if encoded.ndim == 2 else pooled(encoded, mask, self._pooling(name))

    def _packed(
        self, inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor], here: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Inputs with zeros for padding, and masks that end where the text ends, whatever else is real."""
        text = inputs["text"]
        count = (
            masks["text"].sum(1) if "text" in masks else torch.full(text.shape[:1], text.shape[1], device=text.device)
        )
        packed = {}
        for name, x in inputs.items():
            read = torch.arange(x.shape[1], device=x.device) < count.unsqueeze(1)
            packed[name] = read & here[name].unsqueeze(1) if name in here else read
        if "text" in masks:
            packed["text"] = masks["text"]
        return {name: zero_where_invalid(x, masks.get(name)) for name, x in inputs.items()}, packed

    def _token_mask(self, tokens: Tensor, here: Mapping[str, Tensor]) -> Tensor | None:
        """Which of the 2 M codes exist, ``[B, 2 M]``."""
        if not here:
            return None
        everywhere = torch.ones(tokens.shape[:1], dtype=torch.bool, device=tokens.device)
        exists = torch.stack([here.get(name, everywhere) for name in self.modalities], 1)
        return torch.cat((exists, exists), 1)

    def register_code_hook(self, change: CodeHook) -> RemovableHandle:
        """Pass the codes of every forward through ``change(shared, private, masks)``, before they are fused."""
        return hook_encoder(self.codes, change)

    def objective(self, output: MISAOutput, target: Tensor) -> MISAObjective:
        """Return the terms of the objective and their weighted sum.

        Args:
            output: of this model.
            target: ``[B, num_outputs]`` or, for one output, ``[B]``; int64 class indices ``[B]`` for classification.
        """
        s = self.settings
        task = self.task_term(output.prediction, target)
        if not s.terms_reach_encoders:
            output = self._cut_off(output)
        difference = self._difference(output)
        if s.similarity != "adversarial":
            similarity = self.similarity_term.pairwise(output.shared, output.present)
        else:
            similarity = self.discriminator(output.shared, output.present, reverse=True).loss
        reconstruction = self.reconstruction_term(
            {name: x.unsqueeze(1) for name, x in output.reconstruction.items()},
            {name: x.unsqueeze(1) for name, x in output.projected.items()},
            {name: exists.unsqueeze(1) for name, exists in output.present.items()},
        )
        total = (
            task
            + s.difference_weight * difference
            + s.similarity_weight * similarity
            + s.reconstruction_weight * reconstruction
        )
        return MISAObjective(total, task, difference, similarity, reconstruction)

    def _cut_off(self, output: MISAOutput) -> MISAOutput:
        """The same codes, from vectors that are constants: the terms cannot make them alike."""
        shared, private, here = {}, {}, output.present
        for name, projected in output.projected.items():
            with without_autocast(projected):
                shared[name], private[name] = self.codes.split(name, projected.detach(), here.get(name))
        reconstruction = self._reconstructed(shared, private, here)
        return output._replace(shared=shared, private=private, reconstruction=reconstruction)

    def _difference(self, output: MISAOutput) -> Tensor:
        """Sum over the two codes of every modality, and over the private codes of every two modalities."""
        here = output.present
        terms = [
            self.difference_term(output.private[name], output.shared[name], here.get(name)) for name in self.modalities
        ]
        for one, other in combinations(self.modalities, 2):
            both = here.get(one)
            if other in here:
                both = here[other] if both is None else both & here[other]
            terms.append(self.difference_term(output.private[one], output.private[other], both))
        return torch.stack(terms).sum()
