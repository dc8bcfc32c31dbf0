"""Free of the codes' size; and what the biased form says of independent codes."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import cka, hsic


def draw(figure: Figure) -> None:
    """Draw CKA and HSIC against the scale of one code, and CKA of independent codes against their width."""
    left, right = figure.subplots(1, 2)
    shared = torch.randn(256, 8)
    private = shared @ torch.randn(8, 8) / 8**0.5 + torch.randn(256, 8)
    scales = torch.logspace(-2, 2, 21)
    left.plot(scales, [hsic(shared, a * private) for a in scales], color="#d9822b", label="HSIC")
    left.plot(scales, [cka(shared, a * private) for a in scales], color="#1f5f99", label="CKA")
    left.set(xscale="log", yscale="log", xlabel="scale of one code", title="one dependence, two measures")
    left.legend()
    widths = (2, 4, 8, 16, 32, 64, 128, 256, 512)
    for unbiased, colour, label in ((False, "#d9822b", "biased"), (True, "#1f5f99", "unbiased")):
        values = [
            torch.stack([cka(*torch.randn(2, 64, width), unbiased=unbiased) for _ in range(20)]).mean()
            for width in widths
        ]
        right.plot(widths, values, color=colour, label=label, marker="o", markersize=3)
    right.set(xscale="log", xlabel="features", title="64 independent samples: CKA", ylim=(-0.08, 1))
    right.set_xticks(widths[::2], [str(width) for width in widths[::2]])
    right.minorticks_off()
    right.legend()
