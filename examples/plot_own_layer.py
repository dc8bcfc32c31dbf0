"""
Your own layer through the contract suite
=========================================

You will see a mean over time, written in four ways, go through the checks of :py:mod:`mmdisentangle.testing`: as one
writes it first, after two repairs of which each mends one thing, and as it has to be. The faults of the first three
stay unseen until the data bring them out.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from mmdisentangle.functional import masked_mean
from mmdisentangle.testing import CHECKS, Case, Frames, check_contract

_ = torch.manual_seed(0)

# %%
# Four layers that make one code of a sequence. The first knows nothing of padding. The second multiplies by the mask.
# The third sets padding to zero before anything else. The fourth leaves the mean to
# :py:func:`~mmdisentangle.functional.masked_mean`, which knows what the mean of no frame is.


class PlainMean(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x, mask=None):
        return self.linear(x).mean(1)


class MultipliedMean(PlainMean):
    def forward(self, x, mask=None):
        if mask is None:
            return self.linear(x).mean(1)
        weight = mask.unsqueeze(-1).to(x.dtype)
        return (self.linear(x) * weight).sum(1) / weight.sum(1)


class CleanedMean(MultipliedMean):
    def forward(self, x, mask=None):
        # Before the linear map: NaN * 0 is NaN, in the values and in the gradient.
        return super().forward(x if mask is None else torch.where(mask.unsqueeze(-1), x, 0), mask)


class MaskedMean(PlainMean):
    def forward(self, x, mask=None):
        if mask is not None:
            x = torch.where(mask.unsqueeze(-1), x, 0)
        return masked_mean(self.linear(x), mask, 1)


# %%
# A :py:class:`~mmdisentangle.testing.Case` says how to build the layer and what its arguments are: ``x [B, T, 4]``,
# with ``mask [B, T]``. The suite draws the inputs, lengthens the padding, fills it with 1000, NaN and infinity, takes
# all frames away, and more. All failures come in one message.
LAYERS = (PlainMean, MultipliedMean, CleanedMean, MaskedMean)
CASES = {layer: Case(name=layer.__name__, build=layer, arguments=(Frames("x", 4, mask="mask"),)) for layer in LAYERS}
# Compilation takes seconds, and pickle wants classes that live in a module.
LATER = ("copies", "compiles", "exports")
message = ""
try:
    check_contract(CASES[PlainMean], skip=LATER)
except AssertionError as error:
    message = str(error)
print(message)

# %%
# The message names each broken check, and what was seen. In the picture all checks that any of the four layers
# breaks; orange says on what.
names = [
    name for name, check in CHECKS.items() if name not in LATER and name != "gather" and check.applies(CASES[PlainMean])
]
broken = {layer: {} for layer in LAYERS}
for layer, case in CASES.items():
    for name in names:
        try:
            check_contract(case, only=[name])
        except AssertionError as error:
            broken[layer][name] = str(error)

shown = [name for name in names if any(name in found for found in broken.values())]
figure, axes = plt.subplots(figsize=(8.2, 0.5 * len(shown) + 1), layout="constrained")
for column, found in enumerate(broken.values()):
    for row, name in enumerate(shown):
        # "PlainMean breaks the contract:", then "padding_content: padding filled with 1000, train mode: ..."
        told = found[name].splitlines()[1].removeprefix(f"{name}: ").partition(",")[0] if name in found else "holds"
        told = (
            told.replace("frames (rows) of padding", "padded frame")
            .removeprefix("padding ")
            .removeprefix("one sample ")
        )
        colour = "#d9822b" if name in found else "#1f5f99"
        axes.add_patch(plt.Rectangle((column - 0.48, row - 0.42), 0.96, 0.84, color=colour))
        axes.text(column, row, told, ha="center", va="center", color="black" if name in found else "white", fontsize=10)
    others = f"{len(names) - len(shown)} others hold"
    axes.text(column, len(shown), others, ha="center", va="center", fontsize=10, color="#555555")
axes.set_yticks(range(len(shown)), shown)
axes.set_xticks(range(len(LAYERS)), [layer.__name__ for layer in LAYERS])
axes.xaxis.tick_top()
axes.set(xlim=(-0.5, len(LAYERS) - 0.5), ylim=(len(shown) + 0.5, -0.5))
axes.tick_params(length=0)
axes.spines[:].set_visible(False)
plt.show()

# %%
# The last one keeps the contract. In a test, from a module of your own, leave ``skip`` away: the suite then also
# compiles and exports the layer with changing lengths, and pickles it.
check_contract(CASES[MaskedMean], skip=LATER)
print(f"{len(names)} checks hold")

# %%
# **To take away.** Training need not have told. All four layers learn, and give the same numbers on batches without
# padding; the first changes its answer with whoever shares the batch, the second turns one NaN in the padding into a
# NaN loss, the third one sample without a frame. Describe your layer by a ``Case`` before you train with it: that is
# three lines, and seconds without compilation. What the suite cannot tell is whether the layer computes what you
# meant: that needs a test of your own against a closed form. Every argument of a ``Case`` is in the guide on the
# contract.
