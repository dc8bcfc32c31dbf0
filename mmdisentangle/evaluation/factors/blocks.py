"""Which factors can be read from which part of a code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmdisentangle._core.checks import check_count
from mmdisentangle._core.errors import DataError, DtypeError, require_extra
from mmdisentangle.evaluation.factors._probes import folds_of, normalised_score, standardised
from mmdisentangle.evaluation.factors._samples import Array, check_rows, read_columns


@dataclass(frozen=True)
class BlockInformativeness:
    """How well each block of factors can be read from each block of codes, see `block_informativeness`.

    Args:
        codes: names of the blocks of codes, the rows.
        factors: names of the blocks of factors, the columns.
        scores: ``[codes, factors]``, 0 (chance) to 1 (ceiling).
    """

    codes: tuple[str, ...]
    factors: tuple[str, ...]
    scores: Array

    def score(self, codes: str, factors: str) -> float:
        """Return one entry by its names."""
        return float(self.scores[self.codes.index(codes), self.factors.index(factors)])


def block_informativeness(
    codes: Mapping[str, Any],
    factors: Mapping[str, Any],
    *,
    groups: Any = None,
    folds: int = 5,
) -> BlockInformativeness:
    """Return how well each block of factors can be read linearly from each block of codes.

    A ridge regression (its penalty chosen inside the training folds) or, for classes, a logistic regression, on
    standardised codes, judged on samples that were held out: the share of the variance explained or the balanced
    accuracy above chance, each at least 0, the mean over the factors of a block. Constant factors are left out.

    Args:
        codes: blocks ``[N, D_b]`` or ``[N]``, arrays or tensors.
        factors: blocks ``[N, K_b]`` or ``[N]``; those of an integer or boolean type are classes.
        groups: ``[N]`` names, persons for instance: nobody is in training and test folds at once.
        folds: of the cross-validation.

    Returns:
        The matrix; NaN for a block of constant factors.

    Raises:
        ShapeError, DtypeError, DataError: a block does not fit, is empty or has NaN; a class, or all groups, fewer
            than folds.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> speaker, topic = generator.integers(0, 3, 300), generator.normal(size=(300, 2))
        >>> private = np.eye(3)[speaker] + 0.1 * generator.normal(size=(300, 3))
        >>> found = block_informativeness({"shared": topic @ [[1, 1], [0, 1]], "private": private},
        ...                               {"speaker": speaker, "topic": topic})
        >>> bool(found.score("private", "speaker") > 0.99), bool(found.score("shared", "topic") > 0.99)
        (True, True)
        >>> bool(found.score("shared", "speaker") < 0.2)
        True
    """
    where = "block_informativeness"
    check_count(where, "folds", folds, low=2)
    code_blocks = _read(where, "codes", codes)
    factor_blocks = _read(where, "factors", factors)
    (name, (first, _)), *others = [*code_blocks.items(), *factor_blocks.items()]
    for other_name, (other, _) in others:
        check_rows(where, name, first, other_name, other)
    if groups is not None:
        groups = np.unique(np.asarray(groups), return_inverse=True)[1]
        check_rows(where, name, first, "groups", groups)
        if groups.max() + 1 < folds:
            raise DataError(
                f"{where}: groups must be at least as many as folds, got {int(groups.max()) + 1} groups and {folds} "
                "folds; pass fewer folds."
            )
    scores = np.array(
        [
            [
                _block_score(where, name, x, block, counts, groups, folds)
                for name, (block, counts) in factor_blocks.items()
            ]
            for x, _ in code_blocks.values()
        ]
    )
    return BlockInformativeness(tuple(codes), tuple(factors), scores)


def _read(where: str, argument: str, blocks: Mapping[str, Any]) -> dict[str, tuple[Array, bool]]:
    if not isinstance(blocks, Mapping):
        raise DtypeError(f"{where}: {argument} must map names to arrays, got {type(blocks).__name__}.")
    if not blocks:
        raise DataError(f"{where}: {argument} must have at least one block.")
    return {
        f"{argument}[{name!r}]": read_columns(where, f"{argument}[{name!r}]", block) for name, block in blocks.items()
    }


def _block_score(where: str, name: str, codes: Array, block: Array, counts: bool, groups: Any, folds: int) -> float:
    scores = []
    for index, column in enumerate(block.T):
        if column.min() == column.max():
            continue
        values, classes = column, None
        if counts:
            names, values = np.unique(column, return_inverse=True)
            classes = len(names)
        predicted = np.empty_like(values)
        for train, test in folds_of(where, f"column {index} of {name}", values, classes, groups, folds):
            x, x_test = standardised(codes[train], codes[test])
            predicted[test] = _answers(x, values[train], x_test, classes)
        scores.append(normalised_score(values, predicted, classes))
    return float(np.mean(scores)) if scores else float("nan")


def _answers(x: Array, y: Array, x_test: Array, classes: int | None) -> Array:
    linear_model: Any = require_extra("sklearn.linear_model", "eval")
    if classes is not None and len(np.unique(y)) < 2:
        return np.full(len(x_test), y[0])
    probe: Any
    if classes is None:
        probe = linear_model.RidgeCV(alphas=np.logspace(-3, 4, 8))
        size, location = np.abs(y).max() or 1.0, y.mean()
        answers = probe.fit(x, (y - location) / size).predict(x_test) * size + location
    else:
        probe = linear_model.LogisticRegression(class_weight="balanced", max_iter=1000)
        answers = probe.fit(x, y).predict(x_test)
    result: Array = answers
    return result
