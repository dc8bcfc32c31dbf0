"""
Smoothing the code of a noisy sensor
====================================

You will see the code of a noisy sensor become smooth as the weight of
:py:class:`~mmdisentangle.nn.TemporalInvariantLoss` rises, how far the decoded signal comes to the true one, and what
is lost when the weight is too large: first whatever is short.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from mmdisentangle.nn import TemporalInvariantLoss

BLUE, LIGHT, ORANGE, GREY = "#1f5f99", "#9dc3e6", "#d9822b", "#7a7a7a"
_ = torch.manual_seed(0)

# %%
# A sensor of six channels shows a slow state of two numbers, and events that last three frames. White noise in every
# channel is about as strong as both together. The clean signal is known here, and never used in training.


def record(count, length=120):
    time = torch.linspace(0, 1, length)
    swings = torch.randn(count, 2, 3, 2)
    angles = 2 * torch.pi * torch.arange(1, 4)[:, None] * time
    slow = (swings[..., :1] * angles.sin() + swings[..., 1:] * angles.cos()).sum(2).transpose(1, 2) / 3**0.5
    starts = (torch.rand(count, length, 1) < 0.03).float()
    events = sum(starts.roll(shift, 1) for shift in range(3)).clamp(max=1) * 3
    return torch.cat([slow, events], -1)


mixing = torch.linalg.qr(torch.randn(6, 3)).Q.T * 2**0.5
states = {"train": record(32), "test": record(16)}
clean = {split: state @ mixing for split, state in states.items()}
sensor = {split: x + torch.randn_like(x) for split, x in clean.items()}

# %%
# The encoder sees 17 frames at a time, so that it can average; an encoder of single frames could only leave channels
# out. The loss looks at the softmax of the code, and a code that shrinks lowers it without becoming any smoother, if
# the decoder is free to enlarge it again. Noise on the code makes shrinking cost something: here a fifth of the range
# of the sigmoid. The prediction of the decoder is then the best guess through that noise.


class Encoder(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv1d(6, 16, 9, padding=4), nn.GELU(), nn.Conv1d(16, 8, 9, padding=4), nn.Sigmoid())

    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


temporal = TemporalInvariantLoss()


def fit(weight):
    torch.manual_seed(1)
    encoder, decoder = Encoder(), nn.Linear(8, 6)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.01)
    for _ in range(200):
        code = encoder(sensor["train"])
        error = (decoder(code + 0.2 * torch.randn_like(code)) - sensor["train"]).square().mean()
        optimizer.zero_grad()
        (error + weight * temporal(code)).backward()
        optimizer.step()
    with torch.no_grad():
        code = encoder(sensor["test"])
        return code, decoder(code)


fitted = {weight: fit(weight) for weight in (0, 10, 30, 100, 300, 1000, 3000)}

# %%
# What each weight does to one recording. On the left the three features of the code that vary most, as deviations
# from their means; on the right one channel of the sensor, and what the decoder makes of the code.
shown = {"no temporal term": 0, "weight 300": 300, "weight 3000: too much": 3000}
figure, axes = plt.subplots(3, 2, figsize=(8.2, 6), sharex=True, sharey="col", layout="constrained")
channel = int(mixing[2].abs().argmax())
for (left, right), (name, weight) in zip(axes, shown.items(), strict=True):
    code, decoded = fitted[weight]
    most = code.var((0, 1)).topk(3).indices
    left.plot(code[3][:, most] - code[..., most].mean((0, 1)), linewidth=1.4)
    for line, colour in zip(left.lines, (BLUE, ORANGE, GREY), strict=True):
        line.set_color(colour)
    left.set_ylabel(name)
    right.plot(sensor["test"][3, :, channel], color=LIGHT, linewidth=1, label="sensor")
    right.plot(clean["test"][3, :, channel], color=GREY, linewidth=1.6, label="without its noise")
    right.plot(decoded[3, :, channel], color=ORANGE, linewidth=1.6, label="decoded")
axes[0, 0].set_title("code")
axes[0, 1].set_title("one channel")
figure.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
for each in axes[-1]:
    each.set_xlabel("frame")
plt.show()

# %%
# In numbers, on recordings that were not trained on: the loss; the relative step of the code (mean squared difference
# of neighbours over twice the variance: 0 is constant, 1 is white noise); the squared error against what the sensor
# wrote and against the clean signal; and the share of the variance of slow state and of events that the decoded
# signal explains.


def explained(guess, truth):
    return float(1 - (guess - truth).square().sum() / (truth - truth.mean((0, 1))).square().sum())


numbers = {}
for weight, (code, decoded) in fitted.items():
    guess = decoded @ mixing.pinverse()
    numbers[weight] = {
        "loss": float(temporal(code)),
        "step": float(code.diff(dim=1).square().mean() / (2 * code.var((0, 1)).mean())),
        "sensor": float((decoded - sensor["test"]).square().mean()),
        "clean": float((decoded - clean["test"]).square().mean()),
        "slow": explained(guess[..., :2], states["test"][..., :2]),
        "events": explained(guess[..., 2:], states["test"][..., 2:]),
    }
print("weight" + "".join(f"{name:>9}" for name in numbers[0]))
for weight, row in numbers.items():
    print(f"{weight:>6}{row['loss']:9.5f}" + "".join(f"{value:9.2f}" for value in list(row.values())[1:]))

figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.2), layout="constrained")
positions = range(len(numbers))
for axes, names in ((left, ("sensor", "clean")), (right, ("slow", "events"))):
    for name, colour, marker in zip(names, (BLUE, ORANGE), "os", strict=True):
        axes.plot(positions, [row[name] for row in numbers.values()], color=colour, marker=marker, label=name)
    axes.set_xticks(positions, list(numbers))
    axes.set_xlabel("weight of the temporal term")
    axes.legend(frameon=False)
left.set_title("squared error against ...")
right.set_title("explained share of ...")
plt.show()

# %%
# **To take away.** The error against the sensor only rises with the weight: judged by reconstruction alone the term
# does harm. The error against the clean signal falls, then rises: in between the code has left out noise rather than
# signal. Past that point the events go first, since a code that does not jump cannot show them, while the slow state
# survives. So choose the weight by what the code is for (a probe or the task), not by the two losses. And do not use
# the term where what matters happens within a frame or two. The loss falls by far more than the relative step does:
# compare steps, not losses, between codes of different scales.
