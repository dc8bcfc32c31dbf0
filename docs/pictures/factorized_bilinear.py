"""A product of two numbers, which no linear map of the pair can follow."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import factorized_bilinear


def draw(figure: Figure) -> None:
    # An even number of places: none is 0.
    axis = torch.linspace(-1, 1, 40)
    x, y = (part.reshape(-1, 1) for part in torch.meshgrid(axis, axis, indexing="xy"))
    wanted = (x * y).sign()
    pair = torch.cat((x, y, torch.ones_like(x)), 1)
    linear = (pair @ torch.linalg.lstsq(pair, wanted).solution).round(decimals=4).abs()
    one = torch.ones(1, 1)
    bilinear = factorized_bilinear(x, y, one, one, num_factors=1, normalize=False)
    unit = factorized_bilinear(x, y, one, one, num_factors=1)
    panels = (
        ("best linear map of [x, y]", linear),
        ("bilinear, rank 1", bilinear),
        ("bilinear, unit length", unit),
    )
    for axes, (title, values) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        image = axes.imshow(values.reshape(40, 40), cmap="PuOr", vmin=-1, vmax=1, extent=(-1, 1, -1, 1), origin="lower")
        axes.set(title=title, xlabel="x", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        axes.title.set_fontsize(9.5)
        axes.grid(visible=False)
    figure.axes[0].set_ylabel("y")
    figure.colorbar(image, ax=figure.axes, ticks=(-1, 0, 1))
