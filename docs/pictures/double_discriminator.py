"""Importance weights of codes that show their modality more or less."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import DoubleDiscriminator


def draw(figure: Figure) -> None:
    """Draw each code's weight, and the gradient that comes back to it with and without weights."""
    shown = torch.linspace(0, 3, 150)
    direction = torch.tensor([1.0, 0.0, 0.0, 0.0])
    codes = {"text": 0.3 * torch.randn(150, 4), "audio": 0.3 * torch.randn(150, 4)}
    codes["text"] += shown[:, None] * direction
    codes["audio"] -= shown[:, None] * direction
    left, right = figure.subplots(1, 2)
    for weighted, colour in ((False, "#d9822b"), (True, "#1f5f99")):
        torch.manual_seed(1)
        discriminator = DoubleDiscriminator(("text", "audio"), 4, 16, dropout=0.0, importance_weights=weighted)
        optimizer = torch.optim.Adam(discriminator.parameters(), lr=5e-3)
        for _ in range(150):
            output = discriminator(codes, codes)
            optimizer.zero_grad()
            (output.agnostic + output.exclusive + output.importance).backward()
            optimizer.step()
        agnostic = {name: code.clone().requires_grad_() for name, code in codes.items()}
        output = discriminator(agnostic, codes)
        output.agnostic.backward()
        label = f"importance_weights={weighted}"
        left.plot(shown, output.weights[:, 0], ".", markersize=3, color=colour, rasterized=True)
        back = 150 * agnostic["text"].grad.norm(dim=1)
        right.plot(shown, back, ".", markersize=2.5, color=colour, rasterized=True, label=label)
    left.set(title="weight of a code", xlabel="how far it shows its modality", ylim=(-0.03, 1.1))
    right.set(title="gradient that comes back", xlabel="how far it shows its modality", yscale="log")
    right.set(ylim=(1e-5, 1e4))
    right.legend(markerscale=3, loc="upper right")
