"""A target that is a code itself: it moves towards its reconstruction unless it is detached."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import ReconstructionLoss


def draw(figure: Figure) -> None:
    """Draw the loss and the size of the target over training, with and without detached target."""
    frames = torch.randn(16, 20, 12)
    left, right = figure.subplots(1, 2)
    for detach in (False, True):
        torch.manual_seed(1)
        encoder, bottleneck, decoder = torch.nn.Linear(12, 8), torch.nn.Linear(8, 3), torch.nn.Linear(3, 8)
        loss = ReconstructionLoss(detach_target=detach)
        parameters = [*encoder.parameters(), *bottleneck.parameters(), *decoder.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=3e-3)
        values, sizes = [], []
        for _ in range(600):
            target = encoder(frames)
            value = loss({"audio": decoder(bottleneck(target))}, {"audio": target})
            values.append(value.detach())
            sizes.append(target.detach().std())
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        left.plot(values, label=f"detach_target={detach}", color="#1f5f99" if detach else "#d9822b")
        right.plot(sizes, color="#1f5f99" if detach else "#d9822b")
    left.set(title="loss", xlabel="step", ylim=(0, None))
    right.set(title="deviation of the target", xlabel="step", ylim=(0, None))
    left.legend()
