"""All scores of codes with known factors, with confidence intervals and chance levels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mmdisentangle._core.checks import check_count
from mmdisentangle.evaluation.factors._chance import Measure, Summary, chance_of, half_samples, permuted
from mmdisentangle.evaluation.factors._information import Estimator, information_measure
from mmdisentangle.evaluation.factors._samples import read_samples
from mmdisentangle.evaluation.factors.dci import DCI, Predictor, dci_of_importance, dci_scores, importance_measure
from mmdisentangle.evaluation.factors.modularity import Modularity, modularity_of_information, modularity_scores
from mmdisentangle.evaluation.factors.mutual_information_gap import (
    MutualInformationGap,
    gap_of_information,
    gap_scores,
)
from mmdisentangle.evaluation.factors.separated_attributes import (
    SeparatedAttributePredictability,
    predictability_measure,
    separation_of,
    separation_scores,
)

# Of the normal distribution, on both sides.
_DEVIATIONS_OF_95_PERCENT = 1.96


@dataclass(frozen=True)
class Estimate:
    """A score with what it is worth.

    Args:
        value: the score.
        low: lower end of the 95 % confidence interval.
        high: its upper end.
        chance: mean of the score with permuted factors.
        p_value: share of permutations that reach the score; no smaller than 1 / (permutations + 1).

    Example:
        >>> random = np.random.default_rng(0)
        >>> factors = random.normal(size=(200, 2))
        >>> codes = factors + random.normal(size=(200, 2))
        >>> sap = factor_metrics(codes, factors, predictor="lasso").scores["sap"]
        >>> round(sap.value, 2), round(sap.low, 2), round(sap.high, 2), round(sap.chance, 2)
        (0.53, 0.48, 0.58, 0.0)
    """

    value: float
    low: float
    high: float
    chance: float
    p_value: float


@dataclass(frozen=True)
class FactorMetrics:
    """Every score of `factor_metrics`.

    Args:
        scores: ``dci_disentanglement``, ``dci_completeness``, ``dci_informativeness``, ``mig``, ``sap``,
            ``modularity``.
        dci: the values per code and per factor.
        mig: likewise.
        sap: likewise.
        modularity: likewise.

    Example:
        >>> factors = np.random.default_rng(0).normal(size=(200, 2))
        >>> found = factor_metrics(factors[:, ::-1], factors, predictor="lasso")
        >>> round(found.scores["mig"].value, 2), found.mig.best_code
        (1.0, array([1, 0]))
        >>> found.dci.importance.round(1)
        array([[0., 1.],
               [1., 0.]])
    """

    scores: dict[str, Estimate]
    dci: DCI
    mig: MutualInformationGap
    sap: SeparatedAttributePredictability
    modularity: Modularity


def factor_metrics(
    codes: Any,
    factors: Any,
    *,
    discrete: bool | Sequence[bool] | None = None,
    predictor: Predictor = "boosting",
    estimator: Estimator = "bins",
    bins: int | None = None,
    neighbours: int = 3,
    resamples: int = 20,
    permutations: int = 20,
    seed: int = 0,
) -> FactorMetrics:
    """Return DCI, MIG, SAP and modularity of codes with known factors, with confidence intervals and chance levels.

    Intervals are 1.96 standard errors wide on both sides and end at 0 and 1; the error is the spread over random halves
    of the samples, a bootstrap without replacement. Nearly all of the time goes into the
    trees of DCI, in proportion to samples, codes, factors, and resamples plus permutations; ``predictor="lasso"`` is
    done in seconds.

    Args:
        codes: ``[N, D]``, array or tensor.
        factors: ``[N, K]``, array or tensor.
        discrete: which factors are classes, for all or one by one; None: those of an integer or boolean type.
        predictor: of `dci`.
        estimator: of the mutual information, see `mutual_information_gap`.
        bins: of the mutual information.
        neighbours: of the mutual information.
        resamples: halves of the samples.
        permutations: of the factors; a quarter of them, at least 4, for DCI.
        seed: of all that is random.

    Returns:
        The scores.

    Raises:
        ShapeError, DtypeError, DataError, SettingError: an argument does not fit, or has NaN.

    Example:
        >>> factors = np.random.default_rng(0).normal(size=(400, 2))
        >>> result = factor_metrics(factors[:, ::-1], factors, predictor="lasso")
        >>> {name: round(score.value, 2) for name, score in result.scores.items()}
        {'dci_disentanglement': 1.0, 'dci_completeness': 1.0, 'dci_informativeness': 1.0, 'mig': 1.0, 'sap': 1.0,
         'modularity': 1.0}
    """
    where = "factor_metrics"
    check_count(where, "resamples", resamples, low=2)
    check_count(where, "permutations", permutations, low=2)
    samples = read_samples(where, codes, factors, discrete)
    scores: dict[str, Estimate] = {}

    def add(measure: Measure, summary: Callable[..., Mapping[str, float]], permutations: int) -> tuple[Any, Any]:
        generator, rows = np.random.default_rng(seed), np.arange(samples.count)
        judged: Summary = partial(summary, samples)
        found, null = measure(rows, rows), permuted(measure, rows, permutations, generator)
        errors = half_samples(measure, judged, samples.count, resamples, permutations, generator)
        levels = chance_of(judged, found, null)
        for name, value in judged(found, null).items():
            margin = _DEVIATIONS_OF_95_PERCENT * errors[name]
            low, high = np.clip([value - margin, value + margin], 0.0, 1.0)
            scores[name] = Estimate(value, float(low), float(high), *levels[name])
        return found, null

    fits = add(importance_measure(where, samples, predictor, seed), dci_scores, max(4, permutations // 4))
    information = information_measure(where, samples, estimator, bins, neighbours)
    shared = add(information, gap_scores, permutations)
    predictability = add(predictability_measure(samples), separation_scores, permutations)
    # The same draws once more, as the seed is the same.
    add(information, modularity_scores, permutations)
    return FactorMetrics(
        scores,
        dci_of_importance(samples, *fits),
        gap_of_information(samples, *shared),
        separation_of(samples, *predictability),
        modularity_of_information(samples, *shared),
    )
