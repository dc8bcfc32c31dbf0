"""Four pairs of codes; what the linear and the Gaussian kernel see of them."""

import math

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import hsic


def draw(figure: Figure) -> None:
    """Draw four joint distributions with both estimates."""
    x, noise = torch.randn(2, 300)
    angle = torch.rand(300) * 2 * math.pi
    pairs = {
        "linear": (x, 0.9 * x + 0.4 * noise),
        "parabola": (x, x**2 + 0.3 * noise),
        "ring": (angle.cos() + 0.1 * x, angle.sin() + 0.1 * noise),
        "independent": (x, noise),
    }
    for axis, (name, codes) in zip(figure.subplots(1, 4), pairs.items(), strict=True):
        first, second = ((code - code.mean()) / code.std() for code in codes)
        values = [hsic(first[:, None], second[:, None], kernel=kernel, unbiased=True) for kernel in ("linear", "rbf")]
        axis.scatter(first, second, s=4, color="#1f5f99", rasterized=True)
        axis.set(xticks=[], yticks=[], title=name)
        axis.set_xlabel("linear {:.3f}\nrbf {:.3f}".format(*(abs(v) if abs(v) < 5e-4 else v for v in values)))
