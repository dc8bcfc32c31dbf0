"""Value and gradient against the distance of two clouds, beside those of the maximum mean discrepancy."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import gaussian_wasserstein, maximum_mean_discrepancy


def draw(figure: Figure) -> None:
    """Draw the root of the loss, in the units of the codes, and the length of the gradients."""
    first, second = torch.randn(2, 256, 4)
    distances = torch.linspace(0, 10, 41)
    losses = {
        "Gaussian Wasserstein": gaussian_wasserstein,
        "MMD, bandwidth 1": lambda x, y: maximum_mean_discrepancy(x, y, bandwidths=(1.0,), unbiased=False),
    }
    left, right = figure.subplots(1, 2)
    for (name, loss), colour in zip(losses.items(), ("#1f5f99", "#d9822b"), strict=True):
        values, gradients = [], []
        for distance in distances:
            codes = (second + torch.tensor([1.0, 0.0, 0.0, 0.0]) * distance).requires_grad_()
            value = loss(first, codes)
            (gradient,) = torch.autograd.grad(value, codes)
            values.append(value.detach().sqrt())
            gradients.append(gradient.sum(0).norm())
        left.plot(distances, values, color=colour, label=name)
        right.plot(distances, gradients, color=colour)
    left.set(title="square root of the loss", xlabel="distance of the means")
    left.legend()
    right.set(title="gradient to the mean", xlabel="distance of the means", yscale="log", ylim=(1e-9, 100))
