"""Cases of the model zoo: every model predicts, and its objective trains."""

from functools import partial

from torch import nn

from mmdisentangle.models import create_model
from mmdisentangle.testing import Case, Labels, Samples, Streams
from tests.contract.cases_functional import BATCH_STATISTIC, NO_HOOKS
from tests.small_models import EXACT, SMALL

WIDTHS = {"text": 5, "audio": 3, "vision": 4}
HARD_GATE = "hard gates with a straight-through gradient; nn.BilinearGate is checked against its surrogate"
REVERSED = "the discriminator's gradient is reversed; see functional.gradient_reversal"
OBJECTIVE = "discriminator and reconstruction take part in the objective only; see the objective cases"
NO_LSTM_COMPILER = "torch neither compiles an LSTM with fullgraph=True nor exports one with a changing length"
DEAD_GATE = "the released gates have no gradient (deviation 1)"
MASKED = (Streams("inputs", WIDTHS, masks="masks", present="present"),)
ALIGNED = (Streams("inputs", WIDTHS, aligned=True),)
TARGET = (Samples("target", 2),)
CODES = {"shared.*": "inputs.*", "private.*": "inputs.*", "reconstruction.*": "inputs.*"}


class Training(nn.Module):
    """A model and its objective in one call."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs, target, masks=None, present=None):
        output = self.model(inputs, masks, present=present)
        return {"prediction": output.prediction, **self.model.objective(output, target)._asdict()}


def _codes(output):
    named = {"prediction": output.prediction, "fused": output.fused, "shared": output.shared, "private": output.private}
    reconstruction = getattr(output, "reconstruction", None)
    if reconstruction is None or next(iter(reconstruction.values())).ndim != 3:
        return named
    return named | {"reconstruction": reconstruction}


def _model(
    name,
    variant,
    *,
    arguments=MASKED,
    task="regression",
    outputs=2,
    train=False,
    dropout=False,
    exempt=None,
    **settings,
):
    public = {"rtil": "models.RTIL", "mea": "models.MEA"}[name]
    settings = {**(SMALL if dropout else EXACT)[name], **settings}

    def build(widths, **more):
        settings_of_names = {"query": next(iter(widths))} if name == "rtil" and "published" not in settings else {}
        given = {**settings_of_names, **settings, **more}
        model = create_model(name, modalities=widths, num_outputs=outputs, task=task, **given)
        return Training(model) if train else model

    return Case(
        name=public,
        variant=variant,
        build=build,
        # Dropout differs between processes.
        gather=partial(build, gather=True) if train else None,
        arguments=(
            *arguments,
            *(TARGET if train and task == "regression" else ()),
            *((Labels("target", outputs),) if train and task == "classification" else ()),
        ),
        outputs=None if train else _codes,
        # The codes of MEA have no frames left.
        masked_by=CODES if name == "rtil" and not train else {},
        modes=("eval",) if dropout else ("train", "eval"),
        exempt=exempt or {},
    )


CASES = [
    _model("rtil", "soft", gate="soft", exempt={"parameters_learn": OBJECTIVE}),
    _model("rtil", "hard", exempt={"derivative": HARD_GATE, "parameters_learn": OBJECTIVE}),
    _model(
        "rtil",
        "objective",
        train=True,
        dropout=True,
        exempt={"derivative": REVERSED, "batch_independence": BATCH_STATISTIC},
    ),
    _model(
        "rtil",
        "objective-classification",
        train=True,
        task="classification",
        outputs=3,
        gate="soft",
        reversal_strength=-1.0,
        detach_reconstruction_target=False,
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    _model(
        "rtil",
        "objective-mmd",
        train=True,
        gate="soft",
        similarity="mmd",
        exempt={"derivative": REVERSED, "batch_independence": BATCH_STATISTIC},
    ),
    _model(
        "rtil",
        "checkpoint",
        gate="soft",
        checkpoint_activations=True,
        exempt={"parameters_learn": OBJECTIVE, **NO_HOOKS},
    ),
    _model(
        "rtil", "published", published=True, arguments=ALIGNED, dropout=True, exempt={"parameters_learn": OBJECTIVE}
    ),
    _model(
        "rtil",
        "published-objective",
        published=True,
        arguments=ALIGNED,
        train=True,
        dropout=True,
        exempt={"parameters_learn": DEAD_GATE, "derivative": REVERSED, "batch_independence": BATCH_STATISTIC},
    ),
    _model("mea", "default", exempt={"parameters_learn": OBJECTIVE}),
    _model(
        "mea",
        "objective",
        train=True,
        # This is the case that is compiled, which takes a minute: one step of the cross-modal attention has to do.
        mixed=False,
        fine=False,
        exempt={"derivative": REVERSED, "batch_independence": BATCH_STATISTIC},
    ),
    _model(
        "mea",
        "objective-classification",
        train=True,
        task="classification",
        outputs=3,
        # Nothing is detached or reversed here, so that the gradient is the derivative.
        omega_grad=True,
        reversal_strength=-1.0,
        disparity="cka",
        mixed=False,
        coarse=False,
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    _model(
        "mea",
        "mosi",
        preset="mosi",
        num_heads=4,
        fine=False,
        exempt={
            "parameters_learn": OBJECTIVE,
            "compiles": NO_LSTM_COMPILER,
            "exports": NO_LSTM_COMPILER,
            "vmap": "torch has no batching rule for an LSTM",
        },
    ),
    _model("mea", "window", window=2, mixed=False, fine=False, exempt={"parameters_learn": OBJECTIVE}),
    _model(
        "mea",
        "checkpoint",
        window=2,
        checkpoint_activations=True,
        mixed=False,
        fine=False,
        exempt={"parameters_learn": OBJECTIVE, **NO_HOOKS},
    ),
    _model("mea", "no-psa", psa_layers=0, mixed=False, fine=False, exempt={"parameters_learn": OBJECTIVE}),
    _model("mea", "no-hca", hca_layers=0, exempt={"parameters_learn": OBJECTIVE}),
    _model("mea", "concat", fusion="concat", psa_layers=1, hca_layers=0, exempt={"parameters_learn": OBJECTIVE}),
]
NO_CASE = {
    "models.MEAObjective": "the result of MEA.objective",
    "models.MEAOutput": "the result of MEA",
    "models.MEASettings": "the settings of MEA",
    "models.RTILObjective": "the result of RTIL.objective",
    "models.RTILOutput": "the result of RTIL",
    "models.ModelSettings": "the settings that all models have",
    "models.MultimodalModel": "the base class of all models",
    "models.RTILSettings": "the settings of RTIL",
    "models.create_model": "builds the models",
    "models.export_onnx": "writes a model to a file",
    "models.export_program": "exports a model",
    "models.list_models": "names the models",
    "models.load_pretrained": "loads the models",
}
