"""Which context frames a query frame listens to, for samples with padding and without a context."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import lengths_to_mask
from mmdisentangle.nn import CrossModalAttention


def draw(figure: Figure) -> None:
    attention = CrossModalAttention(16, num_heads=1).eval()
    query, context = 2 * torch.randn(3, 12, 16), 2 * torch.randn(3, 40, 16)
    mask = lengths_to_mask(torch.tensor([40, 18, 0]), 40)
    context[~mask] = torch.nan
    context.requires_grad_()
    result = attention(query, context, mask)
    heard = torch.stack(
        [torch.autograd.grad(result[:, t].abs().sum(), context, retain_graph=True)[0].norm(dim=-1) for t in range(12)],
        1,
    )
    titles = ("40 real frames", "18 real, then NaN", "none real: result is 0")
    for axes, title, sensitivity in zip(figure.subplots(1, 3, sharey=True), titles, heard, strict=True):
        axes.imshow(sensitivity, cmap="Blues", vmin=0, vmax=heard.max() * 0.6, aspect="auto")
        axes.set(title=title, xlabel="context frame")
        axes.title.set_fontsize(9.5)
        axes.grid(visible=False)
    figure.axes[0].set_ylabel("query frame")
