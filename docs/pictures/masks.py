"""Three batches of masks, with the numbers of their real frames."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import frame_positions, lengths_to_mask


def draw(figure: Figure) -> None:
    right = lengths_to_mask(torch.tensor([7, 4, 0]), 7)
    gaps = torch.tensor([[1, 1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1]]).bool()
    panels = (("lengths 7, 4, 0", right), ("padding in front", right.flip(1)), ("gaps", gaps))
    for axes, (title, mask) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        axes.imshow(mask, cmap="Blues", vmin=0, vmax=2, aspect="auto")
        numbers = frame_positions(mask)
        for row, column in mask.nonzero().tolist():
            axes.text(column, row, int(numbers[row, column]), ha="center", va="center")
        axes.set(title=title, xlabel="frame", xticks=range(7), yticks=range(3))
        axes.title.set_fontsize(9.5)
        axes.grid(visible=False)
    figure.axes[0].set_ylabel("sample")
