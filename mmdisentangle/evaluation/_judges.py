"""Targets of probes: what of them is regressed, what the predictions are worth, and in resampled groups."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmdisentangle._core.errors import DataError, ShapeError
from mmdisentangle.data.dataset import Task

Floats: TypeAlias = NDArray[np.float64]


def judge_of(task: Task, target: NDArray[Any]) -> "Judge":
    """Return the judge of a target: ``[N]`` classes, ``[N, K]`` labels, ``[N]`` or ``[N, K]`` numbers."""
    if task == "classification":
        if target.ndim != 1:
            raise ShapeError(
                f"probes: classes must be [N] indices, got shape {list(target.shape)}; for several labels at once, "
                "task='multilabel'."
            )
        return _Classes(target)
    if task == "multilabel":
        return _Labels(target.reshape(len(target), -1))
    return _Numbers(target.reshape(len(target), -1).astype(np.float64))


class Judge(ABC):
    """What a target is to a ridge regression, and what its predictions are worth."""

    metric: str
    chance: float
    # What is regressed, [N, K].
    outputs: Floats
    # The target itself, by which groups of one target are known.
    key: NDArray[Any]

    def decide(self, fitted: Floats, outputs: Floats, predicted: Floats) -> Floats:
        """Turn what a regression predicts into answers.

        Args:
            fitted: ``[n, R, K]``, R regressions on their own training part.
            outputs: ``[n, R, K]``, what they were fitted to.
            predicted: ``[t, R, K]``, of samples that were held out.
        """
        return predicted

    @abstractmethod
    def score(self, predicted: Floats, order: NDArray[np.intp]) -> float:
        """Return the score of predictions ``[N, K]`` for the target in another order."""

    @abstractmethod
    def resampled(self, predicted: Floats, group: NDArray[Any], draws: Floats) -> Floats:
        """Return the scores ``[R]`` where group ``g`` counts ``draws[r, g]`` times."""


class _Classes(Judge):
    metric = "balanced accuracy"

    def __init__(self, target: NDArray[Any]) -> None:
        self.key = target
        names, self.index = np.unique(target, return_inverse=True)
        self.count = len(names)
        if self.count > 2 and self.count > len(target) // 2:
            raise DataError(
                f"probes: {self.count} classes in {len(target)} samples are too many to be told; for numbers, "
                "task='regression'."
            )
        if self.count < 2:
            raise DataError("probes: the target is the same for all samples; there is nothing to be told.")
        self.chance = 1 / self.count
        self.outputs = np.eye(self.count)[self.index]

    def decide(self, fitted: Floats, outputs: Floats, predicted: Floats) -> Floats:
        """Linear discriminants of equal priors on the fitted indicators: classes count alike, as in the score."""
        fitted, outputs = fitted.transpose(1, 0, 2), outputs.transpose(1, 0, 2)
        counts = outputs.sum(1)
        centres = (outputs.swapaxes(1, 2) @ fitted) / np.maximum(counts, 1)[..., None]
        within = fitted - outputs @ centres
        inverse = np.linalg.pinv(within.swapaxes(1, 2) @ within / fitted.shape[1], rcond=1e-10, hermitian=True)
        directions = centres @ inverse
        offsets = 0.5 * (directions * centres).sum(-1)
        scores = np.einsum("trk,rck->trc", predicted, directions) - offsets
        # A class that the training part lacks is never the answer.
        answers: Floats = np.where(counts > 0, scores, -np.inf)
        return answers

    def score(self, predicted: Floats, order: NDArray[np.intp]) -> float:
        index = self.index[order]
        hit = predicted.argmax(-1) == index
        recalls = np.bincount(index, hit, self.count) / np.bincount(index, minlength=self.count)
        return float(recalls.mean())

    def resampled(self, predicted: Floats, group: NDArray[Any], draws: Floats) -> Floats:
        hit = (predicted.argmax(-1) == self.index).astype(np.float64)
        mean: Floats = np.nanmean(_recalls(hit, self.index, self.count, group, draws), 1)
        return mean


class _Labels(Judge):
    metric = "balanced accuracy"
    chance = 0.5

    def __init__(self, target: NDArray[Any]) -> None:
        self.key = target
        self.labels = [_Classes(target[:, number]) for number in range(target.shape[1])]
        self.outputs = np.concatenate([label.outputs[:, 1:] for label in self.labels], 1)

    def decide(self, fitted: Floats, outputs: Floats, predicted: Floats) -> Floats:
        """Above the middle between the two means: positive."""
        count = np.maximum(outputs.sum(0), 1), np.maximum((1 - outputs).sum(0), 1)
        positive, negative = (fitted * outputs).sum(0) / count[0], (fitted * (1 - outputs)).sum(0) / count[1]
        answers: Floats = predicted - (positive + negative) / 2
        return answers

    def score(self, predicted: Floats, order: NDArray[np.intp]) -> float:
        scores = [label.score(_two_sided(predicted[:, n]), order) for n, label in enumerate(self.labels)]
        return float(np.mean(scores))

    def resampled(self, predicted: Floats, group: NDArray[Any], draws: Floats) -> Floats:
        scores = [label.resampled(_two_sided(predicted[:, n]), group, draws) for n, label in enumerate(self.labels)]
        mean: Floats = np.mean(scores, 0)
        return mean


class _Numbers(Judge):
    metric = "R^2"
    chance = 0.0

    def __init__(self, target: Floats) -> None:
        if not np.isfinite(target).all():
            raise DataError("probes: the target holds NaN or infinities.")
        deviation = target.std(0)
        if not (deviation > 0).all():
            raise DataError("probes: the target is the same for all samples; there is nothing to be told.")
        self.key = target
        # Every output counts alike, whatever its unit.
        self.outputs = (target - target.mean(0)) / deviation

    def score(self, predicted: Floats, order: NDArray[np.intp]) -> float:
        return float(1 - ((self.outputs[order] - predicted) ** 2).mean())

    def resampled(self, predicted: Floats, group: NDArray[Any], draws: Floats) -> Floats:
        size = draws.shape[1]
        y, count = self.outputs, draws @ np.bincount(group, minlength=size)
        error = draws @ np.bincount(group, ((y - predicted) ** 2).sum(1), size)
        first, second = (
            np.stack([draws @ np.bincount(group, column**power, size) for column in y.T], 1) for power in (1, 2)
        )
        spread = (second - first**2 / count[:, None]).sum(1)
        share: Floats = np.divide(spread - error, spread, out=np.full_like(spread, np.nan), where=spread > 0)
        return share


def _two_sided(positive: Floats) -> Floats:
    return np.stack([np.zeros_like(positive), positive], 1)


def _recalls(hit: Floats, index: NDArray[Any], count: int, group: NDArray[Any], draws: Floats) -> Floats:
    """Recall of each class, ``[R, C]``; NaN for a class that was not drawn."""
    size = draws.shape[1]
    of_class: Sequence[NDArray[Any]] = [index == number for number in range(count)]
    hits = np.stack([draws @ np.bincount(group[chosen], hit[chosen], size) for chosen in of_class], 1)
    all_of = np.stack([draws @ np.bincount(group[chosen], minlength=size) for chosen in of_class], 1)
    recalls: Floats = np.divide(hits, all_of, out=np.full_like(hits, np.nan), where=all_of > 0)
    return recalls
