"""Draw the pictures of the components' pages: ``python docs/draw_pictures.py [stem ...]``, all without a stem.

``docs/pictures/<stem>.py`` has one function ``draw(figure)``, drawn into ``docs/components/pictures/<stem>.svg``.
A stem ``method_<name>`` is the diagram of a method: ``docs/methods/pictures/<name>.svg``.
"""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from cycler import cycler
from matplotlib import rc_context
from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parent
SCRIPTS = DOCS / "pictures"
SIZE = (6, 2.4)
# Readable by the colour-blind: blue, orange, light blue, grey.
COLOURS = ("#1f5f99", "#d9822b", "#9dc3e6", "#7a7a7a")
STYLE = {
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "path.simplify": True,
    "savefig.dpi": 150,
    "savefig.facecolor": "white",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


def target(stem: str) -> Path:
    """File of a stem's picture."""
    if stem.startswith("method_"):
        return DOCS / "methods" / "pictures" / f"{stem.removeprefix('method_')}.svg"
    return DOCS / "components" / "pictures" / f"{stem}.svg"


def draw(stem: str) -> Path:
    """Draw one picture; the same code gives the same file."""
    path = target(stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with rc_context({**STYLE, "svg.hashsalt": stem}):
        figure = Figure(figsize=SIZE)
        runpy.run_path(str(SCRIPTS / f"{stem}.py"))["draw"](figure)
        figure.savefig(path, metadata={"Date": None})
    return path


def main(stems: Sequence[str]) -> None:
    """Draw the pictures of these stems, or all."""
    for stem in stems or sorted(path.stem for path in SCRIPTS.glob("*.py")):
        path = draw(stem)
        print(f"{path.relative_to(DOCS)}  {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
