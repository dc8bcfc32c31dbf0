"""Modularity: whether each code knows a single factor."""

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
class Modularity:
    """A modularity, see `modularity`.

    Args:
        score: mean of ``per_code``; 0 where no code knows anything, NaN where fewer than two factors vary.
        per_code: ``[D]``; NaN for a code that knows nothing.
        information: ``[D, K]`` in nats, above chance.
        chance: mean score with permuted factors.
        p_value: share of permutations that reach the score.

    Example:
        >>> factors = np.random.default_rng(0).normal(size=(500, 2))
        >>> found = modularity(np.column_stack([factors[:, 0], factors.sum(1)]), factors)
        >>> found.per_code.round(1), found.information.round(1)
        (array([1., 0.]), array([[2.2, 0. ],
               [0.3, 0.3]]))
    """

    score: float
    per_code: Array
    information: Array
    chance: float
    p_value: float


def modularity(
    codes: Any,
    factors: Any,
    *,
    discrete: bool | Sequence[bool] | None = None,
    estimator: Estimator = "bins",
    bins: int | None = None,
    neighbours: int = 3,
    permutations: int = 20,
    seed: int = 0,
) -> Modularity:
    r"""Return the modularity of codes with known factors.

    .. math:: 1 - \frac{1}{D (K - 1)} \sum_i \sum_{j \ne j^*_i} \frac{I(c_i; v_j)^2}{I(c_i; v_{j^*_i})^2}

    with :math:`j^*_i` the factor that code i knows most about. It is 1 where every code knows one factor alone,
    however many codes know the same one, and 0 where every code knows all of them equally well.

    Args:
        codes: ``[N, D]``, array or tensor.
        factors: ``[N, K]``, array or tensor.
        discrete: which factors are classes, see `mutual_information_gap`; so are all other settings.
        estimator: of the mutual information.
        bins: number of bins.
        neighbours: number of neighbours.
        permutations: of the factors.
        seed: of the permutations.

    Returns:
        The modularity. What chance reaches is taken off the information first; codes that know nothing are left out.

    Raises:
        ShapeError, DtypeError, DataError, SettingError: an argument does not fit, or has NaN.

    Example:
        >>> factors = np.random.default_rng(0).normal(size=(1000, 2))
        >>> twice = np.concatenate([factors, factors], 1)
        >>> modularity(twice, factors).score
        1.0

    References:
        Ridgeway and Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic Loss", 2018, arXiv:1802.05312.
    """
    where = "modularity"
    check_count(where, "permutations", permutations, low=2)
    samples = read_samples(where, codes, factors, discrete)
    measure = information_measure(where, samples, estimator, bins, neighbours)
    rows = np.arange(samples.count)
    found, null = measure(rows, rows), permuted(measure, rows, permutations, np.random.default_rng(seed))
    return modularity_of_information(samples, found, null)


def modularity_of_information(samples: Samples, found: Array, null: Array) -> Modularity:
    """Return the modularity from what `information_measure` measures."""
    information = above_chance(found[0], null[:, 0], ceiling=None)
    per_code = _per_code(information, samples)
    ((chance, p_value),) = chance_of(partial(modularity_scores, samples), found, null).values()
    return Modularity(_score(per_code, samples), per_code, information, chance, p_value)


def modularity_scores(samples: Samples, found: Array, null: Array) -> Mapping[str, float]:
    """Return the score by name."""
    per_code = _per_code(above_chance(found[0], null[:, 0], ceiling=None), samples)
    return {"modularity": _score(per_code, samples)}


def _per_code(information: Array, samples: Samples) -> Array:
    information = information[:, samples.varying]
    others = information.shape[1] - 1
    if others < 1:
        return np.full(len(information), np.nan)
    largest = information.max(1)
    ratios = information / np.where(largest > 0, largest, 1.0)[:, None]
    return np.where(largest > 0, 1.0 - ((ratios**2).sum(1) - 1.0) / others, np.nan)


def _score(per_code: Array, samples: Samples) -> float:
    if samples.varying.sum() < 2:
        return float("nan")
    return 0.0 if np.isnan(per_code).all() else mean_of_known(per_code)
