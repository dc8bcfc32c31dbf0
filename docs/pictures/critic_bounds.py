"""Both bounds with the best possible critic, batch by batch."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import donsker_varadhan, nwj


def draw(figure: Figure) -> None:
    """Draw median and range of the estimates of 200 batches against the true information."""
    axes = figure.subplots(1, 2, sharey=True)
    truths = torch.linspace(0.25, 6, 12)
    own = torch.eye(128, dtype=torch.bool)
    negatives = {"all": ~own, "shift": own.roll(1, 0)}
    bounds = {"MINE (Donsker-Varadhan)": donsker_varadhan, "NWJ": nwj}
    ranges: dict[tuple[str, str], list[torch.Tensor]] = {(name, kind): [] for name in bounds for kind in negatives}
    for truth in truths:
        r2 = 1 - (-truth / 4).exp()  # squared correlation of each of 8 pairs of features
        x, noise = torch.randn(2, 200, 128, 8)
        y = r2.sqrt() * x + (1 - r2).sqrt() * noise
        gap = torch.cdist(r2.sqrt() * x, y).square()
        scores = truth - gap / (2 * (1 - r2)) + y.square().sum(-1)[:, None] / 2  # log p(y|x) - log p(y)
        for (name, kind), rows in ranges.items():
            values = [bounds[name](score.diagonal(), score, marginal_mask=negatives[kind]) for score in scores]
            rows.append(torch.stack(values).quantile(torch.tensor([0.05, 0.5, 0.95])))
    for axis, name in zip(axes, bounds, strict=True):
        for kind, colour in (("shift", "#d9822b"), ("all", "#1f5f99")):
            low, median, high = torch.stack(ranges[name, kind]).T
            axis.fill_between(truths, low, high, color=colour, alpha=0.3, linewidth=0)
            axis.plot(truths, median, color=colour, label=f'negatives="{kind}"')
        axis.plot(truths, truths, color="black", linestyle=":", label="truth")
        axis.set(title=name, xlabel="true information, nats", ylim=(-2, 13))
        axis.legend(loc="upper left")
