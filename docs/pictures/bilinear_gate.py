"""Value and gradient of the three gates against the logit."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import BilinearGate


def draw(figure: Figure) -> None:
    value, slope = figure.subplots(1, 2)
    # With the bilinear part's weight at 0 the logit is the head's bias.
    logits = torch.linspace(-4, 4, 161)
    x = torch.ones(1, 2)
    for mode, colour, style in (("soft", "#9dc3e6", "-"), ("hard", "#1f5f99", "-"), ("released", "#d9822b", "--")):
        gate = BilinearGate(2, mode=mode, dropout=0).eval()
        torch.nn.init.zeros_(gate.head.weight)
        values, slopes = [], []
        for logit in logits:
            torch.nn.init.constant_(gate.head.bias, float(logit))
            result = gate(x, x)
            values.append(result.item())
            slopes.append(torch.autograd.grad(result.sum(), gate.head.bias)[0].item())
        value.plot(logits, values, style, color=colour, label=mode)
        slope.plot(logits, slopes, style, color=colour, label=mode)
    value.set(xlabel="logit v", ylabel="gate", yticks=(0, 0.5, 1))
    slope.set(xlabel="logit v", ylabel="gradient of the gate", ylim=(-0.02, 0.3))
    value.legend()
    slope.annotate("hard = soft", (1.4, 0.2), color="#1f5f99")
    slope.annotate("released: 0", (-0.9, 0.012), color="#d9822b")
