"""Pictures of a leakage report, as SVG text."""

import io
import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mmdisentangle.evaluation.leakage_result import LeakageReport, ProbePair

_LINEAR, _NONLINEAR, _INPUT = "#9dc3e6", "#1f5f99", "#8c8c8c"
_PARTS = {"input": _INPUT, "shared": "#2a7f3f", "private": "#d9730d"}
# Inches: text of 10 points stays readable on a telephone.
_WIDTH = 5.2


def draw_probes(report: LeakageReport) -> str:
    """Bars of what can be read of modality and target, 0 being chance and 1 perfect, with 95 % intervals."""
    pairs = [pair for pair in report.probes if pair.question in ("modality", "target") and pair.source.modality is None]
    figure, axes = _figure(0.62 * len(pairs) + 1.2)
    for row, pair in enumerate(pairs):
        for offset, score, colour in ((-0.18, pair.linear, _LINEAR), (0.18, pair.nonlinear, _NONLINEAR)):
            low, high = (min(max(end, -1.0), 1.0) for end in score.normalized_interval)
            value = max(score.normalized, -1.0)
            axes.barh(row + offset, value, 0.34, color=colour)
            axes.plot([low, high], [row + offset] * 2, color="black", linewidth=1.2, solid_capstyle="butt")
    axes.set_yticks(range(len(pairs)), [_question(pair) for pair in pairs])
    axes.invert_yaxis()
    least = min([0.0, *(score.normalized_interval[0] for pair in pairs for score in (pair.linear, pair.nonlinear))])
    axes.set_xlim(max(least, -1.0) - 0.03, 1.03)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlabel("0: chance, 1: perfect")
    handles = [matplotlib.patches.Patch(color=colour) for colour in (_LINEAR, _NONLINEAR)]
    figure.legend(handles, ["linear probe", "nonlinear probe"], loc="outside upper right", ncols=2, frameon=False)
    return _svg(figure)


def draw_dependence(report: LeakageReport) -> str:
    """Heat map of the alignment of every two blocks of codes."""
    blocks = list(dict.fromkeys(str(health.block) for health in report.health))
    values = np.full((len(blocks), len(blocks)), math.nan)
    for pair in report.dependence:
        row, column = blocks.index(str(pair.first)), blocks.index(str(pair.second))
        values[row, column] = values[column, row] = pair.cka
    return _heat_map(values, blocks, blocks, "alignment (CKA)")


def draw_factors(report: LeakageReport) -> str | None:
    """Heat map of what is read of every known factor from every block; None where no factor is known."""
    pairs = [pair for pair in report.probes if pair.question not in ("modality", "target") and pair.source.modality]
    if not pairs:
        return None
    factors = list(dict.fromkeys(pair.question for pair in pairs))
    blocks = list(dict.fromkeys(str(pair.source) for pair in pairs))
    values = np.full((len(factors), len(blocks)), math.nan)
    for pair in pairs:
        values[factors.index(pair.question), blocks.index(str(pair.source))] = pair.best.normalized
    return _heat_map(values, factors, blocks, "0 chance, 1 perfect")


def draw_ranks(report: LeakageReport) -> str:
    """Bars of the effective rank of every block, as a share of its width."""
    figure, axes = _figure(0.34 * len(report.health) + 1.0)
    for row, health in enumerate(report.health):
        axes.barh(row, health.effective_rank / health.features, 0.6, color=_PARTS[health.block.part])
        told = "collapsed" if health.collapsed else f"{health.effective_rank:.1f} of {health.features}"
        axes.text(health.effective_rank / health.features + 0.01, row, told, va="center", fontsize=9)
    axes.set_yticks(range(len(report.health)), [str(health.block) for health in report.health])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2)
    axes.set_xlabel("effective rank, share of the width")
    return _svg(figure)


def draw_change(report: LeakageReport) -> str | None:
    """Bars of the change between neighbouring frames, of input and codes; None where codes have no frames."""
    parts = [part for part in _PARTS if report.change.get(part)]
    if "shared" not in parts:
        return None
    figure, axes = _figure(0.22 * len(parts) * len(report.modalities) + 1.2)
    for number, part in enumerate(parts):
        rows = np.arange(len(report.modalities)) + (number - (len(parts) - 1) / 2) * 0.26
        values = [report.change[part].get(modality, math.nan) for modality in report.modalities]
        axes.barh(rows, np.nan_to_num(values), 0.24, color=_PARTS[part], label=part)
    axes.set_yticks(range(len(report.modalities)), report.modalities)
    axes.invert_yaxis()
    axes.axvline(1, color="0.5", linestyle=":", linewidth=1.2)
    axes.set_xlabel("0: constant in time, 1: as different as any two frames")
    figure.legend(loc="outside upper right", ncols=len(parts), frameon=False)
    return _svg(figure)


def _question(pair: ProbePair) -> str:
    source = "both parts" if pair.source.part == "both" else f"{pair.source.part} codes"
    wanted = {("modality", "shared"): " (want 0)", ("modality", "private"): " (want 1)"}
    return f"{pair.question} from {source}{wanted.get((pair.question, pair.source.part), '')}"


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes: Axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _heat_map(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], label: str) -> str:
    figure, axes = _figure(0.46 * len(rows) + 1.6)
    image = axes.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        if math.isfinite(value):
            colour = "white" if value > 0.6 else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=9, color=colour)
    axes.set_xticks(range(len(columns)), columns, rotation=35, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label=label, shrink=0.9)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    # A fixed salt: the same report is the same file.
    with matplotlib.rc_context({"svg.hashsalt": "mmdisentangle", "font.size": 10}):
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = stream.getvalue()
    return text[text.index("<svg") :]
