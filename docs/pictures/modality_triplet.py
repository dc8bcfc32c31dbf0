"""Codes of two classes and two modalities on the circle, before and after descent on the loss."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import modality_triplet_loss


def draw(figure: Figure) -> None:
    """Draw the directions of the codes: classes by marker, modalities by colour."""
    target = torch.arange(2).repeat_interleave(8).repeat(2)
    modality = torch.arange(2).repeat_interleave(16)
    angle = 0.9 * target + 2.4 * modality + 0.35 * torch.randn(32)
    codes = torch.stack((angle.cos(), angle.sin()), 1).requires_grad_()
    optimizer = torch.optim.Adam([codes], lr=0.02)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
    values = []
    for step in range(201):
        value = modality_triplet_loss(codes, target, modality)
        values.append(value.detach())
        if step in (0, 200):
            axis = middle if step else left
            for label, marker in ((0, "o"), (1, "^")):
                for one, colour in ((0, "#1f5f99"), (1, "#d9822b")):
                    shown = codes.detach()[(target == label) & (modality == one)]
                    shown = shown / shown.norm(dim=1, keepdim=True) * (0.82 + 0.18 * one)
                    axis.scatter(*shown.T, s=18, marker=marker, color=colour)
            axis.set(title=f"after {step} steps" if step else "before", aspect="equal", xticks=[], yticks=[])
            axis.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    right.plot(values)
    right.set(title="loss", xlabel="step", ylim=(0, None))
