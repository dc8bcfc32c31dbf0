"""Scores of a task, computed by torchmetrics, by name."""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassF1Score,
    MultilabelF1Score,
)
from torchmetrics.regression import MeanAbsoluteError, PearsonCorrCoef

from mmdisentangle._core.errors import SettingError, UnknownNameError, nearest_names
from mmdisentangle.data.dataset import Task
from mmdisentangle.evaluation.sentiment import SENTIMENT

# Sets of scores that papers report together.
METRIC_SETS = {
    "mosi": ("acc2_has0", "f1_has0", "acc2_non0", "f1_non0", "acc5", "acc7", "mae", "corr"),
    "sims": ("sims_acc2", "sims_acc3", "sims_acc5", "sims_f1", "sims_mae", "sims_corr"),
}
METRIC_SETS["mosei"] = METRIC_SETS["mosi"]

_METRICS: dict[str, dict[str, Callable[..., Metric]]] = {
    "classification": {
        "accuracy": lambda count, **o: MulticlassAccuracy(count, average="micro", **o),
        "macro_f1": lambda count, **o: MulticlassF1Score(count, average="macro", **o),
        "weighted_f1": lambda count, **o: MulticlassF1Score(count, average="weighted", **o),
        "balanced_accuracy": lambda count, **o: MulticlassAccuracy(count, average="macro", **o),
    },
    "multilabel": {
        # torchmetrics takes one label for a binary problem.
        "macro_f1": lambda count, **o: (
            BinaryF1Score(**o) if count == 1 else MultilabelF1Score(count, average="macro", **o)
        ),
        "micro_f1": lambda count, **o: (
            BinaryF1Score(**o) if count == 1 else MultilabelF1Score(count, average="micro", **o)
        ),
    },
    "regression": {
        "mae": lambda count, **o: MeanAbsoluteError(**o),
        "pearson": PearsonCorrCoef,
        **{name: (lambda count, make=make, **o: make(**o)) for name, make in SENTIMENT.items() if name != "mae"},
    },
}
_DEFAULTS = {"classification": ("accuracy", "macro_f1"), "multilabel": ("macro_f1",), "regression": ("mae", "pearson")}
_LESS_IS_BETTER = ("mae", "sims_mae")
SCORE_NAMES = tuple(dict.fromkeys(name for metrics in _METRICS.values() for name in metrics))


def list_metrics(task: Task) -> list[str]:
    """Return the names of the scores for a task; ``"mosi"``, ``"mosei"`` and ``"sims"`` name sets of them.

    Example:
        >>> list_metrics("multilabel")
        ['macro_f1', 'micro_f1']
    """
    return sorted(_METRICS[task])


