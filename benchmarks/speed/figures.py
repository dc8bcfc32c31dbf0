"""Plots of time, peak memory and throughput against the length, one figure a case."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.speed.case import LIBRARY

# One colour a provider in all figures, distinguishable without colour vision; the library is the darkest.
_COLOURS = {
    LIBRARY: "#0b3c5d",
    "library, masked": "#328cc1",
    "library, compiled": "#1d9a6c",
    "library, fused": "#7b2d8b",
}
_OTHERS = ("#d9a441", "#c14953", "#8a8a8a", "#5f4bb6")
_MARKERS = {LIBRARY: "o", "library, masked": "s", "library, compiled": "^", "library, fused": "D"}


def draw(case: str, rows: list[dict[str, Any]], path: Path) -> None:
    """Write one figure as SVG."""
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    axes = figure.subplots(1, 3)
    names = list(dict.fromkeys(row["provider"] for row in rows))
    others = dict(zip([name for name in names if name not in _COLOURS], _OTHERS, strict=False))
    for name in names:
        own = [row for row in rows if row["provider"] == name]
        lengths = [row["length"] for row in own]
        style = {
            "color": _COLOURS.get(name, others.get(name, "#444444")),
            "marker": _MARKERS.get(name, "v"),
            "linestyle": "-" if name == LIBRARY else "--",
            "markersize": 4,
            "label": name,
        }
        both = [row["seconds"]["both"] for row in own]
        axes[0].plot(lengths, [entry["median"] for entry in both], **style)
        axes[0].fill_between(
            lengths,
            [entry["min"] for entry in both],
            [entry["max"] for entry in both],
            color=style["color"],
            alpha=0.15,
        )
        axes[1].plot(lengths, [max(row["peak_bytes"], 1) / 1e6 for row in own], **style)
        axes[2].plot(lengths, [row["frames_per_second"] for row in own], **style)
    first = rows[0]
    titles = ("seconds, forward + backward", "peak memory, MB", f"{first['axis']} per second")
    for axis, title in zip(axes, titles, strict=True):
        _dress(axis, title, "samples" if first["axis"] == "samples" else "frames T")
    axes[0].legend(fontsize=7, frameon=False)
    figure.suptitle(
        f"{case.replace('_', ' ')} (B = {first['batch']}, D = {first['features']}, {first['dtype']})", fontsize=10
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # No date and no drawn names inside: the file changes with the numbers alone.
    with matplotlib.rc_context({"svg.hashsalt": "mmdisentangle"}):
        figure.savefig(path, metadata={"Date": None})


def _dress(axis: Axes, title: str, label: str) -> None:
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(label, fontsize=8)
    axis.tick_params(which="both", labelsize=7)
    axis.grid(alpha=0.25, which="major")
    axis.spines[["top", "right"]].set_visible(False)
