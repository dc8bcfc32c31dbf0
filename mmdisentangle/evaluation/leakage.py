"""Did it disentangle? What can be read from shared and from private codes, beside what chance would give."""

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from mmdisentangle._core.checks import check_count
from mmdisentangle._core.errors import DtypeError, SettingError, ShapeError, require_extra
from mmdisentangle.data.batch import MultimodalBatch
from mmdisentangle.data.dataset import MultimodalDataset, Task
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.evaluation._judges import Floats, judge_of
from mmdisentangle.evaluation.codes import PARTS, Codes, as_numbers, codes_of_tensors, collect_codes
from mmdisentangle.evaluation.leakage_result import (
    Block,
    CodeHealth,
    Dependence,
    LeakageReport,
    PartUse,
    ProbePair,
)
from mmdisentangle.evaluation.part_use import use_by_model
from mmdisentangle.evaluation.permutation import independence_test
from mmdisentangle.evaluation.probes import feature_map, fit_ridge, probe_score, split_folds
from mmdisentangle.functional import cka, distance_correlation

_EXCHANGES = 10
# Directions of each block that canonical correlation looks at.
_DIRECTIONS = 10
# Samples of a permutation test of dependence, whose time grows with their square.
_TESTED = 800


def leakage(
    shared: Mapping[str, Any] | nn.Module,
    private: Mapping[str, Any] | MultimodalDataset | Iterable[MultimodalBatch],
    *,
    targets: ArrayLike | Tensor | None = None,
    task: Task | None = None,
    groups: Sequence[Any] | None = None,
    masks: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    factors: Mapping[str, ArrayLike | Tensor] | None = None,
    standardizer: Standardizer | None = None,
    folds: int = 5,
    permutations: int = 200,
    max_samples: int = 3000,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> LeakageReport:
    """Judge shared and private codes: of plain tensors, or of a trained model over data.

    A linear and a nonlinear probe, fitted and judged on different samples (and persons), read the modality and the
    target from each part. Their scores are set beside chance, with a 95 % interval over groups and a permutation
    p-value. The report also holds the dependence between the blocks of codes, what each part is worth to the task, the
    health of the codes, and how much they change in time.

    Args:
        shared: modality name to codes ``[N, D]`` or ``[N, T, D]`` (averaged over real frames); or a trained model.
        private: the same for private codes; or, with a model, a data set or batches (that can be read twice).
        targets: ``[N]`` class indices, or ``[N]`` or ``[N, K]`` numbers; with a model, those of the data.
        task: ``"classification"``, ``"regression"`` or ``"multilabel"``; where None, the data set's, and for plain
            tensors classification if the targets are integers.
        groups: ``[N]``, for instance persons: probes are judged on groups that they were not fitted to.
        masks: modality name to ``[N]`` or ``[N, T]``, True = real, for plain tensors.
        inputs: modality name to ``[N, T, d]``, for plain tensors: their changes in time are compared with the codes'.
        factors: name to ``[N]`` or ``[N, K]``: known factors to look for in every block of codes.
        standardizer: the one fitted in training, for a model with a data set.
        folds: parts of the cross-validation.
        permutations: of each permutation test.
        max_samples: judge at most so many samples, drawn at random.
        seed: of every draw.
        progress: called with a word on what is being done.

    Returns:
        The numbers; `verdicts` puts them into words, `write_report` makes a page of them.

    Raises:
        ModalityError, ShapeError, DataError, SettingError: an argument does not fit.

    Example:
        >>> random = np.random.default_rng(0)
        >>> content = random.normal(size=(200, 4))
        >>> shared = {name: content + 0.1 * random.normal(size=(200, 4)) for name in ("text", "audio")}
        >>> private = {name: number + random.normal(size=(200, 4)) for number, name in ((0, "text"), (9, "audio"))}
        >>> found = leakage(shared, private, targets=content[:, 0], permutations=20)
        >>> abs(found.modality_leakage) < 0.2, found.modality_in_private
        (True, 1.0)
        >>> found.probe("target", "shared").best.score > 0.95, found.probe("target", "private").best.score < 0.1
        (True, True)
    """
    where = "leakage"
    check_count(where, "folds", folds, low=2)
    check_count(where, "max_samples", max_samples, low=4)
    check_count(where, "permutations", permutations, low=0)
    check_count(where, "seed", seed, low=0)
    use: tuple[PartUse, ...] | None = None
    if isinstance(shared, nn.Module):
        if targets is not None or masks is not None or inputs is not None:
            raise SettingError(f"{where}: targets, masks and inputs come with the data of a model; leave them out.")
        if isinstance(private, (Mapping, Iterator)):
            raise DtypeError(
                f"{where}: with a model, the second argument must be a data set, or batches of one that can be read "
                f"several times, got {type(private).__name__}."
            )
        codes = collect_codes(shared, private, standardizer=standardizer, task=task, groups=groups)
        if codes.targets is not None:
            use = use_by_model(shared, private, standardizer=standardizer, task=codes.task, draws=_EXCHANGES, seed=seed)
    else:
        if not isinstance(private, Mapping):
            raise DtypeError(f"{where}: private must be a mapping like shared, got {type(private).__name__}.")
        if standardizer is not None:
            raise SettingError(f"{where}: standardizer goes with a model and a data set; leave it out.")
        values = None if targets is None else as_numbers("targets", targets)
        kind: Task = task or ("classification" if values is not None and values.dtype.kind in "iub" else "regression")
        codes = codes_of_tensors(shared, private, masks=masks, inputs=inputs, targets=values, task=kind, groups=groups)
    judgement = _Judgement(
        codes, dict(factors or {}), folds, permutations, max_samples, seed, progress or (lambda _: None)
    )
    return judgement.report(use)


class _Judgement:
    """The codes of the chosen samples, and every question asked of them."""

    def __init__(
        self,
        codes: Codes,
        factors: dict[str, Any],
        folds: int,
        permutations: int,
        max_samples: int,
        seed: int,
        progress: Callable[[str], None],
    ) -> None:
        count = len(next(iter(codes.present.values())))
        chosen = np.arange(count)
        if count > max_samples:
            chosen = np.sort(np.random.default_rng(seed).permutation(count)[:max_samples])
        self.codes = codes
        self.names = codes.modalities
        self.blocks = {Block(part, m): codes.part(part)[m][chosen] for part in PARTS for m in self.names}
        self.present = {m: codes.present[m][chosen] for m in self.names}
        self.joined = {part: codes.joined(part)[chosen] for part in PARTS}
        self.joined["both"] = np.concatenate([self.joined[part] for part in PARTS], 1)
        self.targets = None if codes.targets is None else np.asarray(codes.targets)[chosen]
        groups = np.arange(count) if codes.groups is None else codes.groups
        self.groups = np.unique(groups[chosen], return_inverse=True)[1]
        self.factors = {}
        for name, values in factors.items():
            if name in ("modality", "target"):
                raise SettingError(f"leakage: factors must not be called {name!r}, which is a question of its own.")
            known = as_numbers(f"factors[{name!r}]", values)
            if len(known) != count:
                raise ShapeError(f"leakage: factors[{name!r}] must have one row a sample, {count}, got {len(known)}.")
            self.factors[name] = known[chosen]
        self.options = {"folds": folds, "permutations": permutations, "seed": seed}
        self.seed, self.progress = seed, progress

    def report(self, use: tuple[PartUse, ...] | None) -> LeakageReport:
        """Ask everything."""
        self.progress("probes of the modality")
        probes = [pair for part in PARTS if (pair := self._modality(part)) is not None]
        if self.targets is not None:
            self.progress("probes of the target")
            probes += [self._target(Block(source)) for source in ("shared", "private", "both")]
        for name in self.factors:
            self.progress(f"probes of {name}")
            probes += self._factor(name)
        self.progress("dependence")
        dependence = tuple(self._dependence())
        if use is None:
            use = () if self.targets is None else self._use()
        return LeakageReport(
            modalities=self.names,
            samples=len(self.groups),
            groups=int(self.groups.max()) + 1,
            task=None if self.targets is None else self.codes.task,
            probes=tuple(probes),
            dependence=dependence,
            health=tuple(self._health(block) for block in self.blocks),
            use=use,
            change=self.codes.change,
        )

    def _here(self, block: Block) -> NDArray[np.bool_]:
        """Which samples have the codes of a block."""
        assert block.modality is not None
        return self.present[block.modality]

    def _modality(self, part: str) -> ProbePair | None:
        """Every code of the part is a row, its modality the class; the codes of a sample stay together."""
        widths = [self.blocks[Block(part, m)].shape[1] for m in self.names]
        rows, labels, samples = [], [], []
        for number, m in enumerate(self.names):
            here = np.flatnonzero(self.present[m])
            # Codes of unequal widths are told apart by that alone.
            rows.append(np.pad(self.blocks[Block(part, m)][here], ((0, 0), (0, max(widths) - widths[number]))))
            labels.append(np.full(len(here), number))
            samples.append(here)
        label, sample = np.concatenate(labels), np.concatenate(samples)
        if len(np.unique(label)) < 2 or len(np.unique(self.groups[sample])) < 2:
            return None
        return self._pair(
            "modality",
            Block(part),
            np.concatenate(rows),
            label,
            "classification",
            self.groups[sample],
            permute_within=sample,
        )

    def _target(self, source: Block) -> ProbePair:
        assert self.targets is not None
        return self._pair("target", source, self.joined[source.part], self.targets, self.codes.task, self.groups)

    def _factor(self, name: str) -> list[ProbePair]:
        values = self.factors[name]
        task: Task = "classification" if values.dtype.kind in "iub" else "regression"
        found = []
        everyone = np.ones(len(values), dtype=bool)
        asked = [*((block, codes, self._here(block)) for block, codes in self.blocks.items())]
        for block, codes, here in [*asked, (Block("shared"), self.joined["shared"], everyone)]:
            # Where a modality is present the factor may be constant: there is nothing to be told then.
            if here.any() and (values[here] != values[here][0]).any() and len(np.unique(self.groups[here])) > 1:
                found.append(self._pair(name, block, codes[here], values[here], task, self.groups[here]))
        return found

    def _pair(
        self,
        question: str,
        source: Block,
        codes: Floats,
        target: NDArray[Any],
        task: Task,
        groups: NDArray[Any],
        **more: Any,
    ) -> ProbePair:
        linear, nonlinear = (
            probe_score(codes, target, task=task, groups=groups, probe=probe, **self.options, **more)  # type: ignore[arg-type]
            for probe in ("linear", "nonlinear")
        )
        return ProbePair(question, source, linear, nonlinear)

    def _dependence(self) -> Iterable[Dependence]:
        for first, second in itertools.combinations(self.blocks, 2):
            yield self._between(first, second)

    def _between(self, first: Block, second: Block) -> Dependence:
        both = self._here(first) & self._here(second)
        x, y = self.blocks[first][both], self.blocks[second][both]
        if len(x) < 8 or not (_varies(x) and _varies(y)):
            return Dependence(first, second, len(x), math.nan, math.nan, math.nan, math.nan, math.nan)
        a, b = torch.from_numpy(x), torch.from_numpy(y)
        return Dependence(
            first,
            second,
            len(x),
            float(cka(a, b, unbiased=True)),
            float(distance_correlation(a, b, unbiased=True)),
            self._canonical(x, y),
            *self._independence(x, y, self.groups[both]),
        )

    def _independence(self, x: Floats, y: Floats, groups: NDArray[Any]) -> tuple[float, float]:
        """Return the p-value of HSIC and the smallest one there could have been; groups change places as a whole."""
        order = np.random.default_rng(self.seed).permutation(len(x))
        group = np.unique(groups[order], return_inverse=True)[1]
        sizes = np.bincount(group)
        # As many samples of each group, so that all of them can change places.
        each = int(min(sizes.min(), max(_TESTED // len(sizes), 1)))
        rank = np.argsort(np.argsort(group, kind="stable")) - np.concatenate([[0], sizes.cumsum()[:-1]])[group]
        chosen = np.flatnonzero(rank < each)[:_TESTED]
        if len(sizes) < 4:
            return math.nan, 1.0
        count = max(self.options["permutations"], 1)
        found = independence_test(
            x[order][chosen],
            y[order][chosen],
            permutations=count,
            seed=self.seed,
            groups=None if each == 1 else group[chosen],
        )
        return found.p_value, max(1 / (1 + count), 1 / math.factorial(min(len(sizes), 20)))

    def _canonical(self, x: Floats, y: Floats) -> float:
        decomposition: Any = require_extra("sklearn.decomposition", "eval")
        cross: Any = require_extra("sklearn.cross_decomposition", "eval")
        half = np.random.default_rng(self.seed).permutation(len(x)) < len(x) // 2
        reduced = []
        for codes in (x, y):
            count = min(_DIRECTIONS, codes.shape[1], int(half.sum()) // 4)
            if count < 1:
                return math.nan
            reduced.append(decomposition.PCA(count, random_state=self.seed).fit(codes[half]).transform(codes))
        with warnings.catch_warnings():
            # It says so where a direction of one side has no more variance; the others are found all the same.
            warnings.simplefilter("ignore")
            found = cross.CCA(1, max_iter=1000).fit(reduced[0][half], reduced[1][half])
            a, b = found.transform(reduced[0][~half], reduced[1][~half])
        if not (_varies(a) and _varies(b)):
            return math.nan
        return float(np.corrcoef(a[:, 0], b[:, 0])[0, 1])

    def _health(self, block: Block) -> CodeHealth:
        codes = self.blocks[block][self._here(block)]
        features = codes.shape[1]
        if not len(codes):
            return CodeHealth(block, features, features, 0.0, 0.0)
        centred = codes - codes.mean(0)
        # Codes come from float32: what is no more than its rounding is constant.
        rounding = np.finfo(np.float32).eps * np.abs(codes).max(0)
        constant = int((np.abs(centred).max(0) <= rounding).sum())
        length = float(np.sqrt((codes**2).sum(1).mean()))
        deviation = float(np.sqrt((centred**2).sum(1).mean())) / length if length > 0 else 0.0
        values = np.linalg.svd(centred, compute_uv=False)
        if constant == features or values.sum() == 0:
            return CodeHealth(block, features, constant, deviation, 0.0)
        shares = values / values.sum()
        shares = shares[shares > 0]
        return CodeHealth(block, features, constant, deviation, float(np.exp(-(shares * np.log(shares)).sum())))

    def _use(self) -> tuple[PartUse, ...]:
        """By a linear probe on both parts, whose codes of one part are then exchanged between held-out samples."""
        assert self.targets is not None
        judge = judge_of(self.codes.task, self.targets)
        random = np.random.default_rng(self.seed)
        x, own = self.joined["both"], np.arange(len(self.targets))
        width = self.joined["shared"].shape[1]
        columns = {"shared": slice(0, width), "private": slice(width, None)}
        predicted = np.zeros_like(judge.outputs)
        exchanged = {part: np.zeros((_EXCHANGES, *predicted.shape)) for part in PARTS}
        for test in split_folds(self.groups, self.options["folds"], self.seed):
            train = np.setdiff1d(own, test)
            features = feature_map(x[train], "linear", self.seed)
            inputs, outputs = features.transform(x[train]), judge.outputs[train]
            fitted = fit_ridge(inputs, outputs, outputs)
            held_out = features.transform(x[test])
            known = _answers(fitted, inputs)

            def answer(codes: Floats, known: Floats = known, outputs: Floats = outputs, fitted: Any = fitted) -> Floats:
                return judge.decide(known, outputs[:, None], _answers(fitted, codes))[:, 0]

            predicted[test] = answer(held_out)
            everyone = features.transform(x)
            for part, draw in itertools.product(PARTS, range(_EXCHANGES)):
                changed = held_out.copy()
                donors = random.permutation(len(own))[: len(test)]
                changed[:, columns[part]] = everyone[donors, columns[part]]
                exchanged[part][draw, test] = answer(changed)
        score = judge.score(predicted, own)
        found = []
        for part in PARTS:
            scores = [judge.score(exchanged[part][draw], own) for draw in range(_EXCHANGES)]
            found.append(
                PartUse(
                    part,
                    judge.metric,
                    score,
                    float(np.mean(scores)),
                    float(np.std(scores, ddof=1)),
                    _EXCHANGES,
                    judge.chance,
                    "probe",
                )
            )
        return tuple(found)


def _answers(fitted: Any, codes: Floats) -> Floats:
    """What one regression predicts, ``[n, 1, K]``."""
    return np.asarray(fitted.predict(codes)).reshape(len(codes), 1, -1)


def _varies(codes: Floats) -> bool:
    return bool((np.abs(codes - codes.mean(0)) > np.finfo(np.float32).eps * np.abs(codes).max(0)).any())
