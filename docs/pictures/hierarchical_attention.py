"""What every result takes from every modality, by step."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import HierarchicalCrossModalAttention


def draw(figure: Figure) -> None:
    names = ("text", "audio", "vision")
    frames = {"text": 6, "audio": 20, "vision": 12}
    x = {name: torch.randn(8, count, 16, requires_grad=True) for name, count in frames.items()}
    missing = {"audio": torch.zeros(8, 20, dtype=torch.bool)}
    panels = (
        ("mixed", {"coarse": False, "fine": False}, {}),
        ("coarse", {"mixed": False, "fine": False}, {}),
        ("fine", {"mixed": False, "coarse": False}, {}),
        ("all, no audio", {}, missing),
    )
    for axes, (title, steps, masks) in zip(figure.subplots(1, 4, sharey=True), panels, strict=True):
        torch.manual_seed(0)
        layer = HierarchicalCrossModalAttention(names, 16, num_heads=2, num_layers=1, **steps).eval()
        result = layer(x, masks)
        taken = torch.zeros(3, 3)
        for row, target in enumerate(names):
            gradients = torch.autograd.grad(
                (result[target] @ torch.randn(16)).sum(),
                [x[name] for name in names],
                allow_unused=True,
                retain_graph=True,
            )
            taken[row] = torch.stack([0 * x["text"].sum() if g is None else g.norm() for g in gradients]).detach()
        share = taken / taken.amax().clamp(min=1e-9)
        axes.imshow(share.sqrt(), cmap="Blues", vmin=0, vmax=1.3)
        for row in range(3):
            for column in range(3):
                label = "0" if share[row, column] == 0 else f"{share[row, column]:.2f}"
                axes.text(column, row, label, ha="center", va="center", fontsize=9)
        axes.set(xticks=range(3), yticks=range(3), xlabel="from")
        axes.set_xticklabels(("text", "audio", "vis."))
        axes.set_yticklabels(names)
        axes.set_title(title, fontsize=9.5)
        axes.grid(visible=False)
    figure.axes[0].set_ylabel("result")
