"""How far a frame sees through one, two and three layers with a window."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import PredictiveSelfAttention


def draw(figure: Figure) -> None:
    length, window, middle = 61, 5, 30
    layers = [PredictiveSelfAttention(16, num_heads=2, predict=index > 0, window=window).eval() for index in range(3)]
    x = torch.randn(1, length, 16, requires_grad=True)
    hidden, logits, weight = x, None, torch.randn(16)
    for index, (axes, layer) in enumerate(zip(figure.subplots(1, 3, sharey=True), layers, strict=True)):
        hidden, logits = layer(hidden, logits)
        reach = torch.autograd.grad(hidden[0, middle] @ weight, x, retain_graph=True)[0][0].norm(dim=-1)
        axes.stairs(
            reach.clamp(min=1e-4), torch.arange(length + 1) - middle - 0.5, fill=True, baseline=1e-4, color="#1f5f99"
        )
        axes.set(yscale="log", ylim=(1e-4, 9), xlabel="frame, from the middle")
        axes.minorticks_off()
        seen = (reach > 0).nonzero().flatten() - middle
        axes.set_title(f"{index + 1} layer{'s' * (index > 0)}: {seen.min():+d} .. {seen.max():+d}", fontsize=9.5)
    figure.axes[0].set_ylabel("sensitivity")
