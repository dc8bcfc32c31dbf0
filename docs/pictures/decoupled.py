"""Edges into one frame of each rate, and the attention between whole modalities of which one is missing."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import DecoupledGraphFusion


def draw(figure: Figure) -> None:
    line, table = figure.subplots(1, 2, width_ratios=(2.6, 1))
    rates = {"camera": 30, "imu": 100}
    fusion = DecoupledGraphFusion(tuple(rates), 8, level="frame", window=0.12, cross_window=0.05, max_neighbours=40)
    codes = {name: torch.randn(1, rate // 2, 8) for name, rate in rates.items()}
    times = {name: (torch.arange(rate // 2) / rate).unsqueeze(0) for name, rate in rates.items()}
    graph = fusion.to_pyg(codes, codes, timestamps=times).agnostic
    source, target = graph["frame", "to", "frame"].edge_index
    moment, level = graph["frame"].time, 1 - graph["frame"].modality
    camera = int(((level == 1) & (moment > 0.13)).nonzero()[0])
    imu = int(((level == 0) & (moment > 0.345)).nonzero()[0])
    for chosen, colour in ((camera, "#1f5f99"), (imu, "#d9822b")):
        for start in source[target == chosen].tolist():
            bend = 0.25 if level[start] == level[chosen] else 0
            style = {"arrowstyle": "->", "color": colour, "lw": 0.9, "connectionstyle": f"arc3,rad={-bend}"}
            line.annotate("", (moment[chosen], level[chosen]), (moment[start], level[start]), arrowprops=style)
    line.scatter(moment, level, s=9, color="#7a7a7a", zorder=3)
    line.scatter(moment[[camera, imu]], level[[camera, imu]], s=45, color=["#1f5f99", "#d9822b"], zorder=4)
    line.set(xlabel="seconds", yticks=(0, 1), ylim=(-0.75, 1.75), xlim=(-0.02, 0.52))
    line.set_yticklabels(("imu", "camera"))
    line.set_title("frames: edges into two of them", fontsize=9.5)
    line.grid(visible=False)

    names = ("text", "audio", "vision")
    small = DecoupledGraphFusion(names, 8)
    whole = {name: 3 * torch.randn(1, 8) for name in names}
    weights = small.attention(whole, whole, present={"audio": torch.tensor([False])}).exclusive[0].detach()
    table.imshow(weights, cmap="Blues", vmin=0, vmax=1.6)
    for row in range(3):
        for column in range(3):
            table.text(column, row, f"{weights[row, column]:.1f}", ha="center", va="center")
    table.set(xticks=range(3), yticks=range(3), xlabel="from")
    table.set_xticklabels(names)
    table.set_yticklabels(names)
    table.set_title("modalities, no audio", fontsize=9.5)
    table.grid(visible=False)
