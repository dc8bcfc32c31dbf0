"""A code with quiet frames, noise, an offset common to all features and a jump; what each pair of neighbours costs."""

import math

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import temporal_invariance


def draw(figure: Figure) -> None:
    """Draw the code, and below each other the divergences of its neighbours."""
    code = torch.tensor([2.0, 0.0, -1.0]).repeat(60, 1)
    code[12:25] += torch.randn(13, 3)
    code[34:45] += 3.0
    code[52:] = torch.tensor([-1.0, 2.0, 2.5])
    left, right = figure.subplots(1, 2)
    for feature, colour in zip(code.T, ("#1f5f99", "#d9822b", "#7a7a7a"), strict=True):
        left.plot(feature, color=colour)
    left.set(xlabel="frame", title="code of three features", ylim=(-4, 8))
    for start, text in ((18, "noise"), (39, "offset"), (52, "jump")):
        left.text(start, 6.6, text, ha="center")
    for divergence, label, colour in (("js", "js", "#1f5f99"), ("total_variation", "total_variation", "#d9822b")):
        pairs = temporal_invariance(code[None], divergence=divergence, reduction="none")[0]
        right.plot(torch.arange(1, 60), pairs, color=colour, label=label)
    right.axhline(math.log(2), color="#7a7a7a", linestyle=":")
    right.text(0, math.log(2) + 0.02, "log 2", color="#7a7a7a")
    right.set(xlabel="frame", title="cost of each pair of neighbours", ylim=(-0.03, 1.15))
    right.legend(loc="upper center", bbox_to_anchor=(0.62, 1.0))
