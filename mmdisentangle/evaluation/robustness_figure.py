"""The picture of a robustness curve."""

import math
from pathlib import Path

from matplotlib.axes import Axes

from mmdisentangle.data.degradation import EVERY
from mmdisentangle.evaluation.figures import is_share, panel_grid, save_figure, title_of, unit_of
from mmdisentangle.evaluation.robustness_result import RobustnessCurve, label_of

_COLOURS = ("#1f6fb4", "#d9730d", "#2a7f3f", "#8a4fa3", "#b03a48", "#6b6b6b")
_AXES = {"drop": "probability that it is missing", "noise": "noise, in deviations of the data"}
_SHOWN = 3


def plot_robustness(curve: RobustnessCurve, path: str | Path, *, title: str) -> None:
    """Draw the first three scores against drop rate and noise, one line per modality and one for all of them.

    Args:
        curve: what `robustness_curve` returned.
        path: PNG file.
        title: heading.
    """
    kinds = list(dict.fromkeys(kind for kind, _ in curve.curves()))
    scores = curve.scores[:_SHOWN]
    panels = [(kind, score) for kind in kinds for score in scores]
    figure, axes = panel_grid(len(panels), title, columns=len(scores))
    for each, (kind, score) in zip(axes, panels, strict=True):
        _draw(each, curve, kind, score)
    save_figure(figure, axes, path)


def _draw(axes: Axes, curve: RobustnessCurve, kind: str, score: str) -> None:
    modalities = [modality for found, modality in curve.curves() if found == kind]
    for index, modality in enumerate(modalities):
        points = [point for point in curve.curve(kind, modality) if math.isfinite(point.mean[score])]
        levels = [point.level for point in points]
        means = [point.mean[score] for point in points]
        spread = [point.standard_deviation[score] for point in points]
        colour = "black" if modality == EVERY else _COLOURS[index % len(_COLOURS)]
        style = "--" if modality == EVERY else "-"
        axes.plot(levels, means, style, color=colour, marker="o", markersize=4, linewidth=1.6, label=label_of(modality))
        low = [mean - deviation for mean, deviation in zip(means, spread, strict=True)]
        high = [mean + deviation for mean, deviation in zip(means, spread, strict=True)]
        if is_share(score):
            low, high = [max(value, 0.0) for value in low], [min(value, 1.0) for value in high]
        axes.fill_between(levels, low, high, color=colour, alpha=0.12, linewidth=0)
    if math.isfinite(curve.constant[score]):
        axes.axhline(curve.constant[score], color="0.5", linestyle=":", linewidth=1.4, label="best constant answer")
    axes.set_title(title_of(score))
    axes.set_xlabel(_AXES[kind])
    axes.set_ylabel(unit_of(score))
    if is_share(score):
        axes.set_ylim(-0.02, 1.05)
