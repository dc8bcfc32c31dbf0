"""Scores of a task, computed by torchmetrics."""

import warnings

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import BinaryF1Score, MulticlassAccuracy, MulticlassF1Score, MultilabelF1Score
from torchmetrics.regression import MeanAbsoluteError, PearsonCorrCoef

from mmdisentangle.data.dataset import Task

_MORE_IS_BETTER = ("accuracy", "macro_f1", "pearson")


class TaskScores(nn.Module):
    """Scores over any number of batches.

    classification: ``accuracy``, ``macro_f1`` (mean of F1 over the classes that occur); multilabel: ``macro_f1`` (over
        labels);
    regression: ``mae`` in the target's units, ``pearson`` (mean over outputs; NaN where one of the two is constant).

    Args:
        task: kind of target.
        num_outputs: number of classes, labels or regression outputs.

    Example:
        >>> scores = TaskScores("classification", 3)
        >>> scores.update(torch.eye(3), torch.tensor([0, 1, 1]))
        >>> round(float(scores.compute()["accuracy"]), 4)
        0.6667
    """

    def __init__(self, task: Task, num_outputs: int) -> None:
        super().__init__()
        self.task = task
        metrics: dict[str, Metric | MetricCollection]
        if task == "classification":
            metrics = {
                "accuracy": MulticlassAccuracy(num_outputs, average="micro"),
                "macro_f1": MulticlassF1Score(num_outputs, average="macro"),
            }
        elif task == "multilabel":
            # torchmetrics takes one label for a binary problem.
            f1 = BinaryF1Score() if num_outputs == 1 else MultilabelF1Score(num_outputs, average="macro")
            metrics = {"macro_f1": f1}
        else:
            metrics = {"mae": MeanAbsoluteError(), "pearson": PearsonCorrCoef(num_outputs)}
        self.metrics = MetricCollection(metrics)

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
            return {name: torch.as_tensor(value).mean() for name, value in self.metrics.compute().items()}

    def reset(self) -> None:
        """Forget all batches."""
        self.metrics.reset()


def mode_of(name: str) -> str:
    """Return ``"max"`` for a score where more is better, ``"min"`` for an error or a term of the objective.

    Example:
        >>> mode_of("val/accuracy"), mode_of("val/task")
        ('max', 'min')
    """
    return "max" if name.rpartition("/")[2] in _MORE_IS_BETTER else "min"


def is_better(name: str, value: float, best: float | None) -> bool:
    """Whether ``value`` of the logged ``name`` beats ``best``; NaN beats nothing, and anything else beats None."""
    if value != value:
        return False
    if best is None:
        return True
    return value > best if mode_of(name) == "max" else value < best
