"""Separated attribute predictability: the gap between the two codes that predict a factor best, linearly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mmdisentangle._core.checks import check_count
from mmdisentangle._core.errors import require_extra
from mmdisentangle.evaluation.factors._chance import Measure, above_chance, chance_of, mean_of_known, permuted
from mmdisentangle.evaluation.factors._samples import Array, Rows, Samples, read_samples
from mmdisentangle.evaluation.factors.mutual_information_gap import gaps


@dataclass(frozen=True)
class SeparatedAttributePredictability:
    """A SAP score, see `separated_attribute_predictability`.

    Args:
        score: mean of ``per_factor``.
        per_factor: ``[K]``; NaN for a constant factor.
        best_code: ``[K]``, the code that predicts each factor best; -1 where none does.
        predictability: ``[D, K]``, 0 (chance) to 1 (always right).
        chance: mean score with permuted factors.
        p_value: share of permutations that reach the score.

    Example:
        >>> factors = np.random.default_rng(0).normal(size=(500, 2))
        >>> found = separated_attribute_predictability(factors[:, ::-1], factors)
        >>> found.best_code, found.predictability.round(1)
        (array([1, 0]), array([[0., 1.],
               [1., 0.]]))
    """

    score: float
    per_factor: Array
    best_code: Any
    predictability: Array
    chance: float
    p_value: float


def separated_attribute_predictability(
    codes: Any,
    factors: Any,
    *,
    discrete: bool | Sequence[bool] | None = None,
    permutations: int = 20,
    seed: int = 0,
) -> SeparatedAttributePredictability:
    r"""Return the separated attribute predictability (SAP) of codes with known factors.

    .. math:: \mathrm{SAP} = \frac1K \sum_j \left( S_{(1)j} - S_{(2)j} \right)

    with :math:`S_{ij}` the squared correlation of code i with a continuous factor j; for classes the balanced accuracy
    of thresholds on code i alone, as many as the classes need, rescaled so that guessing is 0 and 1 stays 1.

    Prefer `mutual_information_gap` where codes may be curved: a code that is the cube of a uniform factor has all the
    information, and S = 21/25.

    Args:
        codes: ``[N, D]``, array or tensor.
        factors: ``[N, K]``, array or tensor.
        discrete: which factors are classes, for all or one by one; None: those of an integer or boolean type.
        permutations: of the factors, to find what chance reaches.
        seed: of the permutations.

    Returns:
        The score. What chance reaches is taken off first; with one code, the second is 0. A constant code predicts
        nothing, a constant factor is left out.

    Raises:
        ShapeError, DtypeError, DataError, SettingError: an argument does not fit, or has NaN.

    Deviations:
        The paper does not take chance off; it matters where samples are few or classes unequal.

    Example:
        >>> factors = np.random.default_rng(0).normal(size=(1000, 2))
        >>> round(separated_attribute_predictability(3 * factors[:, ::-1] + 1, factors).score, 6)
        1.0

    References:
        Kumar et al., "Variational Inference of Disentangled Latent Concepts from Unlabeled Observations", 2018,
        arXiv:1711.00848.
    """
    where = "separated_attribute_predictability"
    check_count(where, "permutations", permutations, low=2)
    samples = read_samples(where, codes, factors, discrete)
    measure = predictability_measure(samples)
    rows = np.arange(samples.count)
    found, null = measure(rows, rows), permuted(measure, rows, permutations, np.random.default_rng(seed))
    return separation_of(samples, found, null)


def separation_of(samples: Samples, found: Array, null: Array) -> SeparatedAttributePredictability:
    """Return the score from what `predictability_measure` measures."""
    predictability = above_chance(found, null)
    per_factor, best = gaps(predictability, samples)
    ((chance, p_value),) = chance_of(partial(separation_scores, samples), found, null).values()
    return SeparatedAttributePredictability(
        mean_of_known(per_factor), per_factor, best, predictability, chance, p_value
    )


def separation_scores(samples: Samples, found: Array, null: Array) -> Mapping[str, float]:
    """Return the score by name."""
    per_factor, _ = gaps(above_chance(found, null), samples)
    return {"sap": mean_of_known(per_factor)}


def predictability_measure(samples: Samples) -> Measure:
    """Return a function from rows of codes and of factors to ``[D, K]``."""

    def measure(code_rows: Rows, factor_rows: Rows) -> Array:
        codes = samples.codes[code_rows]
        columns = [
            _squared_correlations(codes, factor) if classes is None else _threshold_scores(codes, factor)
            for factor, classes in zip(samples.factors[factor_rows].T, samples.classes, strict=True)
        ]
        return np.stack(columns, 1)

    return measure


def _squared_correlations(codes: Array, factor: Array) -> Array:
    codes, factor = _normalised(codes), _normalised(factor[:, None])
    result: Array = np.minimum((codes.T @ factor)[:, 0] ** 2, 1.0)
    return result


def _normalised(columns: Array) -> Array:
    """Centre each column and scale it to length 1; a constant one becomes 0."""
    varies = columns.min(0) < columns.max(0)
    # Large and small columns alike: their squares must not overflow.
    columns = columns - columns.mean(0)
    columns = columns / np.where(varies, np.abs(columns).max(0), 1.0)
    length = np.sqrt((columns**2).sum(0))
    result: Array = np.where(varies, columns / np.where(varies, length, 1.0), 0.0)
    return result


def _threshold_scores(codes: Array, factor: Array) -> Array:
    metrics: Any = require_extra("sklearn.metrics", "eval")
    trees: Any = require_extra("sklearn.tree", "eval")
    classes = len(np.unique(factor))
    scores = np.zeros(codes.shape[1])
    for index, code in enumerate(_normalised(codes).T):
        if classes > 1 and code.min() < code.max():
            tree = trees.DecisionTreeClassifier(max_leaf_nodes=classes, class_weight="balanced", random_state=0)
            predicted = tree.fit(code[:, None], factor).predict(code[:, None])
            scores[index] = metrics.balanced_accuracy_score(factor, predicted, adjusted=True)
    return scores
