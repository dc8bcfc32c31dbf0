"""Boxes and arrows, for the diagrams of methods under ``docs/pictures/method_*.py``; coordinates are inches."""

import itertools
from collections.abc import Sequence

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

BLUE, ORANGE, GREY = "#1f5f99", "#d9822b", "#7a7a7a"
FILL = {"layer": ("#e3eef8", BLUE), "loss": ("#fcebda", ORANGE), "tensor": ("white", GREY)}
Point = tuple[float, float]


class Diagram:
    """A figure of boxes and arrows.

    Args:
        figure: to draw on.
        width: in inches.
        height: in inches.
    """

    def __init__(self, figure: Figure, width: float, height: float) -> None:
        # Words as words, not as outlines: a third of the bytes, and they can be searched.
        rcParams["svg.fonttype"] = "none"
        figure.set_size_inches(width, height)
        figure.set_layout_engine("none")
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.axis("off")

    def box(self, centre: Point, size: Point, title: str, text: str = "", kind: str = "layer") -> None:
        """A box whose title is the name of a class, in bold, with a line or two below it."""
        (x, y), (width, height) = centre, size
        face, edge = FILL[kind]
        style = "round,pad=0,rounding_size=0.06"
        corner = (x - width / 2, y - height / 2)
        self.axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, fc=face, ec=edge, lw=1.2))
        lines = text.split("\n") if text else []
        top = y + 0.085 * len(lines)
        self.axes.text(x, top, title, ha="center", va="center", weight="bold" if kind != "tensor" else None, size=9)
        for number, line in enumerate(lines, 1):
            self.axes.text(x, top - 0.17 * number, line, ha="center", va="center", size=9)

    def frame(self, centre: Point, size: Point, text: str) -> None:
        """A dashed frame around what is there once per modality."""
        (x, y), (width, height) = centre, size
        corner = (x - width / 2, y - height / 2)
        style = "round,pad=0,rounding_size=0.1"
        self.axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, fc="none", ec=GREY, lw=1, ls="--"))
        self.axes.text(x + width / 2 - 0.08, y + height / 2 - 0.13, text, ha="right", va="center", color=GREY, size=9)

    def arrow(self, *points: Point, colour: str = BLUE, style: str = "-") -> None:
        """An arrow along the points."""
        for start, end in itertools.pairwise(points[:-1]):
            self.axes.plot(*zip(start, end, strict=True), color=colour, lw=1.3, ls=style, solid_capstyle="round")
        shape = {"arrowstyle": "-|>", "color": colour, "lw": 1.3, "ls": style, "shrinkA": 0, "shrinkB": 0}
        self.axes.annotate("", points[-1], points[-2], arrowprops=shape)

    def label(self, point: Point, text: str, *, align: str = "left", colour: str = "black") -> None:
        """Words beside an arrow."""
        x, y = point
        lines = text.split("\n")
        for number, line in enumerate(lines):
            height = y + 0.17 * ((len(lines) - 1) / 2 - number)
            self.axes.text(x, height, line, ha=align, va="center", size=9, color=colour)

    def terms(self, x: float, width: float, boxes: Sequence[tuple[float, str, str]], source: Point) -> None:
        """The losses on one side, fed from a point by one orange line."""
        left = x - width / 2
        rail = left - 0.17
        heights = [y for y, _, _ in boxes]
        self.axes.plot((rail, rail), (min(*heights, source[1]), max(*heights, source[1])), color=ORANGE, lw=1.3)
        self.axes.plot((source[0], rail), (source[1], source[1]), color=ORANGE, lw=1.3)
        for y, title, text in boxes:
            self.arrow((rail, y), (left, y), colour=ORANGE)
            self.box((x, y), (width, 0.4 + 0.17 * (text.count("\n") + 1)), title, text, "loss")
