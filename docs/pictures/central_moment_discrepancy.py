"""Three differences of distributions, and the order of moment that sees each."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import central_moment_discrepancy, central_moments


def draw(figure: Figure) -> None:
    """Draw densities of codes in (0, 1), and each order's term of their distance from the first."""
    beta = torch.distributions.Beta
    base = beta(4.0, 4.0).sample((20000, 1))
    sets = {
        "mean": (base + 0.12).clamp(0, 1),
        "width": 0.5 + 0.45 * (base - 0.5),
        "skewness": 0.5 + (beta(1.2, 4.8).sample((20000, 1)) - 0.2) * base.std() / beta(1.2, 4.8).stddev,
    }
    left, right = figure.subplots(1, 2)
    edges = torch.linspace(0, 1, 41)
    middle = (edges[1:] + edges[:-1]) / 2
    left.fill_between(middle, torch.histogram(base[:, 0], edges, density=True).hist, color="#7a7a7a", alpha=0.3)
    for index, (name, codes) in enumerate(sets.items()):
        colour = ("#1f5f99", "#d9822b", "#9dc3e6")[index]
        left.plot(middle, torch.histogram(codes[:, 0], edges, density=True).hist, color=colour)
        terms = (central_moments(codes) - central_moments(base)).abs()[:, 0]
        total = central_moment_discrepancy(base, codes)
        right.bar(
            torch.arange(1, 6) + 0.25 * (index - 1), terms, width=0.25, color=colour, label=f"{name}: CMD {total:.3f}"
        )
    left.set(title="codes (grey: the other set)", xlabel="code", yticks=[])
    right.set(title="term of each order", xlabel="order", yscale="log", ylim=(1e-5, 30))
    right.legend(loc="upper right")
