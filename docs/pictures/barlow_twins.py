"""Correlations of two modalities' codes before and after training on the loss alone."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import BarlowTwinsLoss


def draw(figure: Figure) -> None:
    """Draw the correlation matrices."""
    content = torch.randn(256, 6)
    text = torch.cat((content, torch.randn(256, 4)), 1) @ torch.randn(10, 10)
    audio = torch.cat((content, torch.randn(256, 4)), 1) @ torch.randn(10, 10)
    encoders = [torch.nn.Linear(10, 6) for _ in range(2)]
    loss = BarlowTwinsLoss(redundancy_weight=0.1)
    optimizer = torch.optim.Adam([*encoders[0].parameters(), *encoders[1].parameters()], lr=0.02)
    axes = figure.subplots(1, 2)
    for step in range(501):
        codes = encoders[0](text), encoders[1](audio)
        value = loss(*codes)
        if step in (0, 500):
            axis = axes[step // 500]
            correlations = torch.cat(codes, 1).detach().T.corrcoef()[:6, 6:]
            image = axis.pcolormesh(correlations, cmap="PuOr", vmin=-1, vmax=1)
            name = f"after {step} steps" if step else "before"
            axis.set(title=f"{name}: loss {value:.2f}", xlabel="feature of audio", ylabel="feature of text")
            axis.set(aspect="equal", xticks=[], yticks=[])
            axis.invert_yaxis()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    figure.colorbar(image, ax=axes, label="correlation")
