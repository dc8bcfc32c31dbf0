"""Mutual information gap: how far the code that knows a factor best is ahead of the second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mmdisentangle._core.checks import check_count
from mmdisentangle.evaluation.factors._chance import above_chance, chance_of, mean_of_known, permuted
from mmdisentangle.evaluation.factors._information import Estimator, information_measure
from mmdisentangle.evaluation.factors._samples import Array, Samples, read_samples


@dataclass(frozen=True)
class MutualInformationGap:
    """A mutual information gap, see `mutual_information_gap`.

    Args:
        score: mean of ``per_factor``.
        per_factor: ``[K]``; NaN for a constant factor.
        best_code: ``[K]``, the code that knows most about each factor; -1 where none knows anything.
        information: ``[D, K]``, 0 (chance) to 1 (everything).
        chance: mean score with permuted factors.
        p_value: share of permutations that reach the score.

    Example:
        >>> factors = np.random.default_rng(0).normal(size=(500, 2))
        >>> found = mutual_information_gap(factors[:, ::-1], factors)
        >>> found.best_code, found.per_factor.round(2), round(found.chance, 2)
        (array([1, 0]), array([1., 1.]), 0.0)
    """

    score: float
    per_factor: Array
    best_code: Any
    information: Array
    chance: float
    p_value: float


def mutual_information_gap(
    codes: Any,
    factors: Any,
    *,
    discrete: bool | Sequence[bool] | None = None,
    estimator: Estimator = "bins",
    bins: int | None = None,
    neighbours: int = 3,
    permutations: int = 20,
    seed: int = 0,
) -> MutualInformationGap:
    r"""Return the mutual information gap (MIG) of codes with known factors.

    .. math:: \mathrm{MIG} = \frac1K \sum_j \left( \tilde I(c_{(1)}; v_j) - \tilde I(c_{(2)}; v_j) \right)

    with :math:`\tilde I` the mutual information as a share from 0 to 1, and :math:`c_{(1)}, c_{(2)}` the two codes that
    have most of it. It is 1 where every factor is in one code alone, whatever else is in that code.

    Args:
        codes: ``[N, D]``, array or tensor.
        factors: ``[N, K]``, array or tensor.
        discrete: which factors are classes, for all or one by one; None: those of an integer or boolean type.
        estimator: ``"bins"``: codes and continuous factors are cut into bins of equal numbers of samples, so that
            monotone maps change nothing, and the share is that of the (binned) factor's entropy. ``"neighbours"``: the
            nearest-neighbour estimator of scikit-learn; the share is that of the entropy for classes, and
            :math:`1 - e^{-2I}` for a continuous factor, the squared correlation in the Gaussian case.
        bins: number of bins; None: at most 20, and at least 5 samples per cell in the mean.
        neighbours: of the estimator of that name.
        permutations: of the factors, to find what chance reaches.
        seed: of the permutations.

    Returns:
        The gap. What chance reaches is taken off the information first; with one code, the second is 0. A constant
        code knows nothing, a constant factor is left out.

    Raises:
        ShapeError, DtypeError, DataError, SettingError: an argument does not fit, or has NaN.

    Example:
        >>> factors = np.random.default_rng(0).normal(size=(1000, 2))
        >>> mutual_information_gap(np.exp(factors[:, ::-1]), factors).score
        1.0
        >>> turned = factors @ np.array([[1.0, -1.0], [1.0, 1.0]])
        >>> bool(mutual_information_gap(turned, factors).score < 0.02)
        True

    References:
        Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", 2018, arXiv:1802.04942.
    """
    where = "mutual_information_gap"
    check_count(where, "permutations", permutations, low=2)
    samples = read_samples(where, codes, factors, discrete)
    measure = information_measure(where, samples, estimator, bins, neighbours)
    rows = np.arange(samples.count)
    found, null = measure(rows, rows), permuted(measure, rows, permutations, np.random.default_rng(seed))
    return gap_of_information(samples, found, null)


def gap_of_information(samples: Samples, found: Array, null: Array) -> MutualInformationGap:
    """Return the gap from what `information_measure` measures."""
    information = above_chance(found[1], null[:, 1])
    per_factor, best = gaps(information, samples)
    ((chance, p_value),) = chance_of(partial(gap_scores, samples), found, null).values()
    return MutualInformationGap(mean_of_known(per_factor), per_factor, best, information, chance, p_value)


def gap_scores(samples: Samples, found: Array, null: Array) -> Mapping[str, float]:
    """Return the score by name."""
    per_factor, _ = gaps(above_chance(found[1], null[:, 1]), samples)
    return {"mig": mean_of_known(per_factor)}


def gaps(scores: Array, samples: Samples) -> tuple[Array, Any]:
    """Return how far the best code of each factor is ahead, ``[K]``, and which it is, -1 for none."""
    ordered = np.sort(np.concatenate([scores, np.zeros((1, scores.shape[1]))]), 0)
    best = np.where(ordered[-1] > 0, scores.argmax(0), -1)
    return np.where(samples.varying, ordered[-1] - ordered[-2], np.nan), best
