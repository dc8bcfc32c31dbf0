"""Cross-validated probes: how well can something be told from codes, with chance level, interval and p-value."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmdisentangle._core.checks import check_choice, check_count
from mmdisentangle._core.errors import DataError, require_extra
from mmdisentangle.data.dataset import TASKS, Task
from mmdisentangle.evaluation._judges import Floats, Judge, judge_of

Probe: TypeAlias = Literal["linear", "nonlinear"]
PROBES: tuple[Probe, ...] = ("linear", "nonlinear")

# Of the ridge regression on standardised features; the probe chooses by leave-one-out error on its training part.
_PENALTIES = np.logspace(-1, 5, 7)
_LANDMARKS = 200
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class ProbeScore:
    """How well a probe reads a target from codes it was not fitted to.

    Args:
        probe: ``"linear"`` or ``"nonlinear"``.
        metric: what ``score`` is: ``"balanced accuracy"`` or ``"R^2"``.
        score: on held-out samples of all folds.
        chance: what codes without information reach.
        interval: of the score, 95 %, by a bootstrap over groups.
        p_value: share of permuted targets that are read as well.
        least_p: smallest p-value that the permutations could have shown: they are few, or few groups can change places.

    Example:
        >>> random = np.random.default_rng(0)
        >>> person, codes = np.repeat(np.arange(10), 20), random.normal(size=(200, 3))
        >>> target = codes[:, 0] + random.normal(size=200)
        >>> found = probe_score(codes, target, task="regression", groups=person)
        >>> found.metric, round(found.score, 1), [round(end, 1) for end in found.interval]
        ('R^2', 0.4, [0.3, 0.5])
    """

    probe: Probe
    metric: str
    score: float
    chance: float
    interval: tuple[float, float]
    p_value: float
    least_p: float

    @property
    def normalized(self) -> float:
        """The score on a scale where 0 is chance and 1 is perfect; a little below 0 by accident."""
        return (self.score - self.chance) / (1 - self.chance)

    @property
    def normalized_interval(self) -> tuple[float, float]:
        """The interval on the same scale."""
        low, high = ((end - self.chance) / (1 - self.chance) for end in self.interval)
        return low, high


def probe_score(
    codes: Floats,
    target: NDArray[Any],
    *,
    task: Task,
    groups: NDArray[Any] | None = None,
    probe: Probe = "linear",
    permute_within: NDArray[Any] | None = None,
    folds: int = 5,
    permutations: int = 200,
    bootstraps: int = 1000,
    seed: int = 0,
) -> ProbeScore:
    r"""Read a target from codes by a ridge classifier or regression, fitted and judged on different groups.

    Codes are standardised on the training part of each fold. The nonlinear probe is the same on 200 random landmarks of
    a Gaussian kernel (Nyström), its bandwidth the median distance. Classes are told by linear discriminants of equal
    priors on the ridge estimates of their indicators, which is what balanced accuracy wants.

    Args:
        codes: ``[N, D]``.
        target: ``[N]`` class indices, ``[N]`` or ``[N, K]`` numbers, or ``[N, K]`` labels.
        task: ``"classification"`` (balanced accuracy, chance 1 / classes), ``"multilabel"`` (its mean over labels,
            chance 1/2) or ``"regression"`` (R^2 over all outputs, chance 0).
        groups: ``[N]``, for instance persons; those of a fold's test part are not in its training part. Samples that
            share a group are resampled together for the interval.
        probe: ``"linear"`` or ``"nonlinear"``.
        permute_within: ``[N]``: targets are exchanged for the p-value only where this is equal. By default within
            groups, or among groups where each of them has one target.
        folds: number of folds; fewer where there are fewer groups.
        permutations: number of permuted targets; 0 gives a p-value of 1.
        bootstraps: number of resamplings.
        seed: of folds, landmarks, permutations and resamplings.

    Returns:
        The score.

    Raises:
        DataError: NaN or infinities, fewer than two groups, or a target that is constant.

    Example:
        >>> random = np.random.default_rng(0)
        >>> target = random.integers(0, 2, 200)
        >>> codes = random.normal(size=(200, 3)) + 2 * target[:, None]
        >>> found = probe_score(codes, target, task="classification")
        >>> round(found.score, 2), found.chance, found.p_value < 0.01
        (0.94, 0.5, True)
    """
    where = "probe_score"
    check_choice(where, "task", task, TASKS)
    check_choice(where, "probe", probe, PROBES)
    check_count(where, "folds", folds, low=2)
    check_count(where, "permutations", permutations, low=0)
    codes = np.asarray(codes, dtype=np.float64)
    if not np.isfinite(codes).all():
        raise DataError(f"{where}: the codes hold NaN or infinities.")
    judge = judge_of(task, np.asarray(target))
    group = np.arange(len(codes)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    random = np.random.default_rng(seed)
    orders = [np.arange(len(codes))]
    orders += [_permutation(judge.key, group, permute_within, random) for _ in range(permutations)]
    outputs = np.stack([judge.outputs[order] for order in orders], 1)
    predicted = _held_out(codes, outputs, judge, group, probe, folds, seed)
    scores = [judge.score(predicted[:, number], order) for number, order in enumerate(orders)]
    draws = random.multinomial(group.max() + 1, np.full(group.max() + 1, 1 / (group.max() + 1)), size=bootstraps)
    resampled = judge.resampled(predicted[:, 0], group, draws.astype(np.float64))
    low, high = np.nanquantile(resampled, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    beaten = sum(score >= scores[0] for score in scores[1:])
    # Orders under which the target stays as it is say nothing, however good the score.
    same = sum(bool((judge.key[order] == judge.key).all()) for order in orders[1:])
    return ProbeScore(
        probe,
        judge.metric,
        float(scores[0]),
        judge.chance,
        (float(low), float(high)),
        (1 + beaten) / (1 + permutations),
        (1 + same) / (1 + permutations),
    )


def split_folds(groups: NDArray[Any], folds: int, seed: int) -> list[NDArray[np.intp]]:
    """Return the test indices of each fold; groups stay together.

    Folds know nothing of the target: spread evenly over the true classes they would be uneven over permuted ones, and
    chance would look lower than it is.
    """
    count = len(np.unique(groups))
    if count < 2:
        raise DataError(f"probes: samples of at least 2 groups are needed to hold some out, got {count}.")
    selection: Any = require_extra("sklearn.model_selection", "eval")
    # Groups of one size are dealt in the order of their names, so these are drawn.
    names = np.random.default_rng(seed).permutation(groups.max() + 1)
    return [test for _, test in selection.GroupKFold(min(folds, count)).split(groups, groups=names[groups])]


def _held_out(
    codes: Floats, outputs: Floats, judge: Judge, group: NDArray[Any], probe: Probe, folds: int, seed: int
) -> Floats:
    """Predictions ``[N, 1 + permutations, K]`` of every sample by probes that were not fitted to its group."""
    predicted = np.zeros_like(outputs)
    for test in split_folds(group, folds, seed):
        train = np.setdiff1d(np.arange(len(codes)), test)
        features = feature_map(codes[train], probe, seed)
        x, y = features.transform(codes[train]), outputs[train]
        # One factorisation serves the true target and all permuted ones; the true one chooses the penalty.
        fitted = fit_ridge(x, y.reshape(len(y), -1), y[:, 0])
        answers = [
            fitted.predict(part).reshape(len(part), *y.shape[1:]) for part in (x, features.transform(codes[test]))
        ]
        predicted[test] = judge.decide(answers[0], y, answers[1])
    return predicted


def fit_ridge(x: Floats, y: Floats, chosen_by: Floats) -> Any:
    """Return the ridge regression of ``y``, with the penalty that is best for ``chosen_by``."""
    linear: Any = require_extra("sklearn.linear_model", "eval")
    return linear.Ridge(linear.RidgeCV(_PENALTIES).fit(x, chosen_by).alpha_).fit(x, y)


def feature_map(codes: Floats, probe: Probe, seed: int) -> Any:
    """Return the fitted transformation in front of the ridge regression."""
    scaler: Any = require_extra("sklearn.preprocessing", "eval").StandardScaler
    if probe == "linear":
        return scaler().fit(codes)
    scaled = scaler().fit_transform(codes)
    chosen = np.random.default_rng(seed).permutation(len(scaled))[:500]
    apart = np.linalg.norm(scaled[chosen[1:]] - scaled[chosen[:-1]], axis=1)
    median = float(np.median(apart)) if len(apart) else 0.0
    kernel = require_extra("sklearn.kernel_approximation", "eval").Nystroem(
        gamma=1 / (2 * median**2) if median > 0 else 1.0,
        n_components=min(_LANDMARKS, len(codes)),
        random_state=seed,
    )
    return require_extra("sklearn.pipeline", "eval").make_pipeline(scaler(), kernel, scaler()).fit(codes)


def _permutation(
    key: NDArray[Any], group: NDArray[Any], within: NDArray[Any] | None, random: np.random.Generator
) -> NDArray[np.intp]:
    """An order of the samples under which the target is exchanged."""
    size = group.max() + 1
    if within is None and len(group) == size:
        return np.asarray(random.permutation(size))
    if within is None and _constant_within(key, group):
        # Whole groups exchange their targets.
        representative = np.zeros(size, dtype=np.intp)
        representative[group] = np.arange(len(group))
        return np.asarray(representative[random.permutation(size)][group])
    block = group if within is None else np.unique(within, return_inverse=True)[1]
    order = np.empty(len(block), dtype=np.intp)
    order[np.lexsort((np.arange(len(block)), block))] = np.lexsort((random.random(len(block)), block))
    return order


def _constant_within(key: NDArray[Any], group: NDArray[Any]) -> bool:
    first = np.zeros((group.max() + 1, *key.shape[1:]), dtype=key.dtype)
    first[group] = key
    return bool((first[group] == key).all())
