"""The bound above the truth, and how long an estimator takes to become one."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import club
from mmdisentangle.nn import CLUB


def pairs(correlation: float, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussian codes of 8 features; feature i of one correlates with feature i of the other."""
    x, noise = torch.randn(2, count, 8)
    return x, correlation * x + (1 - correlation**2) ** 0.5 * noise


def draw(figure: Figure) -> None:
    """Draw bound and truth against the correlation, and the value of a new estimator over its first steps."""
    left, right = figure.subplots(1, 2)
    grid = torch.linspace(0, 0.9, 19).tolist()
    left.plot(grid, [-4 * torch.tensor(1 - r**2).log() for r in grid], color="#7a7a7a", label="true information")
    exact = []
    for r in grid:
        x, y = pairs(r, 4096)
        exact.append(club(r * x, torch.full_like(x, 1 - r**2).log(), y))
    left.plot(grid, exact, color="#1f5f99", label="CLUB, exact q")
    left.set(xlabel="correlation of 8 pairs of features", title="nats", yscale="log", ylim=(0.01, 100))
    left.legend()
    bound = CLUB(8, 8)
    optimizer = torch.optim.Adam(bound.parameters(), lr=3e-3)
    values = []
    for _ in range(300):
        value = bound(*pairs(0.6, 256))
        values.append(value.detach())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    right.plot(values, label="CLUB", color="#1f5f99", linewidth=1)
    right.axhline(-4 * torch.tensor(1 - 0.6**2).log(), color="#7a7a7a", label="true information")
    right.set(xlabel="training step of the estimator", title="nats, correlation 0.6")
    right.legend()
