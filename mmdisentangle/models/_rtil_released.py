"""The released RTIL program: its encoders, and its parameter names beside ours."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from mmdisentangle._core.errors import CheckpointError, DtypeError
from mmdisentangle.nn import TransformerBlock

if TYPE_CHECKING:
    from mmdisentangle.models.rtil import RTIL

# First parts of parameter names that stand in released checkpoints without taking part in anything.
UNUSED = frozenset(
    [
        "vrnn1",
        "vrnn2",
        "arnn1",
        "arnn2",
        "poolingrnn",
        "project_h",
        "sp_discriminator",
        "my_fusion",
        "tlayer_norm",
        "vlayer_norm",
        "alayer_norm",
        "hlayer_norm",
        "player_norm",
        "slayer_norm",
        "position_encoding",
        "masked_attn_layer",
        "pooling",
        "fc_gate_vt",
    ]
)
# Parameters of `nn.TransformerBlock` and their names in `torch.nn.TransformerEncoderLayer`.
TORCH_BLOCK = {
    "attention_input.weight": "self_attn.in_proj_weight",
    "attention_input.bias": "self_attn.in_proj_bias",
    "attention_output.weight": "self_attn.out_proj.weight",
    "attention_output.bias": "self_attn.out_proj.bias",
    "feedforward.0.weight": "linear1.weight",
    "feedforward.0.bias": "linear1.bias",
    "feedforward.3.weight": "linear2.weight",
    "feedforward.3.bias": "linear2.bias",
    "norm_attention.weight": "norm1.weight",
    "norm_attention.bias": "norm1.bias",
    "norm_feedforward.weight": "norm2.weight",
    "norm_feedforward.bias": "norm2.bias",
}


def released_encoder(width: int, num_heads: int) -> nn.Module:
    """A Transformer layer at the modality's own width; one head where the width cannot be split."""
    heads = num_heads if width % num_heads == 0 else 1
    block = TransformerBlock(
        width, num_heads=heads, feedforward_features=2048, dropout=0.1, attention_dropout=0.1, activation="relu"
    )
    block.out_features = width  # type: ignore[assignment]
    return block


def released_names(model: "RTIL") -> dict[str, str]:
    """Released name of every parameter of a model in published mode."""
    names: dict[str, str] = {}

    def both(own: str, released: str, *, bias: bool = True) -> None:
        names[f"{own}.weight"] = f"{released}.weight"
        if bias:
            names[f"{own}.bias"] = f"{released}.bias"

    def block(own: str, released: str) -> None:
        names.update({f"{own}.{ours}": f"{released}.layers.0.{theirs}" for ours, theirs in TORCH_BLOCK.items()})

    for name, letter in zip(model.modalities, "tav", strict=True):
        projection = f"codes.projections.{model.codes.projections.names[name]}"
        both(f"{projection}.0", f"project_{letter}.project_{letter}")
        both(f"{projection}.2", f"project_{letter}.project_{letter}_layer_norm")
        private = f"codes.private.{model.codes.private.names[name]}"
        both(private, f"private_{letter}.private_{letter}_{3 if letter == 'a' else 1}")
        both(f"reconstructors.{model.reconstructors.names[name]}", f"recon_{letter}.recon_{letter}_1")
    both("codes.shared", "shared.shared_1")
    both("discriminator.hidden.0", "discriminator.discriminator_layer_1")
    both("discriminator.classifier", "W.discriminator_layer_2", bias=False)
    both("head.0", "fusion.fusion_layer_1")
    both("head.3", "fusion.fusion_layer_3")
    block("fusion.block", "transformer_encoder")
    gates = model.fusion.gates
    assert gates is not None
    for name, letter, norm in zip(model.modalities[1:], "av", ("norm_atten1", "norm_atten2"), strict=True):
        block(f"encoders.{model.encoders.names[name]}", f"transformer_encoder_{letter}")
        attention = f"fusion.attention.{model.fusion.attention.names[name]}"
        for ours, theirs in (("query", "wq"), ("key", "wk"), ("value", "wv")):
            both(f"{attention}.{ours}", f"cross_attn_{letter}t.{theirs}", bias=False)
        both(f"{attention}.output", f"cross_attn_{letter}t.out_proj")
        both(f"fusion.norms.{model.fusion.norms.names[name]}", norm)
        both(f"fusion.gates.{gates.names[name]}.first", f"fbp_{letter}t.fusion_1_matrix", bias=False)
        both(f"fusion.gates.{gates.names[name]}.second", f"fbp_{letter}t.fusion_2_matrix", bias=False)
    both(f"fusion.gates.{gates.names[model.modalities[1]]}.head", "fc_gate_at")
    return names


def released_sizes(state_dict: Mapping[str, Tensor], modalities: tuple[str, ...]) -> tuple[dict[str, int], int, int]:
    """Width of every modality, width of the codes and number of outputs, read off the weights."""
    if not isinstance(state_dict, Mapping):
        raise DtypeError(
            "RTIL.from_released_state_dict: state_dict must be a mapping from released parameter name to tensor, "
            f"got {type(state_dict).__name__}."
        )
    telling = [f"project_{letter}.project_{letter}.weight" for letter in "tav"] + ["fusion.fusion_layer_3.weight"]
    for key in telling:
        tensor = state_dict.get(key)
        if not isinstance(tensor, Tensor) or tensor.ndim != 2:
            raise CheckpointError(
                f"RTIL.from_released_state_dict: state_dict must hold the matrix {key!r}, which tells the sizes; got "
                f"{'nothing' if tensor is None else type(tensor).__name__} under that name."
            )
    widths = {name: state_dict[key].shape[1] for name, key in zip(modalities, telling[:3], strict=True)}
    return widths, state_dict[telling[0]].shape[0], state_dict[telling[3]].shape[0]


def released_weights(
    state_dict: Mapping[str, Tensor], names: Mapping[str, str], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Weights under our names, after naming every missing, unknown or misshapen one."""
    wanted = set(names.values())
    left = [key for key in state_dict if key not in wanted and key.partition(".")[0] not in UNUSED]
    unknown = [key for key in left if not key.startswith("roberta.")]
    if len(unknown) < len(left):
        warnings.warn(
            "RTIL.from_released_state_dict: roberta.* is left out; run the text encoder yourself and pass its last "
            "hidden state.",
            stacklevel=3,
        )
    for key in wanted:
        if key in state_dict and not isinstance(state_dict[key], Tensor):
            raise CheckpointError(
                f"RTIL.from_released_state_dict: state_dict[{key!r}] must be a tensor, "
                f"got {type(state_dict[key]).__name__}."
            )
    missing = [released for released in names.values() if released not in state_dict]
    misshapen = [
        f"{released} of shape {list(state_dict[released].shape)} (expected {list(own[ours].shape)})"
        for ours, released in names.items()
        if released in state_dict and state_dict[released].shape != own[ours].shape
    ]
    problems = [
        f"{what}: {', '.join(found)}"
        for what, found in (("missing", missing), ("unknown", unknown), ("misshapen", misshapen))
        if found
    ]
    if problems:
        raise CheckpointError(
            "RTIL.from_released_state_dict: state_dict does not fit the released model; " + "; ".join(problems) + "."
        )
    return {ours: state_dict[released] for ours, released in names.items()}
