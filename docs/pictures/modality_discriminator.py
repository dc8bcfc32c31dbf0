"""The game of encoders and discriminator at two strengths of the reversal."""

import torch
from matplotlib.figure import Figure

from mmdisentangle import ModalityDiscriminator


def draw(figure: Figure) -> None:
    """Draw the accuracy over training without and with reversal, and the codes that the latter leaves."""
    inputs = {"text": torch.randn(256, 6) + 1.5, "audio": torch.randn(256, 6) - 1.5}
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    for axis, strength, colour in ((middle, 0.0, "#d9822b"), (right, 1.0, "#1f5f99")):
        torch.manual_seed(2)
        encoders = torch.nn.ModuleDict({name: torch.nn.Linear(6, 2) for name in inputs})
        discriminator = ModalityDiscriminator(
            tuple(inputs), 2, 16, loss="cross_entropy", dropout=0.0, strength=strength, prototype_penalty=0.0
        )
        optimizer = torch.optim.Adam(
            [{"params": encoders.parameters(), "lr": 1e-3}, {"params": discriminator.parameters(), "lr": 2e-2}]
        )
        accuracies = []
        for _ in range(1000):
            codes = {name: encoder(inputs[name]) for name, encoder in encoders.items()}
            output = discriminator(codes)
            accuracies.append(output.accuracy)
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
        left.plot(range(0, 1000, 5), accuracies[::5], color=colour, label=f"strength {strength:g}", linewidth=1.2)
        for name, marker in (("text", "o"), ("audio", "^")):
            shade = {"text": "#1f5f99", "audio": "#d9822b"}[name]
            axis.scatter(*codes[name].detach()[::5].T, s=7, marker=marker, color=shade, rasterized=True)
        axis.set(title=f"strength {strength:g}", xlabel="codes at the end", xticks=[], yticks=[])
    left.axhline(output.chance, color="#7a7a7a", linestyle=":", label="chance")
    left.set(title="accuracy", xlabel="step", ylim=(0, 1.05))
    left.legend(loc="lower left", ncols=1)
