"""What is left when a model knows nothing."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.evaluation.prediction import Predictions
from mmdisentangle.evaluation.scores import is_better

_ANSWERS = 101
# Correlations. Of a constant, rounding alone would decide them.
_UNDEFINED = ("pearson", "corr", "sims_corr")


def constant_scores(dataset: MultimodalDataset, metrics: Sequence[str] | None = None) -> dict[str, float]:
    """Return, for each score, that of the constant answer which is best at it.

    Tried are every class; for labels, those of the majority and all of them; for a regression of one output up to 101
    quantiles of the targets and their mean, of several outputs the median and the mean.

    Args:
        dataset: samples with targets, which choose the answer: no model that ignores its inputs does better.
        metrics: names of scores, see `TaskScores`.

    Returns:
        Score to its best value; NaN where no constant has one, as for a correlation.

    Raises:
        UnknownNameError: no score has the name.
        DataError: a sample has no target.

    Example:
        >>> from mmdisentangle.data import load_dataset
        >>> found = constant_scores(load_dataset("basic-motions", "test"))
        >>> {name: round(score, 2) for name, score in found.items()}
        {'accuracy': 0.25, 'macro_f1': 0.1}
    """
    targets, ids = dataset.targets, dataset.ids
    best: dict[str, float] = {}
    for answer in _answers(dataset, targets):
        answers = answer.expand(len(targets), dataset.num_outputs).contiguous()
        scores = Predictions(answers, targets, ids, dataset.task, dataset.class_names).scores(metrics)
        for name, value in scores.items():
            if name in _UNDEFINED:
                # The one NaN that equals itself inside a dict, so that equal results compare equal.
                value = math.nan
            known = best.get(name, math.nan)
            if known != known or is_better(name, value, known):
                best[name] = value
    return best


def _answers(dataset: MultimodalDataset, targets: Tensor) -> Iterator[Tensor]:
    if dataset.task == "classification":
        yield from torch.eye(dataset.num_outputs)
        return
    values = targets.reshape(len(targets), -1).float()
    if dataset.task == "multilabel":
        yield from (values.mean(0) - 0.5, torch.ones(dataset.num_outputs))
        return
    yield from (values.mean(0), values.median(0).values)
    if dataset.num_outputs == 1:
        ordered = values.squeeze(-1).unique()
        positions = torch.linspace(0, len(ordered) - 1, min(len(ordered), _ANSWERS)).round().long()
        yield from ordered[positions].unsqueeze(-1)
