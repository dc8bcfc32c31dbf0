"""What torch's layer and this one return for samples with little and nothing in them."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import lengths_to_mask
from mmdisentangle.nn import TransformerBlock


def draw(figure: Figure) -> None:
    x, mask = torch.randn(4, 12, 16), lengths_to_mask(torch.tensor([12, 8, 3, 0]), 12)
    layer = torch.nn.TransformerEncoderLayer(16, 2, 64, dropout=0, batch_first=True)
    block = TransformerBlock(16, num_heads=2, feedforward_features=64, dropout=0)
    block.load_state_dict(dict(zip(block.state_dict(), layer.state_dict().values(), strict=True)))
    ours, training = block(x, mask).detach(), layer(x, src_key_padding_mask=~mask).detach()
    with torch.no_grad():
        evaluation = layer.eval()(x, src_key_padding_mask=~mask)
    for theirs in (training, evaluation):
        assert torch.allclose(theirs[mask], ours[mask], atol=1e-5)
    panels = (("torch, training", training), ("torch, evaluation", evaluation), ("TransformerBlock, both", ours))
    for axes, (title, y) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        kind = torch.where(y.abs().sum(-1) > 0, 0.75, 0.0).masked_fill(y.isnan().any(-1), torch.nan)
        kind[mask] = 1.0
        axes.imshow(kind, cmap="Blues", vmin=0, vmax=1.6, aspect="auto")
        if kind.isnan().any():
            axes.set_facecolor("#d9822b")
        axes.set(title=title, xlabel="frame", yticks=range(4))
        axes.set_yticklabels(("12 real", "8 real", "3 real", "0 real"))
        axes.title.set_fontsize(9.5)
        axes.grid(visible=False)
        for row, start in ((1, 8), (2, 3), (3, 0)):
            value = kind[row, -1]
            label = "NaN" if value.isnan() else "not 0" if value else "0"
            axes.text((start + 11) / 2, row, label, ha="center", va="center")
