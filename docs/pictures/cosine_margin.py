"""The loss of a feature against its angle to the prototype of its class; the other prototype stands at 90 degrees."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import cosine_margin_loss


def draw(figure: Figure) -> None:
    """Draw loss and gradient for margins at one scale, the angle from one prototype to the other."""
    degrees = torch.linspace(0, 90, 181)
    radians = degrees.deg2rad().requires_grad_()
    features = torch.stack((radians.cos(), radians.sin()), 1)
    target = torch.zeros(181, dtype=torch.int64)
    left, right = figure.subplots(1, 2)
    for margin, colour in ((0.0, "#7a7a7a"), (0.2, "#d9822b"), (0.5, "#1f5f99")):
        loss = cosine_margin_loss(features, torch.eye(2), target, margin=margin, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), radians, retain_graph=True)
        left.plot(degrees, loss.detach(), color=colour, label=f"margin {margin}")
        right.plot(degrees, gradient, color=colour)
    left.set(title="loss, nats (scale 30)", xlabel="degrees from its own prototype", xticks=range(0, 91, 15))
    right.set(title="pull, nats per radian", xlabel="degrees from its own prototype", xticks=range(0, 91, 15))
    for axis in (left, right):
        axis.axvline(45, color="#7a7a7a", linestyle=":", linewidth=1)
    left.legend()
