"""
What the gate of TextDrivenFusion opens to
==========================================

You will see the gate of :py:class:`~mmdisentangle.nn.TextDrivenFusion` open where the shared codes of two modalities
agree, close where they have nothing to do with each other, and stay open for everything as soon as the task does not
mind. The gate is shown both codes; what it makes of their agreement, it learns from the task alone.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from mmdisentangle.nn import TextDrivenFusion

BLUE, ORANGE = "#1f5f99", "#d9822b"
WIDTH, FRAMES = 16, 6
_ = torch.manual_seed(0)
wanted = torch.randn(WIDTH) / WIDTH**0.5

# %%
# Codes as an encoder would give them. The shared codes of text and audio either agree, or the audio belongs to
# another scene, half of the samples each (``agreement`` is the correlation of the two, 1 or 0). The target is
# something the private code of the audio tells. In the first world it counts only where the audio belongs to the
# scene; in the second always.


def draw(count, trusting, agreement=None):
    if agreement is None:
        agreement = (torch.rand(count, 1, 1) < 0.5).float()
    scene, other = (torch.randn(count, 1, WIDTH) + torch.randn(count, FRAMES, WIDTH) / 2 for _ in range(2))
    shared = {"text": scene, "audio": agreement * scene + (1 - agreement**2) ** 0.5 * other}
    told = torch.randn(count, 1, WIDTH) + torch.randn(count, FRAMES, WIDTH) / 3
    private = {"text": torch.randn(count, FRAMES, WIDTH), "audio": told}
    target = (told @ wanted).mean(1, keepdim=True) * (1 if trusting else agreement[:, 0])
    return private, shared, target, agreement.flatten()


# %%
# Text asks, audio answers: ``X = LayerNorm(g A + q)``, with one gate g for every frame of the text. By default a
# frame of the text compares its shared code with what its own attention brings from the shared code of the audio.


def fit(gate, trusting):
    torch.manual_seed(1)
    fusion = TextDrivenFusion(
        ("text", "audio"), WIDTH, gate=gate, dropout=0, gate_dropout=0, block_dropout=0, position_scale=0.2
    )
    head = nn.Sequential(nn.Linear(WIDTH, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam([*fusion.parameters(), *head.parameters()], lr=0.003)
    for _ in range(300):
        private, shared, target, _ = draw(96, trusting)
        error = (head(fusion(private, shared).sequence.mean(1)) - target).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    private, shared, target, agreement = draw(1000, trusting)
    with torch.no_grad():
        output = fusion(private, shared)
        explained = 1 - (head(output.sequence.mean(1)) - target).square().mean() / target.var()
    gates = output.gates["audio"].mean(1)
    return fusion, float(explained), gates[agreement == 1], gates[agreement == 0]


SETTINGS = [("hard", False), ("soft", False), ("off", False), ("hard", True), ("soft", True)]
fitted = {setting: fit(*setting) for setting in SETTINGS}

# %%
# The mean of the gate over the frames of a sample, and what the model explains of the target. Without a gate
# (``gate="off"``) the model of the first world cannot see whether the audio belongs to the scene: nothing else in
# this layer reads shared codes.
numbers = {}
for (gate, trusting), (_, explained, agreeing, foreign) in fitted.items():
    means = float(agreeing.mean()), float(foreign.mean())
    numbers[gate, trusting] = (*means, explained)
    world = "always counts" if trusting else "counts where it agrees"
    print(f"{world:<23} {gate:<5} agreeing {means[0]:.2f}, of another scene {means[1]:.2f}, R^2 {explained:.2f}")

figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.4), sharey=True, layout="constrained")
for each, trusting in zip(axes, (False, True), strict=True):
    _, _, agreeing, foreign = fitted["hard", trusting]
    bins = torch.linspace(0, 1, FRAMES + 2) * (FRAMES + 1) / FRAMES - 0.5 / FRAMES
    each.hist([agreeing, foreign], bins, color=[BLUE, ORANGE], label=["audio agrees", "audio of another scene"])
    each.set_xlabel("share of the frames whose gate is open")
    each.set_title("audio always counts" if trusting else "audio counts where it agrees")
axes[0].set_ylabel("samples")
axes[0].legend(frameon=False)
plt.show()

# %%
# Training has shown correlations of 0 and 1 alone. The gate against all others: the soft one takes intermediate
# values itself; the hard one is 0 or 1 in every frame, and opens in more of them.
levels = torch.linspace(-1, 1, 11)
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
curves = {}
for gate, colour, marker in (("hard", BLUE, "o"), ("soft", ORANGE, "s")):
    fusion = fitted[gate, False][0]
    with torch.no_grad():
        curves[gate] = [
            float(fusion(*draw(300, False, level.expand(300, 1, 1))[:2]).gates["audio"].mean()) for level in levels
        ]
    axes.plot(levels, curves[gate], color=colour, marker=marker, label=f'gate="{gate}"')
axes.set_xlabel("correlation of the shared codes")
axes.set_ylabel("mean gate")
axes.legend(frameon=False)
plt.show()

# %%
# **To take away.** The gate is a learned answer to one question: does letting this modality in help the task, given
# how the two shared codes relate? Where disagreement makes a modality useless, the gate becomes a detector of
# disagreement and earns the difference between the rows "hard" and "off". Where the modality is useful either way,
# the gate stays open, and a closed gate would be a loss. So read gates as what the task wanted, not as a measurement
# of agreement; for that, compare the shared codes themselves. A soft gate that hovers about one half, as in the
# second world, is not undecided: a factor that is the same for all samples is made up for by the weights of the
# attention.
