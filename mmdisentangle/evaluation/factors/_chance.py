"""What chance alone reaches, by permuting the factors, and how much scores vary, by half-samples."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mmdisentangle.evaluation.factors._samples import Array, Rows

# Reads the codes of some samples and the factors of as many, and returns how much each code says about each factor.
Measure: TypeAlias = Callable[[Rows, Rows], Array]
# Named scores from what was measured, and what was measured with permuted factors (one more axis in front).
Summary: TypeAlias = Callable[[Array, Array], Mapping[str, float]]

_DEVIATIONS = 4.0


def permuted(measure: Measure, rows: Rows, count: int, generator: np.random.Generator) -> Array:
    """Measure with the factors of the samples in random order, ``count`` times."""
    return np.stack([measure(rows, generator.permutation(rows)) for _ in range(count)])


def above_chance(found: Array, null: Array, *, ceiling: float | None = 1.0, pooled: bool = False) -> Array:
    """Take off what chance reaches.

    An entry no larger than the chance level plus four standard deviations, on the scale of square roots (where sums of
    squares of noise are nearly normal), is 0. From the others the chance level is subtracted, and the rest rescaled
    so that the ceiling stays where it is.

    Args:
        found: ``[D, K]``, non-negative.
        null: ``[P, D, K]``, the same with permuted factors.
        ceiling: the value of a code that says everything; None: nothing is rescaled.
        pooled: all codes have the same chance, as in one fit on all of them.
    """
    null = np.maximum(null, 0.0)
    # Constant codes reach nothing by chance, and must not lower what others may.
    live = np.broadcast_to(null.max((0, 2), keepdims=True) > 0, null.shape)
    of_all = _limit(np.sqrt(null), live, (0, 1))
    # Few permutations tell the deviation of a single code badly: it must stand out from those of all codes, too.
    limit = of_all if pooled else np.maximum(_limit(np.sqrt(null), live, (0,)), of_all)
    level = np.broadcast_to(_mean(null, live, (0, 1) if pooled else (0,)), found.shape)
    # A constant code reaches nothing, neither by chance nor otherwise; rounding must not make it something.
    real = np.sqrt(np.maximum(found, 0.0)) > limit + 1e3 * np.finfo(np.float64).eps
    rest = found - level
    if ceiling is not None:
        rest = rest / np.where(level < ceiling, 1.0 - level / ceiling, 1.0)
    return np.where(real, np.clip(rest, 0.0, ceiling), 0.0)


def _limit(roots: Array, live: npt.NDArray[np.bool_], axes: tuple[int, ...]) -> Array:
    mean = _mean(roots, live, axes)
    result: Array = mean + _DEVIATIONS * np.sqrt(_mean((roots - mean) ** 2, live, axes))
    return result


def _mean(values: Array, live: npt.NDArray[np.bool_], axes: tuple[int, ...]) -> Array:
    result: Array = np.where(live, values, 0.0).sum(axes) / np.maximum(live.sum(axes), 1)
    return result


def chance_of(summary: Summary, found: Array, null: Array) -> dict[str, tuple[float, float]]:
    """Return, for each score, its mean under permuted factors and the p-value of the score that was found.

    Each permutation is judged by the others as the data are judged by all.
    """
    scores = summary(found, null)
    drawn = [summary(null[index], np.delete(null, index, 0)) for index in range(len(null))]
    result = {}
    for name, value in scores.items():
        values = np.array([draw[name] for draw in drawn])
        known = values[~np.isnan(values)]
        if np.isnan(value) or not len(known):
            result[name] = (float("nan"), float("nan"))
        else:
            p_value = (1 + np.count_nonzero(known >= value)) / (1 + len(known))
            result[name] = (float(known.mean()), float(p_value))
    return result


def half_samples(
    measure: Measure, summary: Summary, count: int, resamples: int, permutations: int, generator: np.random.Generator
) -> dict[str, float]:
    """Return the standard error of each score, from its spread over random halves of the samples.

    A bootstrap without replacement: with it, the same sample would stand in training and test folds at once, and
    repeated values would feign information. The spread over halves is that of the whole, since the halves overlap.
    """
    rows = np.arange(count)
    null = permuted(measure, generator.permutation(rows)[: count // 2], permutations, generator)
    drawn = []
    for _ in range(resamples):
        half = generator.permutation(rows)[: count // 2]
        drawn.append(summary(measure(half, half), null))
    return {name: float(np.std([draw[name] for draw in drawn], ddof=1)) for name in drawn[0]}


def mean_of_known(values: Array) -> float:
    """Return the mean of what is not NaN; NaN where all is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
