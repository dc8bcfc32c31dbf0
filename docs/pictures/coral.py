"""Clouds of different covariance and mean, before and after a linear encoder was trained on the loss."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import coral


def draw(figure: Figure) -> None:
    """Draw the clouds before and after: the shape follows, the mean stays."""
    still = torch.randn(120, 2) @ torch.tensor([[1.5, 1.2], [0.0, 0.5]])
    moved = torch.randn(120, 2) * torch.tensor([0.4, 1.4]) + torch.tensor([4.5, 0.0])
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    encoder = torch.nn.Linear(2, 2)
    torch.nn.init.eye_(encoder.weight)
    torch.nn.init.zeros_(encoder.bias)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.02)
    for step in range(401):
        codes = encoder(moved)
        value = coral(still, codes)
        if step in (0, 400):
            axis = axes[step // 400]
            axis.scatter(*still.T, s=8, color="#d9822b", rasterized=True)
            axis.scatter(*codes.detach().T, s=8, color="#1f5f99", rasterized=True)
            name = f"after {step} steps" if step else "before"
            axis.set(title=f"{name}: CORAL {value:.3f}", aspect="equal", xticks=[], yticks=[])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
