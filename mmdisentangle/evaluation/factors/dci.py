"""Disentanglement, completeness and informativeness, from the importance of each code for predicting each factor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from mmdisentangle._core.checks import check_choice, check_count
from mmdisentangle._core.errors import require_extra
from mmdisentangle.evaluation.factors._chance import Measure, above_chance, chance_of, mean_of_known, permuted
from mmdisentangle.evaluation.factors._probes import folds_of, normalised_score, standardised
from mmdisentangle.evaluation.factors._samples import Array, Rows, Samples, read_samples

Predictor: TypeAlias = Literal["boosting", "forest", "lasso"]
_FOLDS = 3
_SAMPLES_LEFT = 5


@dataclass(frozen=True)
class DCI:
    """Disentanglement, completeness and informativeness, see `dci`.

    Args:
        disentanglement: mean of ``disentanglement_per_code``, weighted by the importance of each code.
        completeness: mean of ``completeness_per_factor``.
        informativeness: mean of ``informativeness_per_factor``.
        disentanglement_per_code: ``[D]``; NaN for a code that is important for nothing.
        completeness_per_factor: ``[K]``; NaN for a constant factor.
        informativeness_per_factor: ``[K]``, 0 (chance) to 1, on samples that were held out; NaN for a constant factor.
        importance: ``[D, K]``; each column sums to 1, or is 0 where no code is important beyond chance.
        chance: mean of each of the three scores with permuted factors.
        p_value: share of permutations that reach each of them.

    Example:
        >>> factors = np.random.default_rng(0).normal(size=(300, 2))
        >>> found = dci(
        ...     factors @ np.array([[1.0, 1.0], [0.0, 1.0]]), factors, predictor="lasso"
        ... )
        >>> found.importance.round(1)
        array([[1. , 0.4],
               [0. , 0.6]])
        >>> found.disentanglement_per_code.round(1), round(found.chance["disentanglement"], 1)
        (array([0.1, 1. ]), 0.2)
    """

    disentanglement: float
    completeness: float
    informativeness: float
    disentanglement_per_code: Array
    completeness_per_factor: Array
    informativeness_per_factor: Array
    importance: Array
    chance: dict[str, float]
    p_value: dict[str, float]


def dci(
    codes: Any,
    factors: Any,
    *,
    discrete: bool | Sequence[bool] | None = None,
    predictor: Predictor = "boosting",
    permutations: int = 5,
    seed: int = 0,
) -> DCI:
    r"""Return disentanglement, completeness and informativeness of codes with known factors.

    .. math:: D = \sum_i \rho_i \left(1 - H_K(R_{i\cdot} / \textstyle\sum_j R_{ij})\right), \qquad
              C = \frac1K \sum_j \left(1 - H_D(R_{\cdot j})\right)

    with :math:`R_{ij}` the importance of code i in predicting factor j, :math:`\rho_i` the share of code i in all
    importance, and the entropy H in units of its maximum. D is 1 where each code serves one factor, C where each factor
    is served by one code. Informativeness is the share of the variance explained, or the balanced accuracy above
    chance, in three-fold cross-validation.

    Args:
        codes: ``[N, D]``, array or tensor.
        factors: ``[N, K]``, array or tensor.
        discrete: which factors are classes, for all or one by one; None: those of an integer or boolean type.
        predictor: of scikit-learn: ``"boosting"`` or ``"forest"``, trees with their importance by impurity;
            ``"lasso"``, the sizes of linear coefficients (of a logistic regression with that penalty for classes), much
            faster and blind to what is not linear.
        permutations: of the factors, to find what chance reaches.
        seed: of permutations and predictors.

    Returns:
        The scores. A factor that no code predicts beyond chance counts as 0 in D and C. D needs two factors that vary
        and C two codes, and are NaN without. Trees answer in steps: for a continuous factor, informativeness stays a
        little below 1.

    Raises:
        ShapeError, DtypeError, DataError, SettingError: an argument does not fit, or has NaN; a class of fewer than
            three samples.

    Deviations:
        Importance that unrelated codes would reach, too, in fitting what is left unexplained, is set to 0; else the
        many small importances of trees keep perfect codes from reaching 1.

    Example:
        >>> factors = np.random.default_rng(0).normal(size=(300, 2))
        >>> result = dci(factors[:, ::-1] * 2 + 1, factors, predictor="lasso")
        >>> result.disentanglement, result.completeness, round(result.informativeness, 2)
        (1.0, 1.0, 1.0)

    References:
        Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled Representations", 2018.
    """
    check_count("dci", "permutations", permutations, low=2)
    samples = read_samples("dci", codes, factors, discrete)
    measure = importance_measure("dci", samples, predictor, seed)
    rows = np.arange(samples.count)
    found, null = measure(rows, rows), permuted(measure, rows, permutations, np.random.default_rng(seed))
    return dci_of_importance(samples, found, null)


def dci_of_importance(samples: Samples, found: Array, null: Array) -> DCI:
    """Return the scores from what `importance_measure` measures."""
    importance = _shares(found, null, samples)
    per_code = _disentanglement(importance[:, samples.varying])
    per_factor = _completeness(importance, samples)
    held_out = np.where(samples.varying, found[-1], np.nan)
    levels = chance_of(partial(dci_scores, samples), found, null)
    scores = dci_scores(samples, found, null)
    return DCI(
        scores["dci_disentanglement"],
        scores["dci_completeness"],
        scores["dci_informativeness"],
        per_code,
        per_factor,
        held_out,
        importance,
        {name.removeprefix("dci_"): chance for name, (chance, _) in levels.items()},
        {name.removeprefix("dci_"): p_value for name, (_, p_value) in levels.items()},
    )


def dci_scores(samples: Samples, found: Array, null: Array) -> Mapping[str, float]:
    """Return the three scores by name."""
    importance = _shares(found, null, samples)
    known = importance[:, samples.varying]
    weights = known.sum(1) / max(known.shape[1], 1)
    disentanglement = (np.nan_to_num(_disentanglement(known)) * weights).sum()
    return {
        "dci_disentanglement": float(disentanglement) if known.shape[1] > 1 else float("nan"),
        "dci_completeness": mean_of_known(_completeness(importance, samples)),
        "dci_informativeness": mean_of_known(np.where(samples.varying, found[-1], np.nan)),
    }


def importance_measure(where: str, samples: Samples, predictor: Predictor, seed: int) -> Measure:
    """Return a function from rows of codes and of factors to ``[D + 1, K]``: importances, and informativeness last.

    Importances are shares of what the fit explains, times how much that is: so those of noise can be compared.
    """
    check_choice(where, "predictor", predictor, ("boosting", "forest", "lasso"))

    def measure(code_rows: Rows, factor_rows: Rows) -> Array:
        codes = samples.codes[code_rows]
        columns = []
        for index, classes in enumerate(samples.classes):
            factor = samples.factors[factor_rows, index]
            columns.append(_fit(where, codes, factor, classes, index, predictor, seed))
        return np.stack(columns, 1)

    return measure


def _fit(
    where: str, codes: Array, factor: Array, classes: int | None, index: int, predictor: Predictor, seed: int
) -> Array:
    importances = np.zeros(codes.shape[1])
    if factor.min() == factor.max():
        return np.zeros(codes.shape[1] + 1)
    predicted = np.empty_like(factor)
    for train, test in folds_of(where, f"factor {index}", factor, classes, _FOLDS):
        x, x_test = standardised(codes[train], codes[test])
        # A predictor of numbers is fitted in units of their deviation: its penalty must not depend on them.
        y = standardised(factor[train][:, None])[0][:, 0] if classes is None else factor[train]
        model = _predictor(predictor, classes, seed).fit(x, y)
        sizes = model.feature_importances_ if hasattr(model, "feature_importances_") else _coefficients(model)
        explained = normalised_score(y, model.predict(x), classes)
        importances += explained * sizes / (sizes.sum() or 1.0) / _FOLDS
        answers = model.predict(x_test)
        if classes is None:
            answers = answers * factor[train].std() + factor[train].mean()
        predicted[test] = answers
    held_out = normalised_score(factor, predicted, classes)
    return np.append(importances, held_out)


def _predictor(name: Predictor, classes: int | None, seed: int) -> Any:
    ensemble: Any = require_extra("sklearn.ensemble", "eval")
    linear_model: Any = require_extra("sklearn.linear_model", "eval")
    if name == "lasso":
        if classes is None:
            return linear_model.Lasso(alpha=0.01)
        return linear_model.LogisticRegression(
            solver="saga", C=1.0, max_iter=2000, tol=1e-3, random_state=seed, **_l1_penalty()
        )
    if name == "forest":
        forest = ensemble.RandomForestRegressor if classes is None else ensemble.RandomForestClassifier
        return forest(30, min_samples_leaf=3, max_features=1.0, random_state=seed)
    boosting = ensemble.GradientBoostingRegressor if classes is None else ensemble.GradientBoostingClassifier
    return boosting(n_estimators=40, learning_rate=0.2, max_depth=3, random_state=seed)


def _l1_penalty() -> dict[str, Any]:
    """The lasso penalty, as this version of scikit-learn spells it."""
    sklearn: Any = require_extra("sklearn", "eval")
    version = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
    return {"l1_ratio": 1.0} if version >= (1, 8) else {"penalty": "l1"}


def _coefficients(model: Any) -> Array:
    sizes: Array = np.abs(np.atleast_2d(model.coef_)).mean(0)
    return sizes


def _shares(found: Array, null: Array, samples: Samples) -> Array:
    """Importances beyond chance, each column summing to 1."""
    # What is there to be fitted by chance is what the codes leave unexplained; a few samples may always be.
    left = np.maximum(1.0 - found[-1], _SAMPLES_LEFT / samples.count)
    importance = above_chance(found[:-1], null[:, :-1] * left, ceiling=None, pooled=True)
    total = importance.sum(0)
    result: Array = importance / np.where(total > 0, total, 1.0)
    return result


def _disentanglement(importance: Array) -> Array:
    total = importance.sum(1)
    shares = importance / np.where(total > 0, total, 1.0)[:, None]
    return np.where(total > 0, _concentration(shares, 1), np.nan)


def _completeness(importance: Array, samples: Samples) -> Array:
    if len(importance) < 2:
        return np.full(importance.shape[1], np.nan)
    found = importance.sum(0) > 0
    return np.where(samples.varying, np.where(found, _concentration(importance, 0), 0.0), np.nan)


def _concentration(shares: Array, axis: int) -> Array:
    """One minus the entropy in units of its maximum; NaN where there is one share."""
    count = shares.shape[axis]
    if count < 2:
        return np.full(shares.shape[1 - axis], np.nan)
    positive = np.where(shares > 0, shares, 1.0)
    result: Array = 1.0 + (positive * np.log(positive)).sum(axis) / np.log(count)
    return np.maximum(result, 0.0)
