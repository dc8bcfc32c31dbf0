"""The two codes of a modality, and how far they vary at initial weights."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import lengths_to_mask
from mmdisentangle.nn import SharedPrivateEncoder


def draw(figure: Figure) -> None:
    parts = figure.subplot_mosaic(
        [["lidar shared", "radar shared", "values"], ["lidar private", "radar private", "values"]],
        width_ratios=(1.7, 1, 2.2),
    )
    frames = {"lidar": 50, "radar": 20}
    inputs = {"lidar": torch.randn(64, 50, 16).cumsum(1) / 4, "radar": torch.randn(64, 20, 6).cumsum(1) / 4}
    masks = {"radar": lengths_to_mask(torch.full((64,), 14), 20)}
    for gain, colour in ((1.0, "#9dc3e6"), (4.0, "#1f5f99")):
        torch.manual_seed(0)
        encoder = SharedPrivateEncoder({"lidar": 16, "radar": 6}, hidden_features=12, initial_gain=gain)
        codes = encoder(inputs, masks)
        values = codes.shared["lidar"].detach().flatten()
        label = f"initial_gain={gain:g}"
        parts["values"].hist(
            values, bins=25, range=(0, 1), density=True, histtype="stepfilled", color=colour, alpha=0.85, label=label
        )
    for kind in ("shared", "private"):
        for name in frames:
            axes = parts[f"{name} {kind}"]
            code = getattr(codes, kind)[name][0].detach().T
            axes.imshow(code, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            axes.set(yticks=())
            axes.grid(visible=False)
            axes.set_title(f"{name}, {kind}", fontsize=9)
            if kind == "shared":
                axes.set(xticks=())
            else:
                axes.set(xlabel="frame")
    parts["values"].set(xlabel="entry of a shared code", ylabel="density", xticks=(0, 0.5, 1))
    parts["values"].legend(fontsize=9)
