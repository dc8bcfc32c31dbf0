"""Agreement alone collapses; with the variance term it does not."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import VICRegLoss


def draw(figure: Figure) -> None:
    """Draw the deviation of the features and the disagreement relative to it, with and without the term."""
    content = torch.randn(256, 6)
    text = torch.cat((content + 0.5 * torch.randn(256, 6), torch.randn(256, 4)), 1) @ torch.randn(10, 10)
    audio = torch.cat((content + 0.5 * torch.randn(256, 6), torch.randn(256, 4)), 1) @ torch.randn(10, 10)
    left, right = figure.subplots(1, 2)
    settings = {
        "all three terms": {},
        "no variance term": {"variance_weight": 0.0},
        "invariance alone": {"variance_weight": 0.0, "covariance_weight": 0.0},
    }
    for (name, setting), style in zip(settings.items(), ("-", "-", "--"), strict=True):
        torch.manual_seed(1)
        encoders = [torch.nn.Linear(10, 6) for _ in range(2)]
        loss = VICRegLoss(**setting)
        optimizer = torch.optim.Adam([*encoders[0].parameters(), *encoders[1].parameters()], lr=0.01)
        deviations, shares = [], []
        for _ in range(1500):
            codes = encoders[0](text), encoders[1](audio)
            terms = loss(*codes)
            deviation = torch.cat(codes).detach().std(0).mean()
            deviations.append(deviation)
            shares.append(terms.invariance.detach().sqrt() / deviation)
            optimizer.zero_grad()
            terms.total.backward()
            optimizer.step()
        left.plot(deviations, label=name, linestyle=style)
        right.plot(shares, label=name, linestyle=style)
    left.set(title="deviation of the features", xlabel="step", ylim=(0, 2))
    right.set(title="disagreement / deviation", xlabel="step", ylim=(0, 1.6))
    left.legend()
