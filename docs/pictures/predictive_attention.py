"""A map, the one before it, their mixture, and how flat a softmax of a softmax is."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import predictive_attention


def draw(figure: Figure) -> None:
    length = 24
    eye = torch.eye(length)[None, None]
    q, k = torch.randn(1, 1, length, 8), torch.randn(1, 1, length, 8)
    place = torch.arange(length)
    previous = (4 - 2 * (place - place[:, None] - 4).abs().float()).clamp(min=-2)[None, None]
    # A convolution that moves the pattern by one frame.
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[0, 0, 1, 0] = 1
    maps = {
        "own map": predictive_attention(q, k, eye).output,
        "predicted": predictive_attention(q, k, eye, previous, kernel, mu=1.0).output,
        "convex, mu = 0.5": predictive_attention(q, k, eye, previous, kernel, mu=0.5).output,
    }
    *panels, flatness = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.5))
    for axes, (title, attention) in zip(panels, maps.items(), strict=True):
        axes.imshow(attention[0, 0], cmap="Blues", vmin=0, vmax=0.6)
        axes.set(xticks=(), yticks=())
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("key")
        axes.grid(visible=False)
    panels[0].set_ylabel("query")
    lengths = (5, 10, 20, 50, 100, 200, 500)
    for mode, colour in (("convex", "#1f5f99"), ("paper", "#d9822b")):
        largest = []
        for count in lengths:
            # One key stands out by 20: the sharpest row there is.
            q, k = torch.full((1, 1, count, 1), 20.0), torch.zeros(1, 1, count, 1)
            k[..., 0, 0] = 1
            zeros, values = torch.zeros(1, 1, count, count), torch.eye(count)[None, None]
            result = predictive_attention(q, k, values, zeros, torch.zeros(1, 1, 3, 3), mu=0.25, mode=mode)
            largest.append(result.output[0, 0, 0].max().item())
        flatness.loglog(lengths, largest, "o-", ms=3, color=colour, label=mode)
    flatness.loglog(lengths, [1 / count for count in lengths], ":", color="#7a7a7a", label="uniform")
    flatness.set_xlabel("frames T")
    flatness.set_title("largest weight", fontsize=9)
    flatness.legend(fontsize=9, handlelength=1.2)