def resolve_metrics(task: Task, num_outputs: int, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return score names with sets spelled out; the task's usual ones for None.

    Raises:
        UnknownNameError: no score of the task, and no set, has the name.
        SettingError: a score of one output, and the task has several.
    """
    if names is None:
        return _DEFAULTS[task]
    if isinstance(names, str):
        raise SettingError(f"metrics: must be a list of names, got the single string {names!r}.")
    known = _METRICS[task]
    sets = METRIC_SETS if task == "regression" else {}
    spelled = dict.fromkeys(part for name in names for part in sets.get(name, (name,)))
    for name in spelled:
        if name not in known:
            raise UnknownNameError(
                f"metrics: no score of a {task} is called {name!r}{nearest_names(name, [*known, *sets])}"
            )
        if num_outputs > 1 and name in SENTIMENT and name != "mae":
            raise SettingError(f"metrics: {name!r} judges a single sentiment; the data has {num_outputs} outputs.")
    return tuple(spelled)


class TaskScores(nn.Module):
    """Scores over any number of batches.

    ==============  ====================================================================================================
    task            scores (the first ones without ``metrics``)
    ==============  ====================================================================================================
    classification  ``accuracy``, ``macro_f1`` (mean of F1 over the classes that occur); ``weighted_f1``,
                    ``balanced_accuracy``
    multilabel      ``macro_f1`` (over labels); ``micro_f1``
    regression      ``mae`` in the target's units, ``pearson`` (mean over outputs; NaN where one side is constant)
    sentiment       a regression of one output: ``acc2_has0``, ``f1_has0`` (negative against zero or positive);
                    ``acc2_non0``, ``f1_non0`` (negative against positive, true zeros left out); ``acc5``, ``acc7``
                    (clipped to ±2 or ±3, then rounded, halves to the even number); ``mae``, ``corr``. F1 is
                    weighted by the number of true samples of each class
    SIMS            ``sims_acc2``, ``sims_f1`` (cut at 0), ``sims_acc3`` (at ±.1), ``sims_acc5`` (at ±.1 and ±.7),
                    ``sims_mae``, ``sims_corr``: after clipping to ±1; a value on an edge belongs to the class below,
                    so that zero counts as negative
    ==============  ====================================================================================================

    Args:
        task: kind of target.
        num_outputs: number of classes, labels or regression outputs.
        metrics: names of scores, or of the sets ``"mosi"``, ``"mosei"`` and ``"sims"``; the task's usual ones if None.
        sync: where there are several processes, put the batches of all of them together.

    Raises:
        UnknownNameError, SettingError: a score that the task does not have.

    Example:
        >>> scores = TaskScores("regression", 1, ["acc2_has0", "acc2_non0"])
        >>> scores.update(torch.tensor([[1.0], [0.2], [-2.0]]), torch.tensor([2.0, 0.0, 1.0]))
        >>> {name: round(float(value), 4) for name, value in scores.compute().items()}
        {'acc2_has0': 0.6667, 'acc2_non0': 0.5}
    """

    def __init__(
        self, task: Task, num_outputs: int, metrics: Sequence[str] | None = None, *, sync: bool = True
    ) -> None:
        super().__init__()
        self.task = task
        self.names = resolve_metrics(task, num_outputs, metrics)
        chosen: dict[str, Metric | MetricCollection] = {
            name: _METRICS[task][name](num_outputs, sync_on_compute=sync) for name in self.names
        }
        # Without groups: scores whose states happen to agree after one batch may part later.
        self.metrics = MetricCollection(chosen, compute_groups=False)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch: raw predictions ``[B, num_outputs]`` (logits for classes and labels) and their targets."""
        prediction = prediction.detach().float()
        if self.task == "classification":
            self.metrics.update(prediction, target)
        elif self.task == "multilabel":
            # Left to itself, torchmetrics takes a batch of logits that happen to lie in [0, 1] for probabilities.
            self.metrics.update(prediction.sigmoid(), target.reshape(prediction.shape).long())
        else:
            self.metrics.update(prediction, target.reshape(prediction.shape).float())

    def compute(self) -> dict[str, Tensor]:
        """Return every score as a 0-dim tensor."""
        with warnings.catch_warnings():
            # Constant predictions, usual in a first epoch; the score is NaN, as documented.
            warnings.filterwarnings("ignore", message="The variance of predictions or target")
            values = self.metrics.compute()
        # In the order they were asked for; a collection sorts its names.
        return {name: torch.as_tensor(values[name]).mean() for name in self.names}

    def reset(self) -> None:
        """Forget all batches."""
        self.metrics.reset()


def mode_of(name: str) -> str:
    """Return ``"max"`` for a score where more is better, ``"min"`` for an error or a term of the objective.

    Example:
        >>> mode_of("val/acc2_non0"), mode_of("val/mae"), mode_of("val/task")
        ('max', 'min', 'min')
    """
    short = name.rpartition("/")[2]
    return "max" if short in SCORE_NAMES and short not in _LESS_IS_BETTER else "min"


def is_better(name: str, value: float, best: float | None) -> bool:
    """Whether ``value`` of the logged ``name`` beats ``best``; NaN beats nothing, and anything else beats None."""
    if value != value:
        return False
    if best is None:
        return True
    return value > best if mode_of(name) == "max" else value < best
