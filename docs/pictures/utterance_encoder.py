"""Which frames the vector of an utterance depends on, at initial weights."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import masked_mean
from mmdisentangle.nn import RecurrentUtteranceEncoder, TemporalConvEncoder


def draw(figure: Figure) -> None:
    length = 60
    x = torch.randn(16, length, 8)
    recurrent = RecurrentUtteranceEncoder(8, 16).double().eval()
    convolutional = TemporalConvEncoder(8, 64).double().eval()
    encoders = {
        "final states of the LSTMs": (recurrent, "#d9822b"),
        "mean of TemporalConvEncoder": (lambda x: masked_mean(convolutional(x), None, 1), "#1f5f99"),
    }
    axes = figure.subplots()
    for label, (encoder, colour) in encoders.items():
        leaf = x.double().requires_grad_()
        vector = encoder(leaf)
        gradient = torch.autograd.grad((vector @ torch.randn(vector.shape[1], dtype=torch.float64)).sum(), leaf)[0]
        share = gradient.norm(dim=-1).mean(0)
        axes.semilogy(range(1, length + 1), share / share.sum(), color=colour, label=label)
    axes.axhline(1 / length, ls=":", color="#7a7a7a", lw=1)
    axes.set(xlabel="frame of 60", ylabel="share of the sensitivity", ylim=(3e-6, 3))
    axes.legend(loc="upper center", ncols=2)
