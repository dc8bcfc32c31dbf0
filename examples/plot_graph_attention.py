"""
Attention between modalities, drawn as a graph
==============================================

You will see the graph along which :py:class:`~mmdisentangle.nn.DecoupledGraphFusion` passes messages between four
modalities, its edges as wide as their attention: by day, by night when the camera is blind, and where a modality is
missing. The weights come from the codes of each sample, so the same trained layer draws different graphs.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from mmdisentangle.nn import DecoupledGraphFusion

BLUE, ORANGE = "#1f5f99", "#d9822b"
NAMES = ("camera", "lidar", "radar", "sound")
WIDTH = 8
_ = torch.manual_seed(0)
wanted = torch.randn(WIDTH) / WIDTH**0.5

# %%
# One code per modality and sample. Every modality sees the same content, with noise; the camera is the best by day,
# and by night it shows nothing but noise. One feature of its code says how bright it is.
NOISE = {"camera": 0.3, "lidar": 0.7, "radar": 1.0, "sound": 1.5}


def draw(count, night=None):
    night = torch.rand(count, 1) < 0.5 if night is None else torch.full((count, 1), night)
    content = torch.randn(count, WIDTH)
    codes = {name: content + NOISE[name] * torch.randn(count, WIDTH) for name in NAMES}
    codes["camera"] = torch.where(night, 2 * torch.randn(count, WIDTH), codes["camera"])
    light = {name: torch.zeros(count, 1) for name in NAMES} | {"camera": torch.where(night, -1.0, 1.0)}
    kind = torch.eye(len(NAMES)).unsqueeze(1).expand(-1, count, -1)
    codes = {name: torch.cat([x, light[name], kind[i]], 1) for i, (name, x) in enumerate(codes.items())}
    return codes, content @ wanted


# %%
# The layer has one graph for exclusive codes and one for agnostic codes; here both are given the same codes. A little
# dropping of modalities in training shows it samples that lack some.
fusion = DecoupledGraphFusion(NAMES, WIDTH + 1 + len(NAMES), 16, readout="mean")
head = nn.Linear(fusion.out_features, 1)
optimizer = torch.optim.Adam([*fusion.parameters(), *head.parameters()], lr=0.01)
for _ in range(500):
    codes, target = draw(256)
    present = {name: torch.rand(256) > 0.1 for name in NAMES}
    error = (head(fusion(codes, codes, present=present).fused).squeeze(-1) - target).square().mean()
    optimizer.zero_grad()
    error.backward()
    optimizer.step()

# %%
# The attention of the first graph by day and by night, and by day without lidar, each the mean of 500 samples. A node
# takes what its incoming arrows bring; an arrow is as wide as its weight, and the weights of the arrows into a node
# add up to 1. The own code of a node takes part in the weights alone.
PLACES = {"camera": (0, 1), "lidar": (1, 0), "radar": (0, -1), "sound": (-1, 0)}
SCENES = {"day": (False, None), "night": (True, None), "day, no lidar": (False, "lidar")}


def draw_graph(axes, weights, absent):
    for target, row in zip(NAMES, weights.tolist(), strict=True):
        for source, weight in zip(NAMES, row, strict=True):
            if weight > 0.02:
                style = {"arrowstyle": f"-|>,head_width={2 + 3 * weight},head_length={4 + 4 * weight}"}
                style |= {"connectionstyle": "arc3,rad=0.18", "shrinkA": 24, "shrinkB": 24, "color": BLUE}
                style |= {"linewidth": 0.5 + 5 * weight, "alpha": 0.25 + 0.75 * weight, "mutation_scale": 1}
                axes.annotate("", PLACES[target], PLACES[source], arrowprops=style)
    for name, place in PLACES.items():
        colour = "#dddddd" if name == absent else ORANGE
        axes.scatter(*place, s=2300, color=colour, zorder=2)
        axes.text(*place, name, ha="center", va="center", fontsize=10, zorder=3)
    axes.set(xlim=(-1.45, 1.45), ylim=(-1.4, 1.4), aspect="equal")
    axes.axis("off")


figure, axes = plt.subplots(1, 3, figsize=(8.2, 3.1), layout="constrained")
numbers = {}
for each, (title, (night, absent)) in zip(axes, SCENES.items(), strict=True):
    codes, target = draw(500, night)
    present = {name: torch.full((500,), name != absent) for name in NAMES}
    with torch.no_grad():
        weights = fusion.attention(codes, codes, present=present).exclusive.mean(0)
        guess = head(fusion(codes, codes, present=present).fused).squeeze(-1)
    explained = float(1 - (guess - target).square().mean() / target.var())
    numbers[title] = weights, explained
    draw_graph(each, weights, absent)
    each.set_title(f"{title} ($R^2$ {explained:.2f})")
plt.show()

# %%
# The same weights as tables: the row of a node holds what it takes from the node of each column.
for title, (weights, _) in numbers.items():
    print(f"{title:<14}" + "".join(f"{name:>8}" for name in NAMES))
    for name, row in zip(NAMES, weights.tolist(), strict=True):
        print(f"{name:>13} " + "".join(f"{weight:8.2f}" for weight in row))

# %%
# For torch_geometric: :py:meth:`~mmdisentangle.nn.DecoupledGraphFusion.to_pyg` gives the same graphs with their
# weights, a node type for each modality in the first.
codes, _ = draw(2, night=False)
graph = fusion.to_pyg(codes, codes).exclusive
print(graph["camera", "to", "lidar"])

# %%
# **To take away.** By day everyone listens to the camera, by night no longer, and the weight goes to the lidar. A
# missing modality has no arrows, and the others share what it had. The score of an edge is the sum of a term of its
# target and one of its source, put through a GELU: which source is good is learned, but how target and source go
# together hardly is, which is why the rows of a table look so much alike. With two modalities every weight is 1
# (without self-loops), and the layer is a sum. And attention says where messages came from, not what the prediction
# needed: take a modality away, as on the right, and look at the score.
