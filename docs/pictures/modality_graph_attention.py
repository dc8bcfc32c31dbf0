"""Attention between three modalities: as printed, with self-loops, with one of them missing."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import modality_graph_attention


def draw(figure: Figure) -> None:
    names = ("text", "audio", "vision")
    nodes, weight, score = torch.randn(1, 3, 8), torch.randn(8, 8) / 2, torch.randn(16) / 2
    present = torch.tensor([[True, False, True]])
    panels = (
        ("three modalities", {}),
        ("self_loops=True", {"self_loops": True}),
        ("self_loops=True, no audio", {"self_loops": True, "present": present}),
    )
    for axes, (title, settings) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        attention = modality_graph_attention(nodes, weight, score, **settings).attention[0]
        axes.imshow(attention, cmap="Blues", vmin=0, vmax=1.4)
        for row in range(3):
            for column in range(3):
                axes.text(column, row, f"{attention[row, column]:.2f}", ha="center", va="center")
        axes.set(title=title, xlabel="source", xticks=range(3), yticks=range(3))
        axes.set_xticklabels(names)
        axes.set_yticklabels(names)
        axes.title.set_fontsize(9.5)
        axes.grid(visible=False)
    figure.axes[0].set_ylabel("target")
