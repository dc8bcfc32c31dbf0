"""How scores fall when modalities go missing or become noisy."""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_count, check_number
from mmdisentangle._core.errors import DataError, SettingError
from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.degradation import EVERY, AddNoise, DropModalities, Transform
from mmdisentangle.data.lazy import LazySamples
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.evaluation.constant import constant_scores
from mmdisentangle.evaluation.prediction import predict
from mmdisentangle.evaluation.robustness_result import RobustnessCurve, RobustnessPoint

DROP_RATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
NOISE_LEVELS = (0.0, 0.5, 1.0, 2.0)


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
    if not len(dataset) or dataset.find_without_target() is not None:
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
            RobustnessPoint(
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


class _Damaged(LazySamples):
    """The samples of a data set, damaged whenever they are read, always in the same way."""

    def __init__(self, dataset: MultimodalDataset, transform: Transform, seed: int, draw: int) -> None:
        self.dataset, self.transform, self.seed, self.draw = dataset, transform, seed, draw

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, index: int) -> MultimodalSample:
        # Of its own for every sample: the same draws whatever the level, so that curves are paired.
        state = np.random.SeedSequence([self.seed, self.draw, index]).generate_state(1, np.uint64)[0]
        return self.transform(self.dataset[index], torch.Generator().manual_seed(int(state >> np.uint64(1))))

    def targets(self) -> Tensor:
        return self.dataset.targets

    def ids(self) -> tuple[str, ...]:
        return self.dataset.ids

    def digest(self) -> None:
        return None


def _damaged(
    dataset: MultimodalDataset, kind: str, modality: str, level: float, seed: int, draw: int
) -> MultimodalDataset:
    if not level:
        return dataset
    transform: Transform = DropModalities({modality: level}) if kind == "drop" else AddNoise({modality: level})
    return dataset.with_samples(_Damaged(dataset, transform, seed, draw))


def _missing(dataset: MultimodalDataset) -> float:
    here = sum(len(x) > 0 for sample in dataset for x in sample.inputs.values())
    return 1 - here / (len(dataset) * len(dataset.modalities))
