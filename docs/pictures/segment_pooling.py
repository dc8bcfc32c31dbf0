"""Frames of sound, pooled to the words that they are spoken with."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import pool_segments


def draw(figure: Figure) -> None:
    time = torch.arange(60) / 20
    loudness = (0.6 + 0.4 * torch.sin(5 * time) + 0.08 * torch.randn(60)).reshape(1, 60, 1)
    starts, ends = torch.tensor([0.2, 0.9, 1.3, 2.2]), torch.tensor([0.8, 1.3, 1.9, 2.8])
    inside = (time >= starts[:, None]) & (time < ends[:, None])
    words = torch.where(inside.any(0), inside.int().argmax(0), -1).unsqueeze(0)
    axes = figure.subplots()
    axes.plot(time, loudness.flatten(), ".", color="#7a7a7a", ms=4, label="frames")
    for pooling, colour, style in (("mean", "#1f5f99", "-"), ("first", "#9dc3e6", "--"), ("last", "#d9822b", "--")):
        values = pool_segments(loudness, words, 4, pooling=pooling).values.flatten()
        axes.hlines(values, starts, ends, color=colour, ls=style, lw=2.2, label=f'"{pooling}"')
    for start, end, word in zip(starts, ends, ("not", "bad", "at", "all"), strict=True):
        axes.axvspan(start, end, color="#9dc3e6", alpha=0.2, lw=0)
        axes.text((start + end) / 2, 1.2, word, ha="center")
    axes.set(xlabel="seconds", ylabel="loudness", ylim=(0, 1.38), xlim=(-0.05, 3.75))
    axes.legend(loc="center right", fontsize=9)
