"""
Cost against the length of the sequence
=======================================

You will see, on logarithmic axes, the time of forward and backward pass as sequences grow: attention along the frame
graph against the same attention over all pairs of frames, and the temporal-invariant loss against its textbook form.
The numbers are those of the machine that built this page, on one thread; the slopes are what carries over.
"""

import math
import time

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import LogLocator
from torch.nn.functional import scaled_dot_product_attention

from mmdisentangle.functional import temporal_graph_attention
from mmdisentangle.nn import TemporalInvariantLoss

BLUE, ORANGE, GREY = "#1f5f99", "#d9822b", "#7a7a7a"
torch.set_num_threads(1)
_ = torch.manual_seed(0)

# %%
# Two ways to the same numbers, twice. All frames stand one second apart, and a frame sees 8 seconds to each side. The
# plain form writes these edges as a mask over all pairs;
# :py:func:`~mmdisentangle.functional.temporal_graph_attention` cuts the line of time into blocks.
WINDOW, HEADS, WIDTH = 8, 2, 64


def graph_plain(x):
    moments = torch.arange(x.shape[1])
    apart = (moments[:, None] - moments).abs()
    heads = x.unflatten(-1, (HEADS, -1)).transpose(1, 2)
    return scaled_dot_product_attention(heads, heads, heads, attn_mask=(apart <= WINDOW) & (apart > 0))


def graph_library(x):
    moments = torch.arange(x.shape[1], dtype=torch.float32).expand(x.shape[:2])
    heads = x.unflatten(-1, (HEADS, -1)).transpose(1, 2)
    return temporal_graph_attention(heads, heads, heads, moments, window=WINDOW, max_neighbours=WINDOW)


# %%
# The textbook form of the Jensen-Shannon divergence is the entropy of the mean minus the mean of the entropies. Both
# forms of it cost in proportion to the length; they differ in how often they read and write the sequence.


def entropy(p):
    return -(p * p.clamp(min=1e-30).log()).sum(-1)


def loss_plain(x):
    p = x.softmax(-1)
    first, second = p[:, :-1], p[:, 1:]
    return (entropy((first + second) / 2) - (entropy(first) + entropy(second)) / 2).mean()


loss_library = TemporalInvariantLoss()

x = torch.randn(2, 50, WIDTH)
torch.testing.assert_close(graph_plain(x), graph_library(x), rtol=1e-4, atol=1e-5)
torch.testing.assert_close(loss_plain(x), loss_library(x), rtol=1e-4, atol=1e-5)

# %%
# Lengths and forms take turns, so that whatever else the machine does falls on all of them, and each point is the
# fastest of seven rounds: what disturbs can only slow down. The slope is that from the third length to the last: 1 is
# linear, 2 quadratic.
COMPARED = {
    "attention within 8 s": (graph_plain, graph_library, (250, 500, 1000, 2000, 4000)),
    "temporal-invariant loss": (loss_plain, loss_library, (1000, 2000, 4000, 8000, 16000)),
}


def seconds(function, x):
    start = time.perf_counter()
    function(x).sum().backward()
    return time.perf_counter() - start


measured, slopes = {}, {}
for title, (*forms, lengths) in COMPARED.items():
    inputs = {length: torch.randn(1, length, WIDTH, requires_grad=True) for length in lengths}
    rounds = [[[seconds(form, x) for form in forms] for x in inputs.values()] for _ in range(8)]
    # The first round warms up.
    for length, values in zip(lengths, torch.tensor(rounds[1:]).amin(0).tolist(), strict=True):
        measured[title, length] = values

figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.8), layout="constrained")
for each, (title, (_, _, lengths)) in zip(axes, COMPARED.items(), strict=True):
    for form, colour, marker in ((0, ORANGE, "s"), (1, BLUE, "o")):
        times = [1000 * measured[title, length][form] for length in lengths]
        slope = math.log(times[-1] / times[-3], lengths[-1] / lengths[-3])
        name = "library" if form else "plain form"
        slopes[title, name] = slope
        each.loglog(lengths, times, color=colour, marker=marker, label=f"{name}, slope {slope:.1f}")
        print(
            f"{title:<24} {name:<10} " + "  ".join(f"T={n}: {ms:.2f} ms" for n, ms in zip(lengths, times, strict=True))
        )
    each.set_title(title)
    each.set_xticks(lengths, [f"{length:,}" for length in lengths])
    each.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    each.yaxis.set_major_formatter("{x:g}")
    each.minorticks_off()
    each.set_xlabel("frames")
    each.grid(alpha=0.25)
    each.legend(frameon=False)
axes[0].set_ylabel("milliseconds, forward and backward")
plt.show()

# %%
# **To take away.** The mask over all pairs grows with the square of the length, whatever few edges it holds; in
# blocks the same attention grows with the length. Where everything fits into a window, or sequences are short, the
# two cost about the same, and the plain form is easier to read. For the loss both forms are linear: the library saves
# a constant factor, and memory, which this page does not measure. Compare times on your own machine and your own
# sizes; the committed measurements of all components, with memory, are on the page on speed.
