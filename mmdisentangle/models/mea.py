"""MEA: modality-exclusive and -agnostic representations of asynchronous sequences (arXiv:2407.04955)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmdisentangle._core.masks import frame_positions
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional import masked_mean, sinusoidal_positions
from mmdisentangle.models._code_hook import CodeHook, hook_fusion
from mmdisentangle.models._inputs import resolve_inputs
from mmdisentangle.models._mea_fusion import CodeFusion
from mmdisentangle.models._mea_settings import MEASettings, Preset
from mmdisentangle.models._multimodal import MultimodalModel
from mmdisentangle.nn import (
    CKALoss,
    DoubleDiscriminator,
    HierarchicalCrossModalAttention,
    HSICLoss,
    ModalityWeighting,
    OrthogonalityLoss,
    PredictiveSelfAttention,
    RecurrentEncoder,
    TemporalConvEncoder,
)
from mmdisentangle.nn._dropout import Dropout
from mmdisentangle.nn._modality_modules import ModalityModules


class MEAOutput(NamedTuple):
    """What `MEA` returns.

    Attributes:
        prediction: ``[B, num_outputs]``: target units, or logits.
        fused: ``[B, F]``, what the head reads.
        shared: agnostic code of every modality, ``[B, hidden_features]``; 0 where it is missing, or not computed.
        private: exclusive code of every modality, likewise.
        present: which samples have the modality, ``[B]``, of every modality that came with a mask or may be missing;
            others are there in all.

    Example:
        >>> model = MEA({"text": 16, "audio": 4}, hidden_features=8)
        >>> output = model({"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)})
        >>> output.prediction.shape, output.fused.shape, output.private["audio"].shape
        (torch.Size([2, 1]), torch.Size([2, 16]), torch.Size([2, 8]))
    """

    prediction: Tensor
    fused: Tensor
    shared: dict[str, Tensor]
    private: dict[str, Tensor]
    present: dict[str, Tensor]


class MEAObjective(NamedTuple):
    """Terms of the objective, unweighted, each 0-dim; ``total`` holds the weights.

    Attributes:
        total: the weighted sum, which is minimised.
        task: loss of the prediction.
        disparity: dependence of the two codes of a modality.
        agnostic: loss of the discriminator on agnostic codes, through a gradient reversal.
        exclusive: its loss on exclusive codes.
        importance: loss of the head that weighs the agnostic codes.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = MEA({"text": 16, "audio": 4}, hidden_features=8)
        >>> output = model({"text": torch.randn(4, 5, 16), "audio": torch.randn(4, 9, 4)})
        >>> objective = model.objective(output, torch.tensor([3.0, -3.0, 0.0, 1.0]))
        >>> {name: round(term.item(), 2) for name, term in objective._asdict().items()}
        {'total': 6.47, 'task': 4.91, 'disparity': 0.02, 'agnostic': 0.67, 'exclusive':
         1.47, 'importance': 1.49}
    """

    total: Tensor
    task: Tensor
    disparity: Tensor
    agnostic: Tensor
    exclusive: Tensor
    importance: Tensor


class MEA(MultimodalModel):
    r"""What is a modality's own by self-attention, what all have by cross-modal attention, fused by two graphs.

    .. math:: L = L_\mathrm{task} + \alpha\, L_\mathrm{disparity}
              + \beta\, (L_\mathrm{agnostic} + L_\mathrm{exclusive}) + L_\mathrm{importance}

    Encoders → `nn.PredictiveSelfAttention` and `nn.ModalityWeighting` for exclusive codes,
    `nn.HierarchicalCrossModalAttention` for agnostic ones → mean over time, perceptrons → `nn.DecoupledGraphFusion` →
    head. The objective takes dependence out of the two codes of a modality (HSIC), and lets a `nn.DoubleDiscriminator`
    tell modalities apart in exclusive codes but not in agnostic ones.

    Args:
        modalities: width of every modality; at least two. The order is kept.
        num_outputs: predicted numbers, classes or labels.
        encoders: modules ``[B, T_m, d_m] -> [B, T_m, features]`` for some or all modalities, called with ``(x, mask)``,
            in place of the default; each must have the attribute ``out_features``. Where it is not ``features``, a
            linear map follows.
        preset: settings of the paper for ``"mosi"``, ``"mosei"`` or ``"iemocap"``, in the printed arithmetic
            but for the weights of flattened sequences and the literal importance head (``weighting="flatten"``,
            ``omega_grad=True``).
        **settings: fields of `MEASettings`.

    Shape:
        inputs ``[B, T_m, d_m]``, masks ``[B, T_m]``, present ``[B]`` per modality; target ``[B, num_outputs]`` (``[B]``
        where there is one output), int64 ``[B]`` for classification.

    Returns:
        `MEAOutput`, and `MEAObjective` from `objective`.

    Raises:
        ModalityError: fewer than two modalities, one missing or unknown.
        UnknownNameError: no setting has the name.
        SettingError, ShapeError, DtypeError: an argument does not fit.

    Deviations:
        No official code exists. What the paper leaves open, what the library chose and how to choose otherwise is in
        the documentation's table and in `MEASettings`. The defaults differ from the printed arithmetic in the attention
        mode, the divisor of the logits, where modalities are weighed, the temporal encoder, and the training of the
        importance head.

    Example:
        >>> model = MEA({"text": 16, "audio": 4, "vision": 8}, num_outputs=1)
        >>> inputs = {"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4), "vision": torch.randn(2, 7, 8)}
        >>> model.objective(model(inputs), torch.zeros(2, 1))._fields
        ('total', 'task', 'disparity', 'agnostic', 'exclusive', 'importance')

    References:
        Yang et al., "Asynchronous Multimodal Video Sequence Fusion via Learning Modality-Exclusive and -Agnostic
        Representations", 2024, arXiv:2407.04955.
    """

    model_name = "mea"
    paper = (
        'Yang et al., "Asynchronous Multimodal Video Sequence Fusion via Learning Modality-Exclusive and '
        '-Agnostic Representations", 2024, arXiv:2407.04955.'
    )
    settings: MEASettings

    def __init__(
        self,
        modalities: Mapping[str, int],
        num_outputs: int = 1,
        *,
        encoders: Mapping[str, nn.Module] | None = None,
        preset: Preset | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(modalities, num_outputs)
        self.preset = preset
        self.settings = s = MEASettings.checked(self.modalities, preset, settings)
        width = s.features
        encoded = self._build_encoders(encoders, self._default_encoder)
        self.adapters = ModalityModules(
            {name: nn.Linear(encoded[name], width) for name in self.modalities if encoded[name] != width}
        )
        if s.codes != "agnostic":
            self._build_exclusive(width)
        if s.codes != "exclusive":
            self._build_agnostic(width)
        self.fusion = CodeFusion(
            self.modalities,
            s.hidden_features,
            form=s.fusion,
            codes=s.codes,
            self_loops=s.self_loops,
            readout=s.readout,
            gain=s.code_gain,
        )
        fused = self.fusion.out_features
        hidden = (
            [] if s.head_features is None else [nn.Linear(fused, s.head_features), nn.GELU(), Dropout(s.head_dropout)]
        )
        last = fused if s.head_features is None else s.head_features
        self.head = nn.Sequential(Dropout(s.head_dropout), *hidden, nn.Linear(last, num_outputs))
        self.discriminator = DoubleDiscriminator(
            self.modalities,
            s.hidden_features,
            s.discriminator_features,
            strength=s.reversal_strength,
            # Without agnostic codes there is nothing to weigh.
            importance_weights=s.importance_weights and s.codes != "exclusive",
            weight_on=s.weight_on,
            omega_grad=s.omega_grad,
            dropout=s.discriminator_dropout,
            gather=s.gather,
        )
        self.task_term = self._task_term()
        self.disparity_term: nn.Module
        if s.disparity == "orthogonality":
            self.disparity_term = OrthogonalityLoss(gather=s.gather)
        elif s.disparity == "cka":
            self.disparity_term = CKALoss(kernel=s.disparity_kernel, unbiased=s.disparity_unbiased, gather=s.gather)
        else:
            self.disparity_term = HSICLoss(
                kernel=s.disparity_kernel,
                unbiased=s.disparity_unbiased,
                normalize=s.disparity_normalize,
                gather=s.gather,
            )

    def _default_encoder(self, name: str) -> nn.Module:
        s, width = self.settings, self.widths[name]
        kernel_size = s.kernel_size[name] if isinstance(s.kernel_size, Mapping) else s.kernel_size
        if s.temporal_encoder == "lstm":
            return RecurrentEncoder(width, s.features, kernel_size=kernel_size, position_scale=s.position_scale)
        return TemporalConvEncoder(
            width, s.features, num_blocks=s.encoder_blocks, kernel_size=kernel_size, dropout=s.encoder_dropout
        )

    def _build_exclusive(self, width: int) -> None:
        s = self.settings
        self.self_attention = nn.ModuleList(
            ModalityModules(
                {
                    name: PredictiveSelfAttention(
                        width,
                        num_heads=s.num_heads,
                        mu=s.mu,
                        mode=s.attention_mode,
                        predict=s.predict_attention and layer > 0,
                        scale=s.attention_scale,
                        output_projection=s.output_projection,
                        bias=s.attention_bias,
                        feedforward_features=s.feedforward_features,
                        dropout=s.dropout,
                        window=s.window,
                        checkpoint_activations=s.checkpoint_activations,
                    )
                    for name in self.modalities
                }
            )
            for layer in range(s.psa_layers)
        )
        weighted = {
            "last": range(max(s.psa_layers - 1, 0), s.psa_layers),
            "each": range(s.psa_layers),
            "between": range(s.psa_layers - 1),
        }[s.weighting_after]
        self.weightings = nn.ModuleDict(
            {
                str(layer): ModalityWeighting(self.modalities, width, form=s.weighting, num_frames=s.num_frames)
                for layer in weighted
                if s.weighting != "off"
            }
        )
        self.exclusive_maps = ModalityModules({name: self._perceptron(width) for name in self.modalities})

    def _build_agnostic(self, width: int) -> None:
        s = self.settings
        self.cross_attention = (
            HierarchicalCrossModalAttention(
                self.modalities,
                width,
                num_layers=s.hca_layers,
                update_sources=s.update_sources,
                mixed=s.mixed,
                coarse=s.coarse,
                fine=s.fine,
                checkpoint_activations=s.checkpoint_activations,
                num_heads=s.num_heads,
                scale=s.attention_scale,
                output_projection=s.output_projection,
                bias=s.attention_bias,
                feedforward_features=s.feedforward_features,
                dropout=s.dropout,
            )
            if s.hca_layers
            else None
        )
        self.agnostic_map = self._perceptron(width)

    def _perceptron(self, width: int) -> nn.Module:
        hidden = self.settings.hidden_features
        last = nn.Linear(hidden, hidden)
        with torch.no_grad():
            last.weight.mul_(self.settings.code_gain)
        return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), last)

    def _variant(self) -> dict[str, Any]:
        return {"preset": self.preset}

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
        *,
        present: Mapping[str, Tensor] | None = None,
    ) -> MEAOutput:
        """Encode, separate, fuse and predict."""
        inputs, masks = resolve_inputs("MEA", self.widths, inputs, masks, present)
        here = {name: mask.any(1) for name, mask in masks.items()}
        encoded = {name: self._placed(name, x, masks.get(name)) for name, x in inputs.items()}
        batch = next(iter(encoded.values()))
        nothing = batch.new_zeros(batch.shape[0], self.settings.hidden_features)
        private = dict.fromkeys(self.modalities, nothing)
        if self.settings.codes != "agnostic":
            private = {
                name: self._code(self.exclusive_maps[name], x, masks.get(name), here.get(name))
                for name, x in self._exclusive(encoded, masks).items()
            }
        shared = dict.fromkeys(self.modalities, nothing)
        if self.settings.codes != "exclusive":
            attended = encoded if self.cross_attention is None else self.cross_attention(encoded, masks)
            shared = {
                name: self._code(self.agnostic_map, x, masks.get(name), here.get(name)) for name, x in attended.items()
            }
        fused = self.fusion(private, shared, here)
        return MEAOutput(self.task_term.in_units(self.head(fused)), fused, shared, private, here)

    def _placed(self, name: str, x: Tensor, mask: Tensor | None) -> Tensor:
        """Encoded frames of the common width that know where they stand."""
        encoded = self._encode(name, x, mask)
        if name in self.adapters:
            encoded = self.adapters[name](encoded)
        if not isinstance(self.encoders[name], RecurrentEncoder):
            positions = torch.arange(x.shape[1], device=x.device) if mask is None else frame_positions(mask)
            encoded = encoded + self.settings.position_scale * sinusoidal_positions(
                positions, self.settings.features
            ).to(encoded.dtype)
        return zero_where_invalid(encoded, mask)

    def _exclusive(self, sequences: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Every modality by itself; the logits of a layer are handed to the next."""
        logits: dict[str, Tensor] = {}
        for index, layer in enumerate(self.self_attention):
            assert isinstance(layer, ModalityModules)
            chained = logits if index and self.settings.predict_attention else {}
            outputs = {name: layer[name](x, chained.get(name), masks.get(name)) for name, x in sequences.items()}
            sequences = {name: output.sequence for name, output in outputs.items()}
            logits = {name: output.logits for name, output in outputs.items()}
            if str(index) in self.weightings:
                sequences = self.weightings[str(index)](sequences, masks).sequences
        return sequences

    @staticmethod
    def _code(perceptron: nn.Module, x: Tensor, mask: Tensor | None, here: Tensor | None) -> Tensor:
        return zero_where_invalid(perceptron(masked_mean(x, mask, 1)), here)

    def register_code_hook(self, change: CodeHook) -> RemovableHandle:
        """Pass the codes of every forward through ``change(shared, private, masks)``, before they are fused."""
        return hook_fusion(self.fusion, change)

    def objective(self, output: MEAOutput, target: Tensor) -> MEAObjective:
        """Return the terms of the objective and their weighted sum.

        Args:
            output: of this model.
            target: ``[B, num_outputs]`` or, for one output, ``[B]``; int64 class indices ``[B]`` for classification.
        """
        s = self.settings
        task = self.task_term(output.prediction, target)
        zero = task.new_zeros(())
        disparity = zero
        if s.codes == "both":
            disparity = torch.stack(
                [
                    self.disparity_term(output.private[name], output.shared[name], output.present.get(name))
                    for name in self.modalities
                ]
            ).mean()
        told = self.discriminator(output.shared, output.private, output.present)
        agnostic = zero if s.codes == "exclusive" else told.agnostic
        exclusive = zero if s.codes == "agnostic" else told.exclusive
        importance = told.importance
        total = (
            task
            + s.disparity_weight * disparity
            + s.adversarial_weight * (agnostic + exclusive)
            + s.importance_weight * importance
        )
        return MEAObjective(total, task, disparity, agnostic, exclusive, importance)
