"""Cases of MISA, MulT and the baselines, and of the layers made for them."""

from functools import partial

from torch import Tensor

from mmdisentangle import functional, nn
from mmdisentangle.models import create_model
from mmdisentangle.testing import Case, Frames, Labels, Samples
from tests.contract.cases_functional import BATCH_STATISTIC, CONSTANT_NORMS, NO_HOOKS
from tests.contract.cases_models import MASKED, NO_LSTM_COMPILER, Training
from tests.small_models import EXACT, SMALL

LSTM = {
    "compiles": NO_LSTM_COMPILER,
    "exports": NO_LSTM_COMPILER,
    "vmap": "torch has no batching rule for an LSTM",
}

CLASSES = {"late_fusion": "LateFusion", "early_fusion": "EarlyFusion", "mult": "MulT", "misa": "MISA"}
# What is 0 for every input has no gradient to compare.
CODES = {
    "late_fusion": ("private",),
    "early_fusion": ("shared",),
    "mult": ("shared", "private"),
    "misa": ("shared", "private", "reconstruction"),
}


def _masked_max(x: Tensor, mask: Tensor | None = None) -> Tensor:
    return functional.masked_max(x, mask, 1)


def _model(name, variant, *, task="regression", train=False, dropout=False, exempt=None, **settings):
    outputs = 3 if task == "classification" else 2
    target = Labels("target", outputs) if task == "classification" else Samples("target", outputs)

    def build(widths, **more):
        given = {**(SMALL if dropout else EXACT)[name], **settings, **more}
        model = create_model(name, modalities=widths, num_outputs=outputs, task=task, **given)
        return Training(model) if train else model

    def codes(output):
        named = {"prediction": output.prediction, "fused": output.fused}
        return named | {code: getattr(output, code) for code in CODES[name]}

    return Case(
        name=f"models.{CLASSES[name]}",
        variant=variant,
        build=build,
        # Dropout differs between processes.
        gather=partial(build, gather=True) if train and not dropout else None,
        arguments=(*MASKED, *((target,) if train else ())),
        outputs=None if train else codes,
        modes=("eval",) if dropout else ("train", "eval"),
        exempt=exempt or {},
    )


def _transformer(variant, **settings):
    settings = {"num_heads": 2, "num_layers": 2, "feedforward_features": 8, **settings}
    silent = dict.fromkeys(("dropout", "feedforward_dropout"), 0.0)
    return Case(
        name="nn.CrossModalTransformer",
        variant=variant,
        build=lambda: nn.CrossModalTransformer(6, **silent, **settings),
        arguments=(
            Frames("target", 6, mask="target_mask"),
            *(() if variant == "self" else (Frames("source", 6, mask="source_mask"),)),
        ),
        masked_by={"output": "target"},
        exempt=NO_HOOKS if settings.get("checkpoint_activations") else {},
    )


CASES = [
    Case(
        name="functional.masked_max",
        build=lambda: _masked_max,
        arguments=(Frames("x", 5, mask="mask"),),
    ),
    _transformer("cross"),
    _transformer("self"),
    _transformer("causal", causal=True),
    _transformer("checkpoint", checkpoint_activations=True),
    Case(
        name="nn.RecurrentUtteranceEncoder",
        build=lambda: nn.RecurrentUtteranceEncoder(3, 4),
        arguments=(Frames("x", 3, mask="mask"),),
        exempt=LSTM,
    ),
    _model("late_fusion", "concat"),
    _model("late_fusion", "weighted", fusion="weighted", pooling="mean"),
    _model("late_fusion", "objective", train=True, fusion="mean"),
    _model("late_fusion", "objective-classification", train=True, task="classification"),
    _model("early_fusion", "default"),
    _model("early_fusion", "objective", train=True, dropout=True, pooling="mean"),
    _model("mult", "default"),
    _model("mult", "causal-last", causal=True, pooling="last"),
    _model("mult", "objective", train=True, dropout=True, attention_dropout=0.1, input_dropout={}),
    _model("misa", "default"),
    # The maximum of constant frames differs between samples by rounding alone, which the norms of a term would enlarge:
    # objectives average.
    _model(
        "misa",
        "objective",
        train=True,
        pooling="mean",
        exempt={"derivative": "the terms take the projected vectors as constants"},
    ),
    _model(
        "misa",
        "objective-reaching",
        train=True,
        pooling="mean",
        terms_reach_encoders=True,
        exempt={"derivative": CONSTANT_NORMS, "batch_independence": BATCH_STATISTIC},
    ),
    _model(
        "misa",
        "objective-adversarial",
        train=True,
        task="classification",
        # Nothing is detached or reversed here, so that the gradient is the derivative.
        pooling="mean",
        terms_reach_encoders=True,
        similarity="adversarial",
        reversal_strength=-1.0,
        difference_form="correlation",
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    _model(
        "misa",
        "objective-mmd",
        train=True,
        pooling="mean",
        similarity="mmd",
        exempt={"derivative": "the terms take the projected vectors as constants"},
    ),
    _model("misa", "lstm", temporal_encoder="lstm", exempt=LSTM),
]
NO_CASE = {
    f"models.{CLASSES[name]}{part}": f"{what} {CLASSES[name]}"
    for name in CLASSES
    for part, what in (
        ("Objective", "the result of the objective of"),
        ("Output", "the result of"),
        ("Settings", "the settings of"),
    )
}
