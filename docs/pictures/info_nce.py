"""Who finds whom in a batch, and the ceiling of what the loss can tell of the information."""

import math

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import cosine_logits
from mmdisentangle.nn import InfoNCELoss


def draw(figure: Figure) -> None:
    """Draw the softmax of a batch's scores, and the estimate of the information against the batch size."""
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.7))
    content = torch.randn(1024, 32)
    loss = InfoNCELoss(temperature=0.1)
    text, audio = (content[:12] + 0.8 * torch.randn(12, 32) for _ in range(2))
    left.pcolormesh((cosine_logits(text, audio) / 0.1).softmax(1), cmap="Blues", vmin=0, vmax=1)
    left.set(title=f"12 samples: loss {loss(text, audio):.2f}", xlabel="audio", ylabel="text", aspect="equal")
    left.set(xticks=[], yticks=[])
    left.invert_yaxis()
    sizes = [2**power for power in range(1, 11)]
    right.plot(sizes, [math.log(n) for n in sizes], color="#7a7a7a", linestyle=":", label="log N")
    for noise, colour in ((0.3, "#1f5f99"), (1.0, "#d9822b"), (2.0, "#9dc3e6")):
        x, y = (content + noise * torch.randn(1024, 32) for _ in range(2))
        values = [
            torch.stack([loss.information(a, b) for a, b in zip(x.split(n), y.split(n), strict=True)]).mean()
            for n in sizes
        ]
        right.plot(sizes, values, color=colour, label=f"noise {noise:g}")
    right.set(xscale="log", xlabel="batch size N", title="bound of the information, nats")
    right.set_xticks(sizes[::3], [str(n) for n in sizes[::3]])
    right.minorticks_off()
    right.legend()
