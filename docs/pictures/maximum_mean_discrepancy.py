"""A ring and a Gaussian of the same mean and covariance; and how the distance saturates far away."""

import math

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import coral, maximum_mean_discrepancy


def draw(figure: Figure) -> None:
    """Draw where the loss pushes the ring, and its value against the separation of two clouds."""
    cloud = torch.randn(120, 2)
    cloud = (cloud - cloud.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(cloud.T.cov())).T
    angle = torch.arange(30) * 2 * math.pi / 30
    ring = math.sqrt(2 * 29 / 30) * torch.stack((angle.cos(), angle.sin()), 1)
    ring.requires_grad_()
    value = maximum_mean_discrepancy(ring, cloud)
    value.backward()
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
    push = -ring.grad / ring.grad.norm(dim=1).max() * 0.8
    left.scatter(*cloud.T, s=7, color="#d9822b", alpha=0.7, rasterized=True)
    left.scatter(*ring.detach().T, s=7, color="#1f5f99", rasterized=True)
    left.quiver(*ring.detach().T, *push.T, color="#1f5f99", angles="xy", scale_units="xy", scale=1, width=0.008)
    left.set(aspect="equal", xticks=[], yticks=[], xlim=(-2.9, 2.9), ylim=(-2.9, 2.9))
    left.set_title(f"MMD {value:.3f}, CORAL {coral(ring, cloud).abs():.3f}", fontsize=9.5)
    distances = torch.linspace(0, 8, 41)
    first, second = torch.randn(2, 300, 2)
    for bandwidths, label in (((0.5,), "bandwidth 0.5"), ((2.0,), "bandwidth 2"), (None, "default")):
        shifted = [
            maximum_mean_discrepancy(first, second + torch.tensor([d, 0.0]), bandwidths=bandwidths) for d in distances
        ]
        right.plot(distances, shifted, label=label)
    right.set(xlabel="distance of the means of two clouds", title="MMD")
    right.legend()
