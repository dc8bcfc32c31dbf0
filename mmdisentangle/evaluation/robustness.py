"""How scores fall when modalities go missing or become noisy: a curve, as a table and a picture."""

import itertools
import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from mmdisentangle._core.checks import check_count, check_number
from mmdisentangle._core.errors import DataError, SettingError
from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.degradation import EVERY, AddNoise, DropModalities, Transform
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.evaluation.prediction import Predictions, predict

DROP_RATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
NOISE_LEVELS = (0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Point:
    """Scores at one level of one kind of damage.

    Args:
        kind: ``"drop"`` or ``"noise"``.
        modality: the modality concerned; ``"*"`` for all of them, each by itself.
        level: probability that the modality is missing; standard deviation of the noise in units of the (standardised)
            inputs.
        missing: share of the samples' modalities that really were missing, in the mean.
        mean: score name to its mean over the draws.
        standard_deviation: the same for the standard deviation over the draws, with n - 1; 0 where nothing was drawn.
        draws: number of random draws.
    """

    kind: Literal["drop", "noise"]
    modality: str
    level: float
    missing: float
    mean: dict[str, float]
    standard_deviation: dict[str, float]
    draws: int


@dataclass(frozen=True)
class RobustnessCurve:
    """Every point of the curves of one model on one data set.

    Args:
        points: in the order kind, modality, level.
        constant: scores of the best constant answer on the same samples: what is left when a model knows nothing.
        samples: number of samples.
    """

    points: tuple[Point, ...]
    constant: dict[str, float]
    samples: int

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores."""
        return tuple(self.points[0].mean)

    def curve(self, kind: str, modality: str) -> list[Point]:
        """Return the points of one curve, by rising level."""
        return [point for point in self.points if (point.kind, point.modality) == (kind, modality)]

    def curves(self) -> list[tuple[str, str]]:
        """Return kind and modality of every curve."""
        return list(dict.fromkeys((point.kind, point.modality) for point in self.points))

    def area(self, kind: str, modality: str, score: str) -> float:
        """Return the mean score over the range of levels: the area under the curve over its width."""
        points = self.curve(kind, modality)
        width = points[-1].level - points[0].level
        if width == 0:
            return points[0].mean[score]
        steps = itertools.pairwise(points)
        return sum((b.level - a.level) * (a.mean[score] + b.mean[score]) / 2 for a, b in steps) / width

    def to_markdown(self) -> str:
        """Return one table per kind and score: a row per modality, a column per level, and the mean over the levels."""
        parts = []
        for kind, heading in (("drop", "probability that it is missing"), ("noise", "noise, in deviations")):
            modalities = [modality for found, modality in self.curves() if found == kind]
            for score in self.scores if modalities else ():
                levels = [point.level for point in self.curve(kind, modalities[0])]
                head = " | ".join(f"{level:g}" for level in levels)
                parts += [
                    f"### {score} against {heading}\n",
                    f"| modality | {head} | mean over levels |",
                    "|---" * (len(levels) + 2) + "|",
                    *(self._row(kind, modality, score) for modality in modalities),
                    f"\nThe best constant answer: {_text(self.constant[score])}.\n",
                ]
        return "\n".join(parts)

    def write(self, directory: str | Path, *, title: str = "robustness") -> None:
        """Write ``robustness.json``, ``robustness.md`` and ``robustness.png``."""
        from mmdisentangle.evaluation.robustness_figure import plot_robustness

        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        areas = [
            {"kind": kind, "modality": modality, "mean": {s: _json(self.area(kind, modality, s)) for s in self.scores}}
            for kind, modality in self.curves()
        ]
        content = {**_json(asdict(self)), "mean_over_levels": areas}
        (folder / "robustness.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (folder / "robustness.md").write_text(f"## {title}\n\n{self.to_markdown()}", encoding="utf-8")
        plot_robustness(self, folder / "robustness.png", title=title)

    def _row(self, kind: str, modality: str, score: str) -> str:
        cells = [
            _text(point.mean[score])
            + (f" ± {point.standard_deviation[score]:.3f}" if point.draws > 1 and point.level else "")
            for point in self.curve(kind, modality)
        ]
        return f"| {label_of(modality)} | {' | '.join(cells)} | {_text(self.area(kind, modality, score))} |"


def robustness_curve(
    model: nn.Module,
    dataset: MultimodalDataset,
    *,
    standardizer: Standardizer | None = None,
    drop_rates: Sequence[float] = DROP_RATES,
    noise_levels: Sequence[float] = NOISE_LEVELS,
    repeats: int = 3,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> RobustnessCurve:
    """Score a model on samples that lack modalities, or have noisy ones: each modality alone, then all together.

    The draws are paired: a modality that is missing at some rate is missing at every higher one, noise of a higher
    level is the same noise, only louder, and every model sees the same damage. Of all modalities together, one always
    stays: the last point of that curve is a model with a single random modality.

    Args:
        model: as `predict` takes it.
        dataset: samples as they were recorded; none is changed.
        standardizer: the one fitted in training.
        drop_rates: probabilities, rising; empty for no such curves.
        noise_levels: standard deviations in units of the standardised inputs, rising; empty for no such curves.
        repeats: random draws of each point.
        metrics: names of scores, see `TaskScores`.
        seed: of the draws.
        batch_size: samples at a time.
        device: where to compute.
        progress: called with the number of evaluations done and of all.

    Returns:
        The curves.

    Raises:
        DataError: no sample, or one without a target.
        SettingError: levels that do not rise or are out of range; a model that ignores masks, for which nothing can be
            missing.

    Example:
        >>> from mmdisentangle import create_model
        >>> from mmdisentangle.data import load_dataset
        >>> data = load_dataset("basic-motions", "test").subset(range(8))
        >>> model = create_model("rtil", modalities=data.modalities, num_outputs=4, task="classification",
        ...                      hidden_features=8)
        >>> curve = robustness_curve(model, data, drop_rates=(0, 1), noise_levels=(), repeats=1)
        >>> curve.curves()
        [('drop', 'accelerometer'), ('drop', 'gyroscope'), ('drop', '*')]
    """
    where = "robustness_curve"
    check_count(where, "repeats", repeats)
    for argument, levels, high in (("drop_rates", drop_rates, 1.0), ("noise_levels", noise_levels, math.inf)):
        for level in levels:
            check_number(where, argument, level, low=0, high=high)
        if list(levels) != sorted(set(levels)):
            raise SettingError(f"{where}: {argument} must rise, got {list(levels)}.")
    if not drop_rates and not noise_levels:
        raise SettingError(f"{where}: give drop_rates or noise_levels; both are empty.")
    if not getattr(getattr(model, "settings", None), "honour_masks", True):
        raise SettingError(
            f"{where}: the model has honour_masks=False (part of published=True): it takes padding for data, so no "
            "modality can be missing."
        )
    if not len(dataset) or any(sample.target is None for sample in dataset):
        raise DataError(f"{where}: data set {dataset.name!r} has no sample, or one without a target.")
    standard = dataset if standardizer is None else standardizer.apply(dataset)
    plans = list(_plans(tuple(dataset.modalities), drop_rates, noise_levels, repeats))
    total, done = sum(draws for *_, draws in plans), 0
    found: dict[Any, tuple[dict[str, float], float]] = {}
    points = []
    for kind, modality, level, draws in plans:
        scored = []
        for draw in range(draws):
            # Undamaged samples are scored once.
            key = (kind, modality, level, draw) if level else None
            if key not in found:
                damaged = _damaged(standard, kind, modality, level, seed, draw)
                predictions = predict(model, damaged, batch_size=batch_size, device=device)
                found[key] = predictions.scores(metrics), _missing(damaged)
            scored.append(found[key])
            done += 1
            if progress is not None:
                progress(done, total)
        names = scored[0][0]
        columns = {name: [values[name] for values, _ in scored] for name in names}
        points.append(
            Point(
                kind,
                modality,
                float(level),
                statistics.fmean(missing for _, missing in scored),
                {name: statistics.fmean(column) for name, column in columns.items()},
                {name: statistics.stdev(column) if draws > 1 else 0.0 for name, column in columns.items()},
                draws,
            )
        )
    return RobustnessCurve(tuple(points), constant_scores(dataset, metrics), len(dataset))


def constant_scores(dataset: MultimodalDataset, metrics: Sequence[str] | None = None) -> dict[str, float]:
    """Return the scores of the best constant answer: most frequent class, labels of the majority, median target."""
    targets = dataset.targets
    if dataset.task == "classification":
        answer = torch.nn.functional.one_hot(targets.mode().values, dataset.num_outputs).float()
    elif dataset.task == "multilabel":
        answer = targets.reshape(len(targets), -1).mean(0) - 0.5
    else:
        answer = targets.reshape(len(targets), -1).median(0).values
    answers = answer.expand(len(targets), dataset.num_outputs)
    ids = tuple(sample.id for sample in dataset)
    return Predictions(answers, targets, ids, dataset.task, dataset.class_names).scores(metrics)


def label_of(modality: str) -> str:
    """Return what a table or a legend calls a modality."""
    return "every modality" if modality == EVERY else modality


def _plans(
    modalities: tuple[str, ...], drop_rates: Sequence[float], noise_levels: Sequence[float], repeats: int
) -> Iterator[tuple[Literal["drop", "noise"], str, float, int]]:
    kinds: dict[Literal["drop", "noise"], Sequence[float]] = {"drop": drop_rates, "noise": noise_levels}
    for kind, levels in kinds.items():
        for modality in (*modalities, EVERY):
            for level in levels:
                # Whether a modality is missing at a rate of 0 or 1 is no matter of chance; which one stays is.
                certain = level == 0 or (kind == "drop" and level == 1 and modality != EVERY)
                yield kind, modality, level, 1 if certain else repeats


def _damaged(
    dataset: MultimodalDataset, kind: str, modality: str, level: float, seed: int, draw: int
) -> MultimodalDataset:
    if not level:
        return dataset
    transform: Transform = DropModalities({modality: level}) if kind == "drop" else AddNoise({modality: level})

    def damage(index: int, sample: MultimodalSample) -> MultimodalSample:
        # Of its own for every sample: the same draws whatever the level, so that curves are paired.
        state = np.random.SeedSequence([seed, draw, index]).generate_state(1, np.uint64)[0]
        return transform(sample, torch.Generator().manual_seed(int(state >> np.uint64(1))))

    return dataset.with_samples([damage(index, sample) for index, sample in enumerate(dataset)])


def _missing(dataset: MultimodalDataset) -> float:
    here = sum(len(x) > 0 for sample in dataset for x in sample.inputs.values())
    return 1 - here / (len(dataset) * len(dataset.modalities))


def _text(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
