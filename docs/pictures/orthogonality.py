"""The two forms against the batch size, and what neither sees."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import orthogonality


def draw(figure: Figure) -> None:
    """Draw both forms on independent codes, and the correlation form on two kinds of dependence."""
    left, right = figure.subplots(1, 2)
    sizes = (8, 16, 32, 64, 128, 256, 512, 1024)
    for form, colour in (("rows", "#d9822b"), ("correlation", "#1f5f99")):
        values = [
            torch.stack([orthogonality(*torch.randn(2, n, 16), form=form) for _ in range(20)]).mean() for n in sizes
        ]
        left.plot(sizes, values, color=colour, label=f'form="{form}"', marker="o", markersize=3)
    left.set(xscale="log", yscale="log", xlabel="batch size", title="independent codes", ylim=(5e-4, 80))
    left.set_xticks(sizes[1::2], [str(size) for size in sizes[1::2]])
    left.minorticks_off()
    left.legend()
    x, noise = torch.randn(2, 1024, 1)
    shares = torch.linspace(0, 1, 21)
    for name, signal, colour in (("y follows x", x, "#1f5f99"), ("y follows x²", (x**2 - 1) / 2**0.5, "#d9822b")):
        mixed = [share * signal + (1 - share**2).sqrt() * noise for share in shares]
        right.plot(shares, [orthogonality(x, y, form="correlation") for y in mixed], color=colour, label=name)
    right.set(xlabel="share of x in y", title='form="correlation"')
    right.legend()
