"""Pictures of a run, drawn without a display and without matplotlib's global state."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mmdisentangle.evaluation.figures import is_share, panel_grid, save_figure, title_of, unit_of
from mmdisentangle.evaluation.scores import SCORE_NAMES

_TRAIN, _VALIDATION, _TEST = "#1f6fb4", "#d9730d", "#2a7f3f"
_COSTS = {"seconds_per_epoch": ("time of an epoch", "seconds"), "memory": ("memory at the peak", "MiB")}
_TITLES = {"total": "total", "task": "task loss"}
_UNITS = {
    "total": "weighted sum",
    "adversarial": "nats",
    "temporal": "nats",
    "reconstruction": "mean squared error",
    "similarity": "distance of moments",
}
_TASK_UNITS = {"classification": "nats", "multilabel": "nats", "regression": "mean squared error"}


def plot_loss_terms(
    history: Sequence[Mapping[str, float]], path: str | Path, *, title: str, task: str, selected: int | None = None
) -> None:
    """Draw every term of the objective over the epochs, training and validation.

    Args:
        history: one mapping per epoch with ``epoch``, ``train/<term>`` and perhaps ``val/<term>``.
        path: PNG file.
        title: heading.
        task: kind of target, which decides the unit of the task loss.
        selected: epoch whose weights were chosen.
    """
    terms = [name for name in _names(history) if name not in SCORE_NAMES]
    order = ["total", "task"]
    terms.sort(key=lambda name: (order.index(name) if name in order else len(order), name))
    figure, panels = panel_grid(len(terms), title)
    for axes, name in zip(panels, terms, strict=True):
        unit = _TASK_UNITS[task] if name == "task" else _UNITS.get(name, "value")
        _draw_curves(axes, history, name, unit)
        _mark_selected(axes, selected)
    save_figure(figure, panels, path)


def plot_scores(
    history: Sequence[Mapping[str, float]],
    path: str | Path,
    *,
    title: str,
    test: Mapping[str, float] | None = None,
    selected: int | None = None,
) -> None:
    """Draw every score over the epochs, and the score on the test data as a point at the chosen epoch."""
    scores = [name for name in _names(history) if name in SCORE_NAMES]
    figure, panels = panel_grid(len(scores), title)
    for axes, name in zip(panels, scores, strict=True):
        _draw_curves(axes, history, name, unit_of(name))
        _mark_selected(axes, selected)
        value = (test or {}).get(name, math.nan)
        if math.isfinite(value) and selected is not None:
            axes.plot(
                [selected], [value], "D", color=_TEST, markersize=8, zorder=4, clip_on=False, label=f"test: {value:.3f}"
            )
        if is_share(name):
            axes.set_ylim(-0.02, 1.05)
    save_figure(figure, panels, path)


def plot_seeds(scores: Mapping[int, Mapping[str, float]], path: str | Path, *, title: str) -> None:
    """Draw the test scores of several seeds, with mean and standard deviation.

    Args:
        scores: seed to its test scores.
        path: PNG file.
        title: heading.
    """
    names = list(next(iter(scores.values())))
    figure, panels = panel_grid(len(names), title)
    positions = list(range(len(scores)))
    for axes, name in zip(panels, names, strict=True):
        values = [scores[seed][name] for seed in scores]
        mean, deviation = mean_and_deviation(values)
        axes.plot(positions, values, "o", color=_TEST, markersize=8, zorder=3, clip_on=False, label="one seed")
        axes.axhline(mean, color="black", linewidth=1.2, label=f"mean {mean:.3f}")
        spread = f"± {deviation:.3f} (standard deviation)"
        axes.axhspan(mean - deviation, mean + deviation, color="black", alpha=0.12, linewidth=0, label=spread)
        axes.set_xticks(positions, [str(seed) for seed in scores])
        axes.set_xlabel("seed")
        axes.set_ylabel(unit_of(name))
        axes.set_title(f"test {title_of(name)}")
        axes.set_xlim(-0.5, len(positions) - 0.5)
        if is_share(name):
            axes.set_ylim(max(0.0, min([*values, mean - deviation]) - 0.1), 1.02)
    save_figure(figure, panels, path)


def plot_comparison(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
    costs: Mapping[str, Mapping[str, Sequence[float]]],
    constant: Mapping[str, float],
    path: str | Path,
    *,
    title: str,
) -> None:
    """Draw the test scores of several models, one point per seed, and what they cost.

    Args:
        scores: model, then score, to one value per seed.
        costs: model, then ``seconds_per_epoch`` and ``memory``, to one value per seed.
        constant: score of the best constant answer.
        path: PNG file.
        title: heading.
    """
    models, names = list(scores), list(next(iter(scores.values())))
    count = len(names) + len(_COSTS)
    figure, panels = panel_grid(count, title, columns=2 if count == 4 else 3)
    for axes, name in zip(panels, names, strict=False):
        _draw_models(axes, {model: scores[model][name] for model in models}, _TEST)
        if math.isfinite(constant[name]):
            axes.axhline(constant[name], color="0.5", linestyle=":", linewidth=1.4, label="best constant answer")
        axes.set_title(f"test {title_of(name)}")
        axes.set_ylabel(unit_of(name))
    for axes, (name, (heading, unit)) in zip(panels[len(names) :], _COSTS.items(), strict=True):
        _draw_models(axes, {model: costs[model][name] for model in models}, _TRAIN)
        known = [value for model in models for value in costs[model][name] if math.isfinite(value)]
        axes.set_ylim(0, 1.1 * max(known, default=1.0))
        axes.set_title(heading)
        axes.set_ylabel(unit)
    save_figure(figure, panels, path)


def _draw_models(axes: Axes, values: Mapping[str, Sequence[float]], colour: str) -> None:
    """One column per model: a point per seed, and beside them mean and standard deviation."""
    for position, found in enumerate(values.values()):
        known = [value for value in found if math.isfinite(value)]
        first = position == 0
        axes.plot(
            [position - 0.12] * len(known), known, "o", color=colour, alpha=0.55, label="one seed" if first else ""
        )
        if known:
            mean, deviation = mean_and_deviation(known)
            label = "mean ± standard deviation" if first else None
            axes.errorbar(
                position + 0.12, mean, deviation, fmt="D", color="black", capsize=4, markersize=5, label=label
            )
    axes.set_xticks(range(len(values)), list(values), rotation=20, ha="right")
    axes.set_xlim(-0.5, len(values) - 0.5)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation, which is 0 for a single value."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _names(history: Sequence[Mapping[str, float]]) -> list[str]:
    found: dict[str, None] = {}
    for row in history:
        for key in row:
            if key.startswith("train/"):
                found[key.removeprefix("train/")] = None
    return list(found)


def _draw_curves(axes: Axes, history: Sequence[Mapping[str, float]], name: str, unit: str) -> None:
    for stage, label, colour in (("train", "training", _TRAIN), ("val", "validation", _VALIDATION)):
        key = f"{stage}/{name}"
        points = [(row["epoch"], row[key]) for row in history if math.isfinite(row.get(key, math.nan))]
        if points:
            epochs, values = zip(*points, strict=True)
            # A single epoch is a point, not a line.
            axes.plot(
                epochs, values, color=colour, label=label, linewidth=1.6, marker="o" if len(points) == 1 else None
            )
    axes.set_title(_TITLES.get(name, title_of(name)))
    axes.set_xlabel("epoch")
    axes.set_ylabel(unit)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0.5, max(len(history), 1) + 0.5)


def _mark_selected(axes: Axes, selected: int | None) -> None:
    if selected is not None:
        axes.axvline(selected, color="0.45", linestyle="--", linewidth=1, label=f"chosen epoch {selected}")
