"""What every query frame takes from another modality, and where the gate lets nothing in."""

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmdisentangle.nn import TextDrivenFusion


def draw(figure: Figure) -> None:
    fusion = TextDrivenFusion(("text", "audio"), 32, num_heads=1, rates={"text": 3, "audio": 10}).double().eval()
    # Query and key maps as of a model that has learned to look at the same moment: the positions as they are.
    attention = fusion.attention["audio"]
    for linear in (attention.query, attention.key):
        torch.nn.init.eye_(linear.weight)
        linear.weight.data *= 2.5
    frames = {"text": 15, "audio": 50}
    private = {name: 0.1 * torch.rand(1, count, 32).double() for name, count in frames.items()}
    shared = {name: torch.randn(1, count, 32).double() for name, count in frames.items()}
    taken: list[torch.Tensor] = []
    fusion.norms["audio"].register_forward_hook(lambda module, arguments, result: taken.append(arguments[0][0]))
    changed = torch.zeros(15, 50)
    with torch.no_grad():
        gates = fusion(private, shared).gates["audio"][0]
        for frame in range(50):
            moved = private["audio"].clone()
            moved[0, frame] += 1e-5 * torch.randn(32)
            fusion({**private, "audio": moved}, shared)
            changed[:, frame] = (taken[-1] - taken[0]).norm(dim=-1)
    gate, matrix = figure.subplots(1, 2, width_ratios=(1, 3.4), sharey=True)
    gate.barh(range(15), gates, color="#d9822b", height=0.8)
    gate.set(xlabel="hard gate", ylabel="text frame, 3 per second", xticks=(0, 1), xlim=(0, 1.1))
    gate.yaxis.set_major_locator(MaxNLocator(integer=True))
    matrix.imshow(changed, cmap="Blues", aspect="auto")
    matrix.set(xlabel="audio frame, 10 per second", title="change of a fused frame with an audio frame")
    matrix.title.set_fontsize(9.5)
    matrix.grid(visible=False)
