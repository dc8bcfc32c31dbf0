"""Where descent moves the codes of two modalities, without and with the reversal before a discriminator."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import gradient_reversal


def draw(figure: Figure) -> None:
    """Draw the steps of descent on the loss of a fitted linear discriminator."""
    label = torch.arange(2).repeat_interleave(25)
    codes = 0.7 * torch.randn(50, 2) + torch.tensor([1.3, 0.5]) * (2 * label[:, None] - 1)
    discriminator = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.05, weight_decay=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(discriminator(codes), label).backward()
        optimizer.step()
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, strength, title in zip(
        axes, (-1.0, 1.0), ("no reversal: codes move apart", "reversal: codes mix"), strict=True
    ):
        moved = codes.clone().requires_grad_()
        logits = discriminator(gradient_reversal(moved, strength))
        torch.nn.functional.cross_entropy(logits, label, reduction="sum").backward()
        step = -0.9 * moved.grad / moved.grad.norm(dim=1).max()
        for modality, colour in ((0, "#1f5f99"), (1, "#d9822b")):
            shown = label == modality
            axis.scatter(*codes[shown].T, s=9, color=colour)
            axis.quiver(
                *codes[shown].T, *step[shown].T, color=colour, angles="xy", scale_units="xy", scale=1, width=0.005
            )
        axis.set(title=title, xticks=[], yticks=[], xlim=(-3.6, 3.6), ylim=(-2.6, 2.6))
