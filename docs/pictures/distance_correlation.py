"""A dependence without correlation, and the bias on independent codes."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import distance_correlation, orthogonality


def draw(figure: Figure) -> None:
    """Draw the measures against the noise on a parabola, and the bias against the number of samples."""
    left, right = figure.subplots(1, 2)
    x, noise = torch.randn(2, 512, 1)
    levels = torch.linspace(0, 4, 21)
    pairs = [(x, x**2 - 1 + level * noise) for level in levels]
    left.plot(levels, [distance_correlation(*pair, unbiased=True) for pair in pairs], label="distance correlation")
    left.plot(levels, [orthogonality(*pair, form="correlation") for pair in pairs], label="squared correlation")
    left.set(title="y = x² + noise", xlabel="deviation of the noise", ylim=(-0.03, 0.45))
    left.legend()
    sizes = (8, 16, 32, 64, 128, 256, 512)
    for unbiased, label in ((True, "unbiased (R²)"), (False, "biased (R)")):
        values = [
            torch.stack([distance_correlation(*torch.randn(2, n, 16), unbiased=unbiased) for _ in range(20)]).mean()
            for n in sizes
        ]
        right.plot(sizes, values, label=label, marker="o", markersize=3)
    right.set(xscale="log", xlabel="samples", title="independent, 16 features", ylim=(-0.08, 1))
    right.set_xticks(sizes[::2], [str(size) for size in sizes[::2]])
    right.minorticks_off()
    right.legend()
