"""
A graph of frames of unequal rates
==================================

You will see three recordings of different rates on one axis of time, and the edges along which
:py:class:`~mmdisentangle.nn.DecoupledGraphFusion` lets their frames attend to each other: which frames are near
enough, what a narrower window between modalities changes, and how a limit on neighbours that is set too low cuts
edges in silence.
"""

import matplotlib.pyplot as plt
import torch

from mmdisentangle.functional import temporal_graph_attention
from mmdisentangle.nn import DecoupledGraphFusion

COLOURS = {"eeg": "#1f5f99", "video": "#d9822b", "text": "#7a7a7a"}
NAMES = tuple(COLOURS)
_ = torch.manual_seed(0)

# %%
# Three seconds: EEG at 16 frames a second, video at 5 with a gap, and words that come when they are spoken. No stream
# is resampled and none is aligned; what counts is the time of each frame in seconds.
times = {
    "eeg": torch.arange(48) / 16,
    "video": torch.cat([torch.arange(5) / 5, 1.8 + torch.arange(6) / 5]),
    "text": torch.tensor([0.15, 0.5, 0.95, 1.9, 2.2, 2.75]),
}
codes = {name: torch.rand(1, len(time), 8) for name, time in times.items()}
stamps = {name: time.unsqueeze(0) for name, time in times.items()}


def frame_graph(**settings):
    """The edges of the agnostic graph, one node type for all frames: sources, targets, times, modalities."""
    fusion = DecoupledGraphFusion(NAMES, 8, level="frame", num_heads=1, **settings)
    graph = fusion.to_pyg(codes, codes, timestamps=stamps).agnostic
    edges = graph["frame", "to", "frame"].edge_index
    return edges[:, edges[0] != edges[1]], graph["frame"].time, graph["frame"].modality


# %%
# Below, all edges are thin and those into one frame of the video are marked. With a single window of 0.3 s every
# frame sees what lies within 0.3 s on either side, in whatever stream. With ``cross_window=0.1`` other modalities
# have to be nearer. ``max_neighbours=4`` allows no frame that is more than four places away in the order of time over
# all streams; where the EEG is dense that is far less than the window.
SETTINGS = {
    "window 0.3 s": {"window": 0.3, "max_neighbours": 40},
    "window 0.3 s, 0.1 s between modalities": {"window": 0.3, "cross_window": 0.1, "max_neighbours": 40},
    "window 0.3 s, but max_neighbours = 4": {"window": 0.3, "max_neighbours": 4},
}
graphs = {title: frame_graph(**settings) for title, settings in SETTINGS.items()}

figure, axes = plt.subplots(3, 1, figsize=(8.2, 7.2), sharex=True, layout="constrained")
for each, (title, (edges, time, modality)) in zip(axes, graphs.items(), strict=True):
    height = -modality.float()
    asked = int(((modality == 1) * -(time - 2.0).abs() + (modality != 1) * -9).argmax())
    for source, target in edges.T.tolist():
        marked = target == asked
        bend = 0.25 if height[source] == height[target] else 0
        place = [(float(time[node]), float(height[node])) for node in (target, source)]
        line = {"color": COLOURS["video"] if marked else "#c8c8c8", "linewidth": 1.8 if marked else 0.4}
        style = {"arrowstyle": "-", "connectionstyle": f"arc3,rad={bend}", "shrinkA": 0, "shrinkB": 0}
        each.annotate("", *place, arrowprops=style | line, zorder=2 if marked else 1)
    for number, name in enumerate(NAMES):
        own = modality == number
        each.scatter(time[own], height[own], s=26, color=COLOURS[name], zorder=3)
    each.scatter(time[asked], height[asked], s=130, facecolor="none", edgecolor="black", linewidth=1.6, zorder=4)
    each.set_yticks(range(0, -3, -1), NAMES)
    each.set_ylim(-2.5, 0.5)
    each.set_title(f"{title}: {len(edges.T)} edges, {int((edges[1] == asked).sum())} into the marked frame")
    each.spines[["top", "right"]].set_visible(False)
axes[-1].set_xlabel("seconds")
plt.show()

# %%
# The number of neighbours by modality. Set ``max_neighbours`` to the largest number of frames, of all streams
# together, that a window holds to one side: it then cuts nothing, and cost and memory are proportional to it.
numbers = {}
for title, (edges, time, modality) in graphs.items():
    counts = torch.bincount(edges[1], minlength=len(time)).float()
    numbers[title] = {name: float(counts[modality == number].mean()) for number, name in enumerate(NAMES)}
    print(f"{title:<40}" + "".join(f"  {name} {mean:4.1f}" for name, mean in numbers[title].items()))

moments = torch.cat(list(times.values())).double().sort().values
needed = max(int((moments[place + 1 :] <= moment + 0.3).sum()) for place, moment in enumerate(moments))
assert frame_graph(window=0.3, max_neighbours=needed)[0].shape == graphs["window 0.3 s"][0].shape
print(f"max_neighbours must be at least {needed} for a window of 0.3 s in this recording")

# %%
# The same edges without a module. :py:func:`~mmdisentangle.functional.temporal_graph_attention` takes the frames in
# the order of time. Here equal scores make the attention the mean over the neighbours, so that it counts them: the
# share of each frame's neighbours that are EEG.
_, time, modality = graphs["window 0.3 s"]
flat = torch.zeros(1, 1, len(time), 1)
is_eeg = (modality == 0).float().reshape(1, 1, -1, 1)
share = temporal_graph_attention(
    flat, flat, is_eeg, time[None], modality[None], window=0.3, max_neighbours=40
).flatten()
for number, name in enumerate(NAMES):
    print(f"{name}: on average {float(share[modality == number].mean()):.0%} of the neighbours are EEG")

# %%
# **To take away.** Edges come from time alone, so streams of any rate need no resampling, a gap leaves frames without
# edges across it, and the cost grows with the number of frames instead of its square. Two things need care. A fast
# stream is the majority among everyone's neighbours: where it should not drown the slow ones, give it a narrower
# window or pool it first. And ``max_neighbours`` counts places, not seconds: count what a window holds, as above,
# before you set it. Where moments far apart matter to each other, this is the wrong layer.
