"""The encoding, and the likeness of two positions by their distance on one clock."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import sinusoidal_positions


def draw(figure: Figure) -> None:
    table, likeness = figure.subplots(1, 2)
    image = table.imshow(sinusoidal_positions(torch.arange(60), 32).T, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    table.set(xlabel="position", ylabel="feature")
    table.grid(visible=False)
    figure.colorbar(image, ax=table, ticks=(-1, 0, 1))
    for rate, colour, mark in ((100, "#9dc3e6", "."), (30, "#1f5f99", "o")):
        # Times on the clock of the 30 Hz stream: fractions for the other.
        times = torch.arange(0, 20, 30 / rate)
        codes = sinusoidal_positions(times, 32)
        middle = sinusoidal_positions(torch.tensor([0.0]), 32)
        likeness.plot(times, (codes @ middle.T) / 16, mark, ms=3 + 2 * (rate == 30), color=colour, label=f"{rate} Hz")
    likeness.set(xlabel="distance, in frames at 30 Hz", ylabel="cosine", ylim=(0, 1.05))
    likeness.legend()
