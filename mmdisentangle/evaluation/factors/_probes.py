"""Folds and scores of probes of scikit-learn, with 0 for chance and 1 for the ceiling."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mmdisentangle._core.errors import DataError, require_extra
from mmdisentangle.evaluation.factors._samples import Array, Rows


def folds_of(where: str, name: str, values: Array, classes: int | None, folds: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield training and test rows; classes are spread evenly over the folds."""
    selection: Any = require_extra("sklearn.model_selection", "eval")
    if classes is not None:
        fewest = int(np.unique(values, return_counts=True)[1].min())
        if fewest < folds:
            raise DataError(
                f"{where}: {name} has a class of {fewest} samples; cross-validation needs at least {folds} of each: "
                "leave the class out, or put it together with another."
            )
    kind = selection.KFold if classes is None else selection.StratifiedKFold
    yield from kind(folds, shuffle=True, random_state=0).split(np.zeros((len(values), 1)), values)


def normalised_score(true: Array, predicted: Array, classes: int | None) -> float:
    """Return the share of the variance explained or, for classes, the balanced accuracy above chance; at least 0."""
    metrics: Any = require_extra("sklearn.metrics", "eval")
    if classes is None:
        return max(float(metrics.r2_score(true, predicted)), 0.0) if true.min() < true.max() else 0.0
    known = np.unique(true)
    if len(known) < 2:
        return 0.0
    accuracy = metrics.recall_score(true, predicted, labels=known, average="macro", zero_division=0)
    return max((float(accuracy) - 1 / len(known)) / (1 - 1 / len(known)), 0.0)


def standardised(train: Array, *others: Array) -> tuple[Array, ...]:
    """Return all with the mean and deviation of the first; a constant column becomes 0."""
    varies = train.min(0) < train.max(0)
    # Scaled first: the squares of large values would overflow.
    size = np.where(varies, np.abs(train).max(0), 1.0)
    location = (train / size).mean(0)
    deviation = (train / size).std(0)
    scale = np.where(varies & (deviation > 0), deviation, 1.0)
    return tuple(np.where(varies, (x / size - location) / scale, 0.0) for x in (train, *others))
