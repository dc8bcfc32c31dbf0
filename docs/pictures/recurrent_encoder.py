"""How much a sample's frames change when it is put into a batch with longer ones."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import lengths_to_mask
from mmdisentangle.nn import RecurrentEncoder


def draw(figure: Figure) -> None:
    alone = torch.randn(1, 30, 8)
    padded = torch.nn.functional.pad(alone, (0, 0, 0, 50))
    plain = torch.nn.LSTM(8, 8, batch_first=True, bidirectional=True).eval()
    encoder = RecurrentEncoder(8, 16).eval()
    with torch.no_grad():
        theirs = (plain(padded)[0][0, :30] - plain(alone)[0][0]).norm(dim=-1)
        ours = (encoder(padded, lengths_to_mask(torch.tensor([30]), 80))[0, :30] - encoder(alone)[0]).norm(dim=-1)
    axes = figure.subplots()
    axes.semilogy(range(1, 31), theirs.clamp(min=1e-9), "o-", ms=3, color="#d9822b", label="nn.LSTM, zeros as padding")
    axes.semilogy(range(1, 31), ours.clamp(min=1e-9), "o-", ms=3, color="#1f5f99", label="RecurrentEncoder with mask")
    axes.set(xlabel="real frame of 30, followed by 50 frames of padding", ylabel="change of its code", ylim=(3e-10, 10))
    axes.set_yticks((1e-9, 1e-6, 1e-3, 1))
    axes.set_yticklabels(("< 1e-9", "1e-6", "1e-3", "1"))
    axes.legend(loc="upper left")
