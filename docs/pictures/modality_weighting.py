"""Weights of the modalities of six samples, and the size of both forms."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.nn import ModalityWeighting


def draw(figure: Figure) -> None:
    names, colours = ("text", "audio", "vision"), ("#1f5f99", "#9dc3e6", "#d9822b")
    samples, size = figure.subplots(1, 2, width_ratios=(1.5, 1))
    sequences = {name: 3 * torch.randn(6, 1, 16) + torch.randn(6, 12, 16) for name in names}
    masks = {name: torch.ones(6, 12, dtype=torch.bool) for name in names}
    masks["audio"][3], masks["text"][4], masks["vision"][4] = False, False, False
    for name in names:
        masks[name][5] = False
    weights = ModalityWeighting(names, 16)(sequences, masks).weights.detach()
    bottom = torch.zeros(6)
    for name, colour, column in zip(names, colours, weights.T, strict=True):
        samples.bar(range(6), column, bottom=bottom, color=colour, label=name)
        bottom = bottom + column
    samples.set(ylabel="weights", xticks=range(6), ylim=(0, 1.28), yticks=(0, 0.5, 1))
    samples.set_xticklabels(("", "all", "", "no\naudio", "audio\nonly", "none"), fontsize=9)
    samples.legend(ncols=3, loc="upper center", fontsize=9, handlelength=1, columnspacing=1)
    samples.grid(visible=False)
    lengths = (10, 50, 100, 500)
    counts: dict[str, list[int]] = {"pooled": [], "flatten": []}
    with torch.device("meta"):
        for length in lengths:
            flat = ModalityWeighting(("text",), 40, form="flatten", num_frames={"text": length})
            for form, layer in (("pooled", ModalityWeighting(("text",), 40)), ("flatten", flat)):
                counts[form].append(sum(parameter.numel() for parameter in layer.parameters()))
    for form, colour in (("pooled", "#1f5f99"), ("flatten", "#d9822b")):
        size.loglog(lengths, counts[form], "o-", ms=3, color=colour)
        size.annotate(form, (lengths[1], counts[form][1] * 2.5), color=colour, ha="right")
    size.set(xlabel="frames", ylim=(500, 3e9))
    size.set_title("parameters, d = 40", fontsize=9.5)
