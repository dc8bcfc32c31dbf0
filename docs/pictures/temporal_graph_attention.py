"""Weights between nodes at uneven times, and between the frames of two rates."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import temporal_graph_attention


def weights(times: torch.Tensor, groups: torch.Tensor | None, **settings: float) -> torch.Tensor:
    """Attention from every node to every other: the result where the values are unit vectors."""
    count = times.shape[1]
    q, k = (torch.randn(1, 1, count, count) for _ in range(2))
    v = torch.eye(count)[None, None]
    return temporal_graph_attention(q, k, v, times, groups, max_neighbours=count, **settings)[0, 0]


def draw(figure: Figure) -> None:
    uneven = torch.cat((torch.arange(0, 2, 0.1), torch.arange(3.5, 5, 0.3), torch.arange(5, 6, 0.1))).unsqueeze(0)
    two = torch.cat((torch.arange(0, 2, 0.1), torch.arange(0, 2, 0.25)))
    order = two.argsort(stable=True)
    groups = (torch.arange(len(two)) >= 20).long()[order].unsqueeze(0)
    panels = (
        ("one group, a gap and two rates", weights(uneven, None, window=0.5)),
        ("two groups, cross_window=0.15", weights(two[order].unsqueeze(0), groups, window=0.5, cross_window=0.15)),
    )
    for axes, (title, attention) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.imshow(attention.sqrt(), cmap="Blues", vmin=0, vmax=0.9)
        axes.set(title=title, xlabel="source, in order of time")
        axes.title.set_fontsize(9.5)
        axes.grid(visible=False)
    figure.axes[0].set_ylabel("target")
