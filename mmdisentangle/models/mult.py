"""MulT: a transformer from every modality to every other (arXiv:1906.00295)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional import masked_mean
from mmdisentangle.models._inputs import resolve_inputs
from mmdisentangle.models._mult_settings import MulTPreset, MulTSettings
from mmdisentangle.models._multimodal import MultimodalModel
from mmdisentangle.models._pooling import last_frame
from mmdisentangle.nn import CrossModalTransformer
from mmdisentangle.nn._dropout import Dropout
from mmdisentangle.nn._modality_modules import ModalityModules
from mmdisentangle.nn.layers.temporal_conv import FrameConvolution


class MulTOutput(NamedTuple):
    """What `MulT` returns. It does not disentangle: the codes are what a modality is before and after it met others.

    Attributes:
        prediction: ``[B, num_outputs]``: target units, or logits.
        fused: the shared codes side by side, ``[B, M (M-1) d]``, what the head reads.
        shared: every modality after it has read the others, pooled over time, ``[B, (M-1) d]``; 0 where it is missing.
        private: every modality before it has read any other, mean over time, ``[B, d]``; likewise.
        present: which samples have the modality, ``[B]``, of every modality that came with a mask or may be missing;
            others are there in all.

    Example:
        >>> model = MulT({"text": 16, "audio": 4}, features=8, num_heads=2, cross_layers=1)
        >>> output = model({"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)})
        >>> output.fused.shape, output.shared["audio"].shape
        (torch.Size([2, 16]), torch.Size([2, 8]))
    """

    prediction: Tensor
    fused: Tensor
    shared: dict[str, Tensor]
    private: dict[str, Tensor]
    present: dict[str, Tensor]


class MulTObjective(NamedTuple):
    """The objective is the task alone, each 0-dim.

    Attributes:
        total: what is minimised.
        task: loss of the prediction, the same.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = MulT({"text": 16, "audio": 4}, features=8, num_heads=2, cross_layers=1)
        >>> output = model({"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)})
        >>> objective = model.objective(output, torch.tensor([3.0, -3.0]))
        >>> round(objective.total.item(), 1), objective.total is objective.task
        (11.0, True)
    """

    total: Tensor
    task: Tensor


class MulT(MultimodalModel):
    r"""Every modality reads every other by cross-modal transformers, then itself: a strong baseline.

    .. math:: z_m = \mathrm{Conv}(x_m), \qquad z_{o \to m} = \mathrm{CrossModalTransformer}(z_m, z_o), \qquad
              h_m = \mathrm{pool}_t\, \mathrm{Transformer}([z_{o \to m}]_{o \ne m})

    .. math:: h = [h_1; \dots; h_M], \qquad \hat y = W (h + \mathrm{MLP}(h)) + b

    M modalities make M (M - 1) cross-modal transformers and M transformers at width (M - 1) d. No alignment of the
    streams is needed. Its cost is the product of their lengths.

    Args:
        modalities: width of every modality; at least two. The order is kept.
        num_outputs: predicted numbers, classes or labels.
        encoders: modules ``[B, T_m, d_m] -> [B, T_m, features]`` for some or all modalities, called with ``(x, mask)``,
            in place of the convolution; each must have the attribute ``out_features``. Where it is not ``features``, a
            linear map follows.
        preset: settings of the paper for ``"mosi"``, ``"mosei"`` or ``"iemocap"``.
        **settings: fields of `MulTSettings`.

    Shape:
        inputs ``[B, T_m, d_m]``, masks ``[B, T_m]``, present ``[B]`` per modality; target ``[B, num_outputs]`` (``[B]``
        where there is one output), int64 ``[B]`` for classification.

    Returns:
        `MulTOutput`, and `MulTObjective` from `objective`.

    Raises:
        ModalityError: fewer than two modalities, one missing or unknown.
        UnknownNameError: no setting has the name.
        SettingError, ShapeError, DtypeError: an argument does not fit.

    Deviations:
        The released code has no masks: padding is read, and for padded sequences its last frame is one of padding. Here
        masks are honoured, and frames are averaged (``pooling="last"`` takes the last real one). Nothing is causal
        (``causal=True``, as released). The training loss is the mean squared error, not the mean absolute one. More in
        the model card.

    Example:
        >>> model = MulT({"text": 16, "audio": 4}, features=8, num_heads=2, cross_layers=1, memory_layers=1)
        >>> inputs = {"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)}
        >>> model(inputs).prediction.shape
        torch.Size([2, 1])

    References:
        Tsai et al., "Multimodal Transformer for Unaligned Multimodal Language Sequences", 2019, arXiv:1906.00295.
    """

    model_name = "mult"
    paper = 'Tsai et al., "Multimodal Transformer for Unaligned Multimodal Language Sequences", 2019, arXiv:1906.00295.'
    settings: MulTSettings

    def __init__(
        self,
        modalities: Mapping[str, int],
        num_outputs: int = 1,
        *,
        encoders: Mapping[str, nn.Module] | None = None,
        preset: MulTPreset | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(modalities, num_outputs)
        self.preset = preset
        self.settings = s = MulTSettings.checked(self.modalities, preset, settings)
        encoded = self._build_encoders(encoders, self._default_encoder)
        self.adapters = ModalityModules(
            {name: nn.Linear(encoded[name], s.features) for name in self.modalities if encoded[name] != s.features}
        )
        self.input_dropout = ModalityModules({name: Dropout(share) for name, share in (s.input_dropout or {}).items()})
        self.cross = ModalityModules(
            {
                name: ModalityModules(
                    {
                        other: self._transformer(s.features, s.cross_layers, s.feedforward_features)
                        for other in self.modalities
                        if other != name
                    }
                )
                for name in self.modalities
            }
        )
        joint = (len(self.modalities) - 1) * s.features
        self.memory = ModalityModules(
            {name: self._transformer(joint, s.memory_layers, None) for name in self.modalities}
        )
        fused = len(self.modalities) * joint
        self.residual = nn.Sequential(
            nn.Linear(fused, fused), nn.ReLU(), Dropout(s.head_dropout), nn.Linear(fused, fused)
        )
        self.head = nn.Linear(fused, num_outputs)
        self.task_term = self._task_term()

    def _default_encoder(self, name: str) -> nn.Module:
        sizes = self.settings.kernel_size
        size = sizes[name] if isinstance(sizes, Mapping) else sizes
        return _FrameProjection(self.widths[name], self.settings.features, size)

    def _transformer(self, features: int, num_layers: int, feedforward_features: int | None) -> CrossModalTransformer:
        s = self.settings
        return CrossModalTransformer(
            features,
            num_heads=s.num_heads,
            num_layers=num_layers,
            feedforward_features=feedforward_features,
            dropout=s.dropout,
            feedforward_dropout=s.feedforward_dropout,
            attention_dropout=s.attention_dropout,
            embedding_dropout=s.embedding_dropout,
            causal=s.causal,
            checkpoint_activations=s.checkpoint_activations,
        )

    def _variant(self) -> dict[str, Any]:
        return {"preset": self.preset}

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
        *,
        present: Mapping[str, Tensor] | None = None,
    ) -> MulTOutput:
        """Let every modality read the others, and predict."""
        inputs, masks = resolve_inputs("MulT", self.widths, inputs, masks, present)
        here = {name: mask.any(1) for name, mask in masks.items()}
        own = {name: self._projected(name, x, masks.get(name)) for name, x in inputs.items()}
        shared = {name: self._reinforced(name, own, masks) for name in own}
        private = {name: masked_mean(x, masks.get(name), 1) for name, x in own.items()}
        fused = torch.cat(list(shared.values()), -1)
        prediction = self.task_term.in_units(self.head(fused + self.residual(fused)))
        return MulTOutput(prediction, fused, shared, private, here)

    def _projected(self, name: str, x: Tensor, mask: Tensor | None) -> Tensor:
        """Frames of the common width."""
        if name in self.input_dropout:
            x = self.input_dropout[name](x)
        encoded = self._encode(name, x, mask)
        if name in self.adapters:
            encoded = self.adapters[name](encoded)
        return zero_where_invalid(encoded, mask)

    def _reinforced(self, name: str, own: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensor:
        """One code of a modality that has read all others."""
        mask, readers = masks.get(name), self.cross[name]
        assert isinstance(readers, ModalityModules)
        read = [readers[other](own[name], own[other], mask, masks.get(other)) for other in readers]
        sequence = self.memory[name](torch.cat(read, -1), target_mask=mask)
        return last_frame(sequence, mask) if self.settings.pooling == "last" else masked_mean(sequence, mask, 1)

    def objective(self, output: MulTOutput, target: Tensor) -> MulTObjective:
        """Return the task term, which is all there is.

        Args:
            output: of this model.
            target: ``[B, num_outputs]`` or, for one output, ``[B]``; int64 class indices ``[B]`` for classification.
        """
        task = self.task_term(output.prediction, target)
        return MulTObjective(task, task)


class _FrameProjection(nn.Module):
    """A convolution without bias to the common width."""

    def __init__(self, in_features: int, features: int, kernel_size: int) -> None:
        super().__init__()
        self.out_features = features
        self.convolution = FrameConvolution(in_features, features, kernel_size, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        projected: Tensor = self.convolution(zero_where_invalid(x, mask))
        return projected
