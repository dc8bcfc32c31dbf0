"""Every setting of MEA, and the settings table of the paper as presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from mmdisentangle._core.checks import check_choice, check_count, check_flag, check_number
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.modalities import check_known
from mmdisentangle.functional.predictive_attention import PredictionMode
from mmdisentangle.models._settings import ModelSettings
from mmdisentangle.nn.layers._attention_block import AttentionScale
from mmdisentangle.nn.layers.double_discriminator import WeightOn

TemporalEncoder: TypeAlias = Literal["conv", "lstm"]
Weighting: TypeAlias = Literal["pooled", "flatten", "off"]
WeightingAfter: TypeAlias = Literal["last", "each", "between"]
Codes: TypeAlias = Literal["both", "exclusive", "agnostic"]
Disparity: TypeAlias = Literal["hsic", "cka", "orthogonality"]
Fusion: TypeAlias = Literal["graph", "concat", "add", "multiply"]
Preset: TypeAlias = Literal["mosi", "mosei", "iemocap"]

_PRINTED = {
    "temporal_encoder": "lstm",
    "kernel_size": 3,
    "attention_mode": "paper",
    "attention_scale": "model",
    "weighting_after": "each",
    "code_gain": 1.0,
    "self_loops": False,
    "readout": "paper",
}
_TABLE: dict[str, dict[str, Any]] = {
    "mosi": {"num_heads": 8, "mu": 0.25, "disparity_weight": 2e-2, "adversarial_weight": 3e-2},
    "mosei": {"num_heads": 10, "mu": 0.15, "disparity_weight": 3e-2, "adversarial_weight": 5e-2},
    "iemocap": {
        "num_heads": 8,
        "mu": 0.2,
        "disparity_weight": 1e-2,
        "adversarial_weight": 2e-2,
        "task": "classification",
    },
}


@dataclass(frozen=True, kw_only=True)
class MEASettings(ModelSettings):
    """Every setting of `MEA`; what the paper leaves open is marked so, what it ablates with "ablation".

    Those of task and batch statistics are inherited from `ModelSettings`.

    Attributes:
        features: width d of the sequences.
        hidden_features: width d_h of the codes.
        temporal_encoder: ``"conv"`` is `nn.TemporalConvEncoder`, which compiles and exports; ``"lstm"``, as in the
            paper, is `nn.RecurrentEncoder`.
        kernel_size: of the encoder's convolutions, one number or one per modality.
        encoder_blocks: blocks of the convolutional encoder.
        encoder_dropout: dropout of the convolutional encoder.
        position_scale: amplitude of the sinusoidal positions, which follow the first convolution (``"lstm"``) or the
            encoder (``"conv"``, and encoders of the user's own).
        num_heads: of every attention; must divide ``features``.
        attention_scale: divisor of the logits: ``"head"``, or ``"model"`` as printed.
        output_projection: (open) a linear map after the heads are joined.
        attention_bias: (open) biases of the attention's maps.
        feedforward_features: (open) of every feed-forward network; four times ``features`` where None.
        dropout: (open) of every attention layer.
        psa_layers: predictive self-attention layers; 0 is an ablation.
        mu: share of the prediction.
        attention_mode: ``"convex"``, ``"logit"`` or ``"paper"``, see `functional.predictive_attention`.
        window: how many places predictive self-attention reaches to each side, at a cost linear in the length; as far
            as the sequence goes where None, as in the paper.
        predict_attention: (ablation) False: plain self-attention, without the chain of predictions.
        weighting: ``"pooled"``, ``"flatten"`` as printed (needs ``num_frames``), or ``"off"`` (ablation).
        weighting_after: (open) ``"last"`` predictive layer, ``"each"`` as the text says, or ``"between"`` layers as the
            figure draws it. A layer reads its input through LayerNorm, which cancels the weights of the layer before:
            ``"last"`` is ``"each"`` without its idle parameters, and ``"between"`` has no effect.
        num_frames: length of every modality, for ``weighting="flatten"``.
        hca_layers: hierarchical cross-modal attention layers; 0 is an ablation.
        update_sources: (open) later layers read the results of the layer before instead of the original sequences.
        mixed: (ablation) the first step of the hierarchy.
        coarse: (ablation) the second.
        fine: (ablation) the third.
        code_gain: factor on the initial weights of the last maps to the codes and of the graphs' messages; 1 in the
            presets. Averaged over time, weighed and mapped twice, exclusive codes of different samples differ by a
            hundredth at 1, torch's default, and what the head reads by two.
        codes: ``"both"``; ``"exclusive"`` or ``"agnostic"`` alone are ablations.
        disparity: ``"hsic"``, ``"cka"`` or ``"orthogonality"`` (ablation).
        disparity_kernel: of HSIC and CKA: ``"linear"`` or ``"rbf"``.
        disparity_unbiased: unbiased estimators of HSIC and CKA.
        disparity_normalize: HSIC of codes scaled to unit length.
        discriminator_features: (open) hidden width of the discriminator; that of the codes where None.
        discriminator_dropout: (open) inside the discriminator.
        importance_weights: (ablation) False: all weights are 1.
        weight_on: (open) ``"loss"`` as in the equation, or ``"input"`` as in the figure.
        omega_grad: the literal reading of the importance weights, see `nn.DoubleDiscriminator`.
        reversal_strength: (open) initial strength of the gradient reversal.
        fusion: ``"graph"``; ``"concat"``, ``"add"`` and ``"multiply"`` are ablations.
        self_loops: (open) edges from a modality to itself; none in the presets.
        readout: of the graphs: ``"mean"``, ``"attention"``, or ``"paper"`` as printed and in the presets. Without
            self-loops and with the printed sum of sigmoids MEA learns several times more slowly.
        head_features: (open) hidden width of the head; a single linear map where None.
        head_dropout: (open) before the head.
        disparity_weight: alpha; 0 is an ablation.
        adversarial_weight: beta, of both discriminator losses; 0 is an ablation.
        importance_weight: of the importance head's own loss, which reaches nothing else.

    Example:
        >>> from mmdisentangle.models import MEA
        >>> settings = MEA(
        ...     {"text": 16, "audio": 4, "vision": 8}, preset="mosei", psa_layers=2
        ... ).settings
        >>> settings.num_heads, settings.mu, settings.disparity_weight, settings.psa_layers
        (10, 0.15, 0.03, 2)
    """

    where = "MEA"

    features: int = 40
    hidden_features: int = 64
    temporal_encoder: TemporalEncoder = "conv"
    kernel_size: int | Mapping[str, int] = 5
    encoder_blocks: int = 4
    encoder_dropout: float = 0.1
    position_scale: float = 1.0
    num_heads: int = 8
    attention_scale: AttentionScale = "head"
    output_projection: bool = False
    attention_bias: bool = False
    feedforward_features: int | None = None
    dropout: float = 0.1
    psa_layers: int = 3
    mu: float = 0.25
    attention_mode: PredictionMode = "convex"
    window: int | None = None
    predict_attention: bool = True
    weighting: Weighting = "pooled"
    weighting_after: WeightingAfter = "last"
    num_frames: Mapping[str, int] | None = None
    hca_layers: int = 2
    update_sources: bool = False
    mixed: bool = True
    coarse: bool = True
    fine: bool = True
    code_gain: float = 4.0
    codes: Codes = "both"
    disparity: Disparity = "hsic"
    disparity_kernel: Literal["linear", "rbf"] = "linear"
    disparity_unbiased: bool = False
    disparity_normalize: bool = False
    discriminator_features: int | None = None
    discriminator_dropout: float = 0.1
    importance_weights: bool = True
    weight_on: WeightOn = "loss"
    omega_grad: bool = False
    reversal_strength: float = 1.0
    fusion: Fusion = "graph"
    self_loops: bool = True
    readout: Literal["paper", "mean", "attention"] = "mean"
    head_features: int | None = None
    head_dropout: float = 0.1
    disparity_weight: float = 2e-2
    adversarial_weight: float = 3e-2
    importance_weight: float = 1.0

    @staticmethod
    def preset(name: Preset, modalities: tuple[str, ...]) -> dict[str, Any]:
        """Settings of the paper's table, printed arithmetic included, by the name of the dataset."""
        check_choice("MEA", "preset", name, tuple(_TABLE))
        settings = {**_PRINTED, **_TABLE[name]}
        if name == "iemocap" and "audio" in modalities:
            settings["kernel_size"] = {other: 5 if other == "audio" else 3 for other in modalities}
        return settings

    @classmethod
    def checked(cls, modalities: tuple[str, ...], preset: Preset | None, given: Mapping[str, Any]) -> Self:
        """Settings from keyword arguments, over those of a preset where one is named."""
        given = dict(given)
        if given.get("weighting") is False:
            # YAML takes the word off for a boolean.
            given["weighting"] = "off"
        settings = cls.from_keywords(given, {} if preset is None else cls.preset(preset, modalities))
        settings._check(modalities)
        return settings

    def _check(self, modalities: tuple[str, ...]) -> None:
        """What no part checks for itself, or only where it is switched on."""
        for name, choices in (
            ("temporal_encoder", ("conv", "lstm")),
            ("weighting", ("pooled", "flatten", "off")),
            ("weighting_after", ("last", "each", "between")),
            ("codes", ("both", "exclusive", "agnostic")),
            ("disparity", ("hsic", "cka", "orthogonality")),
            ("fusion", ("graph", "concat", "add", "multiply")),
        ):
            check_choice("MEA", name, getattr(self, name), choices)
        for name in ("features", "hidden_features", "num_heads"):
            check_count("MEA", name, getattr(self, name))
        for name in ("psa_layers", "hca_layers"):
            check_count("MEA", name, getattr(self, name), low=0)
        for name in (
            "predict_attention",
            "update_sources",
            "mixed",
            "coarse",
            "fine",
            "omega_grad",
            "gather",
            "checkpoint_activations",
        ):
            check_flag("MEA", name, getattr(self, name))
        if self.window is not None:
            check_count("MEA", "window", self.window, low=0)
        if self.features % self.num_heads:
            raise SettingError(f"MEA: num_heads must divide features={self.features}, got {self.num_heads}.")
        check_number("MEA", "head_dropout", self.head_dropout, low=0, high=1)
        check_number("MEA", "position_scale", self.position_scale)
        check_number("MEA", "code_gain", self.code_gain, low=0, open_low=True)
        for term in ("disparity", "adversarial", "importance"):
            check_number("MEA", f"{term}_weight", getattr(self, f"{term}_weight"), low=0)
        for argument in ("kernel_size", "num_frames"):
            value = getattr(self, argument)
            if isinstance(value, Mapping):
                for name in value:
                    check_known("MEA", argument, name, modalities)
                missing = [name for name in modalities if name not in value]
                if missing:
                    raise SettingError(f"MEA: {argument} lacks {', '.join(map(repr, missing))}.")
        if (self.weighting == "flatten") != (self.num_frames is not None):
            raise SettingError(
                "MEA: num_frames, the length of every modality, goes with weighting='flatten' and with it alone; got "
                f"weighting={self.weighting!r}, num_frames={self.num_frames!r}."
            )
