"""Mean and maximum of the same twenty frames under growing padding."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import masked_max, masked_mean


def draw(figure: Figure) -> None:
    frames = torch.rand(1, 20, 1) - 1.2
    padding = range(0, 101, 5)
    plain: dict[str, list[float]] = {"mean": [], "max": []}
    masked: dict[str, list[float]] = {"mean": [], "max": []}
    for count in padding:
        x = torch.nn.functional.pad(frames, (0, 0, 0, count))
        mask = torch.arange(20 + count).unsqueeze(0) < 20
        plain["mean"].append(x.mean(1).item())
        plain["max"].append(x.amax(1).item())
        x[~mask] = torch.nan
        masked["mean"].append(masked_mean(x, mask, 1).item())
        masked["max"].append(masked_max(x, mask, 1).item())
    for axes, name in zip(figure.subplots(1, 2, sharey=True), plain, strict=True):
        axes.plot(padding, plain[name], color="#d9822b", label="without a mask, padding 0")
        axes.plot(padding, masked[name], color="#1f5f99", label=f"masked_{name}, padding NaN")
        axes.set(xlabel="frames of padding", ylim=(-0.85, 0.3))
        axes.set_title(f"{name} of 20 frames", fontsize=9.5)
        axes.legend(loc="upper right", fontsize=9)
