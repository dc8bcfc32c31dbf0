"""What pictures of scores have in common: panels, units, headings; drawn without a display or global state."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_TITLES = {"macro_f1": "macro F1", "mae": "mean absolute error", "pearson": "Pearson correlation"}
_UNITS = {"macro_f1": "F1, mean over classes", "micro_f1": "F1", "weighted_f1": "F1, mean over samples"}


def title_of(score: str) -> str:
    """Return the heading of a score."""
    return _TITLES.get(score, score)


def unit_of(score: str) -> str:
    """Return the label of a score's axis."""
    if score in _UNITS:
        return _UNITS[score]
    if not is_share(score):
        return "error in target units" if score.endswith("mae") else "correlation"
    return "F1, mean over samples" if "f1" in score else "share of samples"


def is_share(score: str) -> bool:
    """Whether the score lies in 0..1."""
    return not score.endswith(("mae", "corr", "pearson"))


def panel_grid(count: int, title: str, *, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` panels, so many in a row at most."""
    columns = min(max(count, 1), columns)
    rows = math.ceil(max(count, 1) / columns)
    figure = Figure(figsize=(max(4.4 * columns, 6.0), 3.3 * rows + 0.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontweight="bold")
    grid: Any = figure.subplots(rows, columns, squeeze=False)
    panels = list(grid.flat)
    for unused in panels[count:]:
        unused.remove()
    return figure, panels[:count]


def save_figure(figure: Figure, panels: Sequence[Axes], path: str | Path) -> None:
    """Finish the panels and write a PNG."""
    for axes in panels:
        axes.grid(alpha=0.25)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, framealpha=0.85)
    figure.savefig(Path(path))
