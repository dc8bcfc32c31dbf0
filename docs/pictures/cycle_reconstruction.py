"""Descent on the loss alone: the plain form is lowered by shrinking the codes, the relative one is not."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import cycle_reconstruction


def draw(figure: Figure) -> None:
    """Draw the size of the codes, and the share of them that does not come back."""
    frames, shared = torch.randn(512, 12), torch.randn(512, 4)
    left, right = figure.subplots(1, 2)
    for relative in (False, True):
        torch.manual_seed(1)
        encoder = torch.nn.Linear(12, 4)
        decoder = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 12))
        optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
        sizes, shares = [], []
        for _ in range(400):
            private = encoder(frames)
            recovered = encoder(decoder(shared + private))
            sizes.append(private.detach().square().mean().sqrt())
            shares.append(cycle_reconstruction(private, recovered, relative=True).detach())
            optimizer.zero_grad()
            cycle_reconstruction(private, recovered, relative=relative).backward()
            optimizer.step()
        left.plot(sizes, label=f"relative={relative}", color="#1f5f99" if relative else "#d9822b")
        right.plot(shares, color="#1f5f99" if relative else "#d9822b")
    left.set(title="root mean square of the codes", xlabel="step", ylim=(0, None))
    right.set(title="relative error", xlabel="step", ylim=(0, 2))
    left.legend()
