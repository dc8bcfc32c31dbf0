"""Cases of the layers of MEA."""

from typing import TypeAlias

import torch
from torch import Tensor, nn

from mmdisentangle.functional import masked_mean
from mmdisentangle.nn import (
    DoubleDiscriminator,
    HierarchicalCrossModalAttention,
    ModalityReinforcementUnit,
    ModalityWeighting,
    PredictiveSelfAttention,
    RecurrentEncoder,
)
from mmdisentangle.testing import Case, Frames, Streams
from tests.contract.cases_functional import NO_HOOKS

Codes: TypeAlias = dict[str, Tensor]
SAME_WIDTHS = {"text": 6, "audio": 6, "vision": 6}
NO_LSTM_COMPILER = "torch neither compiles an LSTM with fullgraph=True nor exports one with a changing length"


class Predictive(nn.Module):
    """Two layers of `PredictiveSelfAttention`: the second reads the first one's map."""

    def __init__(self, **settings):
        super().__init__()
        settings = {"num_heads": 2, "feedforward_features": 8, **settings}
        self.first = PredictiveSelfAttention(6, predict=False, **settings)
        self.second = PredictiveSelfAttention(6, **settings)

    def forward(self, x, mask=None):
        output = self.first(x, mask=mask)
        output = self.second(output.sequence, output.logits, mask)
        # The T x T maps as one number per query, head by head.
        return {"sequence": output.sequence, "logits": output.logits.sum(-1).mT}


class Showing(nn.Module):
    """A discriminator without the accuracies, which are steps."""

    def __init__(self, names, **settings):
        super().__init__()
        self.discriminator = DoubleDiscriminator(names, 6, 5, dropout=0.0, **settings)

    def forward(self, agnostic, exclusive, masks=None):
        layer, output = self.discriminator, self.discriminator(agnostic, exclusive, masks)
        names = ["agnostic", "exclusive", "chance"]
        # A head without a loss of its own has a constant there.
        names += [] if layer.importance is None or layer.omega_grad else ["importance"]
        # Rows of padding lengthen the weights, which have no mask of their own.
        names += [] if next(iter(agnostic.values())).ndim == 2 else ["weights"]
        return {name: getattr(output, name) for name in names}


def _two_gradients(case: Showing, agnostic: Codes, exclusive: Codes, masks: Codes) -> Codes:
    """The losses with constant weights, and with agnostic codes whose derivative is reversed."""
    layer = case.discriminator
    strength, parts = layer.reversal.strength, {"agnostic": [], "exclusive": [], "importance": [], "weights": []}
    here = torch.stack([masks[name].any(1) for name in layer.modalities], 1)
    for number, name in enumerate(layer.modalities):
        code, shown = (masked_mean(codes[name], masks[name], 1) for codes in (agnostic, exclusive))
        own = -layer.importance(code.detach()).log_softmax(-1)[:, number]
        weight = 1 - (-own.detach()).exp()
        mirrored = (1 + strength) * code.detach() - strength * code
        scale, factor = (1, weight) if layer.weight_on == "loss" else (weight[:, None], 1)
        parts["agnostic"].append(-factor * layer.discriminator(scale * mirrored).log_softmax(-1)[:, number])
        parts["exclusive"].append(-layer.discriminator(shown).log_softmax(-1)[:, number])
        parts["importance"].append(own)
        parts["weights"].append(weight)
    stacked = {name: torch.stack(part, 1) * here for name, part in parts.items()}
    weights = stacked.pop("weights")
    totals = {name: part.sum() / here.any(1).sum() for name, part in stacked.items()}
    return totals | {"weights": weights, "chance": here.sum(0).max() / here.sum()}


def _predictive(variant, modes=("train", "eval"), dropout=0.0, exempt=None, **settings):
    return Case(
        name="nn.PredictiveSelfAttention",
        variant=variant,
        build=lambda: Predictive(dropout=dropout, **settings),
        arguments=(Frames("x", 6, mask="mask"),),
        masked_by={"sequence": "x", "logits": "x"},
        modes=modes,
        exempt=exempt or {},
    )


