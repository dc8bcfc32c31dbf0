"""Which source frames reach a target frame, with and without the causal mask."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import CrossModalTransformer


def draw(figure: Figure) -> None:
    target, source = torch.randn(1, 12, 16), torch.randn(1, 30, 16, requires_grad=True)
    for axes, causal in zip(figure.subplots(1, 2, sharey=True), (False, True), strict=True):
        torch.manual_seed(0)
        transformer = CrossModalTransformer(16, num_heads=2, num_layers=2, causal=causal).eval()
        result = transformer(target, source)
        weight = torch.randn(16)
        heard = torch.stack(
            [
                torch.autograd.grad(result[0, t] @ weight, source, retain_graph=True)[0][0].norm(dim=-1)
                for t in range(12)
            ]
        )
        axes.imshow(heard / heard.amax(1, keepdim=True), cmap="Blues", vmin=0, vmax=0.8, aspect="auto")
        axes.set(title=f"causal={causal}", xlabel="source frame")
        axes.title.set_fontsize(9.5)
        axes.grid(visible=False)
    figure.axes[0].set_ylabel("target frame")
    figure.axes[1].annotate("exactly 0", (29, 1.6), ha="right")
