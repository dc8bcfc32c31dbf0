"""What the middle frame sees, by number of blocks."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import TemporalConvEncoder


def draw(figure: Figure) -> None:
    axes = figure.subplots()
    length, middle = 81, 40
    x, weight = torch.randn(1, length, 3), torch.randn(16)
    rows = []
    for blocks in range(5):
        torch.manual_seed(0)
        encoder = TemporalConvEncoder(3, 16, num_blocks=blocks).double().eval()
        leaf = x.double().requires_grad_()
        gradient = torch.autograd.grad(encoder(leaf)[0, middle] @ weight.double(), leaf)[0][0].norm(dim=-1)
        rows.append(gradient / gradient.max())
        seen = int((gradient > 0).sum())
        axes.text(middle + 1.5, blocks, f"{seen} frames", va="center", ha="left", fontsize=9)
    picture = torch.stack(rows)
    axes.imshow(
        (picture.clamp(min=1e-4).log10() + 4) * (picture > 0),
        cmap="Blues",
        vmin=0,
        vmax=6,
        aspect="auto",
        extent=(-middle - 0.5, middle + 0.5, 4.5, -0.5),
    )
    for text in axes.texts:
        text.set_position((middle + 1.5, text.get_position()[1]))
    axes.set(xlabel="input frame, from the middle", ylabel="num_blocks", yticks=range(5), xlim=(-40.5, 56))
    axes.grid(visible=False)
