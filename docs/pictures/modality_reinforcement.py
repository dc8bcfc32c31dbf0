"""The unit reads both sequences through a norm: their size is lost."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import CrossModalAttention, ModalityReinforcementUnit


def draw(figure: Figure) -> None:
    source, target = torch.randn(4, 30, 16), torch.randn(4, 10, 16)
    unit = ModalityReinforcementUnit(16, num_heads=2).double().eval()
    plain = CrossModalAttention(16, num_heads=2).double().eval()
    factors = torch.logspace(-1, 1, 25, dtype=torch.float64)
    source, target = source.double(), target.double()

    def change(results: list[torch.Tensor], base: torch.Tensor) -> list[float]:
        return [float((result - base).norm() / base.norm()) for result in results]

    with torch.no_grad():
        base = unit(source, target)
        lines = (
            ("ModalityReinforcementUnit", change([unit(f * source, target) for f in factors], base), "#1f5f99"),
            (
                "CrossModalAttention",
                change([plain(target, f * source) for f in factors], plain(target, source)),
                "#d9822b",
            ),
        )
        scaled = change([unit(source, f * target) for f in factors], base)
        other = change([plain(f * target, source) for f in factors], plain(target, source))
    left, right = figure.subplots(1, 2, sharey=True)
    for label, values, colour in lines:
        left.semilogx(factors, values, color=colour, label=label)
    right.semilogx(factors, scaled, color="#1f5f99", label="ModalityReinforcementUnit")
    right.semilogx(factors, other, color="#d9822b", label="CrossModalAttention")
    left.set(xlabel="factor on the source", ylabel="relative change of the result", ylim=(-0.05, 2.2))
    right.set(xlabel="factor on the target")
    right.legend(loc="upper left", fontsize=9, handlelength=1.2)
