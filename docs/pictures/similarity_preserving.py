"""Similarities of samples in a teacher of 32 features, and in a student of 3 before and after descent."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import similarity_preserving


def draw(figure: Figure) -> None:
    """Draw the row-normalised Gram matrices of 30 samples of three groups."""
    teacher = torch.randn(3, 32).repeat_interleave(10, 0) + 0.7 * torch.randn(30, 32)
    student = torch.randn(30, 3, requires_grad=True)
    optimizer = torch.optim.Adam([student], lr=0.03)
    shown = {"teacher, 32 features": teacher}
    for step in range(301):
        value = similarity_preserving(student, teacher)
        if step in (0, 300):
            name = f"student, step {step}: {value:.2f}"
            shown[name] = student.detach().clone()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    axes = figure.subplots(1, 3)
    for axis, (name, codes) in zip(axes, shown.items(), strict=True):
        gram = codes @ codes.T
        rows = gram / gram.norm(dim=1, keepdim=True)
        image = axis.pcolormesh(rows, cmap="PuOr", vmin=-0.5, vmax=0.5, rasterized=True)
        axis.set_title(name, fontsize=9.5)
        axis.set(aspect="equal", xticks=[], yticks=[])
        axis.invert_yaxis()
    figure.colorbar(image, ax=axes, shrink=0.9)
