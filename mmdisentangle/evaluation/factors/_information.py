"""Mutual information of every code with every factor."""

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mmdisentangle._core.checks import check_choice, check_count
from mmdisentangle._core.errors import require_extra
from mmdisentangle.evaluation.factors._chance import Measure
from mmdisentangle.evaluation.factors._samples import Array, Rows, Samples

Estimator: TypeAlias = Literal["bins", "neighbours"]
_MOST_BINS = 20
_SAMPLES_PER_CELL = 5


def information_measure(
    where: str, samples: Samples, estimator: Estimator, bins: int | None, neighbours: int
) -> Measure:
    """Return a function from rows of codes and of factors to ``[2, D, K]``: in nats, and as a share from 0 to 1."""
    check_choice(where, "estimator", estimator, ("bins", "neighbours"))
    if bins is not None:
        check_count(where, "bins", bins, low=2)
    check_count(where, "neighbours", neighbours)
    if estimator == "neighbours":
        return _by_neighbours(samples, neighbours)
    if bins is None:
        fitting = int(np.sqrt(samples.count / _SAMPLES_PER_CELL))
        bins = max(2, min(_MOST_BINS, fitting), *(classes or 0 for classes in samples.classes))
    return _by_bins(samples, bins)


def _by_bins(samples: Samples, bins: int) -> Measure:
    codes = np.stack([_binned(column, bins) for column in samples.codes.T])
    factors = np.stack(
        [
            column.astype(np.int64) if classes else _binned(column, bins)
            for column, classes in zip(samples.factors.T, samples.classes, strict=True)
        ]
    )
    width, classes = int(codes.max()) + 1, int(factors.max()) + 1
    first_cell = np.arange(len(codes))[:, None] * width

    def measure(code_rows: Rows, factor_rows: Rows) -> Array:
        places = (first_cell + codes[:, code_rows]) * classes
        nats, entropies = [], []
        for factor in factors[:, factor_rows]:
            cells = np.bincount((places + factor).ravel(), minlength=len(codes) * width * classes)
            joint = cells.reshape(len(codes), width, classes) / len(code_rows)
            entropy = _entropy(joint[0].sum(0))
            nats.append(_entropy(joint.sum(2)) + entropy - _entropy(joint.reshape(len(codes), -1)))
            entropies.append(entropy)
        information, entropy = np.maximum(np.stack(nats, 1), 0.0), np.stack(entropies)
        return np.stack([information, information / np.where(entropy > 0, entropy, 1.0)])

    return measure


def _by_neighbours(samples: Samples, neighbours: int) -> Measure:
    selection: Any = require_extra("sklearn.feature_selection", "eval")

    def measure(code_rows: Rows, factor_rows: Rows) -> Array:
        codes = samples.codes[code_rows]
        nats, shares = [], []
        for column, classes in zip(samples.factors.T, samples.classes, strict=True):
            factor = column[factor_rows]
            if factor.min() == factor.max():
                found = share = np.zeros(codes.shape[1])
            elif classes is None:
                found = selection.mutual_info_regression(codes, factor, n_neighbors=neighbours, random_state=0)
                share = 1.0 - np.exp(-2.0 * found)
            else:
                found = selection.mutual_info_classif(
                    codes, factor.astype(np.int64), n_neighbors=neighbours, random_state=0
                )
                share = found / _entropy(np.bincount(factor.astype(np.int64)) / len(factor))
            # Ties would give a constant code a little.
            varies = codes.min(0) < codes.max(0)
            nats.append(found * varies)
            shares.append(np.clip(share, 0.0, 1.0) * varies)
        return np.stack([np.stack(nats, 1), np.stack(shares, 1)])

    return measure


def _binned(values: Array, bins: int) -> npt.NDArray[np.int64]:
    """Bins of equal numbers of samples, by ranks, which no monotone map changes; few distinct values are the bins."""
    distinct, indices, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) <= bins:
        return indices.astype(np.int64)
    # The middle of the ranks of each value, so that a falling map has the same bins as a rising one.
    ranks = (np.cumsum(counts) - counts / 2) / len(values)
    return np.floor(ranks * bins).astype(np.int64)[indices]


def _entropy(probabilities: Array) -> Array:
    """Entropy over the last axis, flattened behind the first where there are three, in nats."""
    positive = np.where(probabilities > 0, probabilities, 1.0)
    result: Array = -(positive * np.log(positive)).sum(-1)
    return result