def _reinforcement(variant, modes=("train", "eval"), **settings):
    return Case(
        name="nn.ModalityReinforcementUnit",
        variant=variant,
        build=lambda: ModalityReinforcementUnit(6, num_heads=2, feedforward_features=8, **settings),
        arguments=(Frames("source", 6, mask="source_mask"), Frames("target", 6, mask="target_mask")),
        masked_by={"output": "target"},
        modes=modes,
    )


def _hierarchical(variant, exempt=None, **settings):
    return Case(
        name="nn.HierarchicalCrossModalAttention",
        variant=variant,
        build=lambda widths: HierarchicalCrossModalAttention(
            tuple(widths), 6, num_heads=2, feedforward_features=8, dropout=0.0, **settings
        ),
        arguments=(Streams("sequences", SAME_WIDTHS, masks="masks"),),
        masked_by={"*": "sequences.*"},
        exempt=exempt or {},
    )


def _discriminator(variant, *, pooled=False, surrogate=None, **settings):
    return Case(
        name="nn.DoubleDiscriminator",
        variant=variant,
        build=lambda widths: Showing(tuple(widths), **settings),
        gather=lambda widths: Showing(tuple(widths), gather=True, **settings),
        arguments=(
            Streams("agnostic", SAME_WIDTHS, masks="masks", pooled=pooled),
            Streams("exclusive", SAME_WIDTHS, like="agnostic", pooled=pooled),
        ),
        surrogate=surrogate,
    )


CASES = [
    _predictive("convex"),
    _predictive("logit", mode="logit", scale="model", output_projection=True, bias=True),
    _predictive("paper", mode="paper"),
    _predictive("dropout", modes=("eval",), dropout=0.2),
    _predictive("window", window=2),
    _predictive("checkpoint", checkpoint_activations=True, exempt=NO_HOOKS),
    Case(
        name="nn.ModalityWeighting",
        build=lambda widths: ModalityWeighting(tuple(widths), 6),
        arguments=(Streams("sequences", SAME_WIDTHS, masks="masks"),),
        masked_by={"sequences.*": "sequences.*"},
    ),
    _reinforcement("plain", dropout=0.0),
    _reinforcement("biases", dropout=0.0, scale="model", output_projection=True, bias=True),
    _reinforcement("dropout", modes=("eval",), dropout=0.2),
    _hierarchical("one-layer", num_layers=1),
    _hierarchical("updated-sources", update_sources=True, mixed=False, fine=False),
    _hierarchical("checkpoint", num_layers=1, mixed=False, fine=False, checkpoint_activations=True, exempt=NO_HOOKS),
    _discriminator("loss", surrogate=_two_gradients),
    _discriminator("input", surrogate=_two_gradients, weight_on="input", strength=0.5),
    _discriminator("literal", omega_grad=True, strength=-1.0),
    _discriminator("pooled", pooled=True, omega_grad=True, weight_on="input", strength=-1.0),
    _discriminator("unweighted", importance_weights=False, strength=-1.0),
    Case(
        name="nn.RecurrentEncoder",
        build=lambda: RecurrentEncoder(3, 6),
        arguments=(Frames("x", 3, mask="mask"),),
        masked_by={"output": "x"},
        exempt={
            "compiles": NO_LSTM_COMPILER,
            "exports": NO_LSTM_COMPILER,
            "vmap": "torch has no batching rule for an LSTM",
        },
    ),
]

NO_CASE = {
    "nn.DoubleDiscriminatorOutput": "the result of DoubleDiscriminator",
    "nn.ModalityWeightingOutput": "the result of ModalityWeighting",
    "nn.PredictiveSelfAttentionOutput": "the result of PredictiveSelfAttention",
}
