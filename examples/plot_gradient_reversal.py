"""
Gradient reversal in two dimensions
===================================

You will see the codes of two modalities before and after training against a discriminator, with what the
discriminator answers at every point. A linear discriminator ends at chance although the codes still show their
modality to anyone who draws a circle: "accuracy at chance" is a statement about the discriminator before it is one
about the codes.
"""

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import LinearSegmentedColormap
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mmdisentangle.evaluation import probe_score
from mmdisentangle.functional import cka
from mmdisentangle.nn import GradientReversal, ModalityDiscriminator

BLUE, ORANGE = "#1f5f99", "#d9822b"
FIELD = LinearSegmentedColormap.from_list("field", [ORANGE, "white", BLUE])
NAMES = ("audio", "video")
_ = torch.manual_seed(0)

# %%
# Audio and video observe the same thing, an angle and a depth. Audio shows it on a ring, off centre; video on a disc
# inside. The difference of the means is linear, that of the shapes is not.


def observe(count):
    angle, depth = 2 * torch.pi * torch.rand(count), torch.rand(count, 1)
    direction = torch.stack([angle.cos(), angle.sin()], 1)
    return {
        "audio": (1.6 + 0.6 * depth) * direction + torch.tensor([1.5, 0.0]),
        "video": 0.9 * depth.sqrt() * direction,
    }


train, test = observe(1000), observe(500)

# %%
# :py:class:`~mmdisentangle.nn.ModalityDiscriminator` has a hidden layer, and brings its reversal along. Beside it
# stands a linear one, made from :py:class:`~mmdisentangle.nn.GradientReversal` and a linear map. Both answer with
# their loss, their accuracy and, for the picture, a logit.


class Nonlinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.discriminator = ModalityDiscriminator(NAMES, 2, 64, loss="cross_entropy", dropout=0.0)

    def forward(self, codes):
        output = self.discriminator(codes)
        return output.loss, output.accuracy, output.logits[..., 1] - output.logits[..., 0]


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.reversal, self.classifier = GradientReversal(), nn.Linear(2, 1)

    def forward(self, codes):
        logits = self.classifier(self.reversal(torch.stack([codes[name] for name in NAMES]))).squeeze(-1)
        target = torch.tensor([[0.0], [1.0]]).expand_as(logits)
        accuracy = ((logits > 0) == target.bool()).float().mean()
        return binary_cross_entropy_with_logits(logits, target), accuracy, logits


# %%
# An encoder and a decoder for each modality, both starting as the identity, up to a shift. The code must keep what it
# needs to reconstruct its own input, so it cannot hide the modality by collapsing. One backward pass trains
# everything: behind the reversal the encoders get the discriminator's gradient with its sign turned. ``weight=0``
# trains the discriminator alone.


def perceptron():
    layers = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    nn.init.zeros_(layers[-1].weight)
    return layers


def fit(adversary, weight=0.3, steps=1000):
    torch.manual_seed(1)
    encoders, decoders = (nn.ModuleDict({name: perceptron() for name in NAMES}) for _ in range(2))
    discriminator = adversary()
    groups = [{"params": discriminator.parameters(), "lr": 0.01}]
    if weight:
        groups.append({"params": [*encoders.parameters(), *decoders.parameters()], "lr": 0.001})
    optimizer = torch.optim.Adam(groups, betas=(0.5, 0.9))

    def encode(x):
        return {name: x[name] + encoders[name](x[name]) for name in NAMES}

    for _ in range(steps):
        chosen = torch.randint(0, 1000, (256,))
        x = {name: train[name][chosen] for name in NAMES}
        codes = encode(x)
        decoded = {name: codes[name] + decoders[name](codes[name]) for name in NAMES}
        reconstruction = sum((decoded[name] - x[name]).square().mean() for name in NAMES)
        optimizer.zero_grad()
        (reconstruction + (weight or 1) * discriminator(codes)[0]).backward()
        optimizer.step()
    with torch.no_grad():
        codes = encode(test)
    return codes, discriminator


fitted = {
    "before": fit(Nonlinear, weight=0, steps=200),
    "against a linear discriminator": fit(Linear),
    "against ModalityDiscriminator": fit(Nonlinear),
}

# %%
# Codes of samples that were not trained on. The colour of the background is what the discriminator answers there,
# white where it cannot tell.
figure, axes = plt.subplots(1, 3, figsize=(8.2, 3.6), sharex=True, sharey=True, layout="constrained")
grid = torch.stack(torch.meshgrid(torch.linspace(-1.6, 4.4, 100), torch.linspace(-3, 3, 100), indexing="xy"), -1)
points = dict.fromkeys(NAMES, grid.flatten(0, 1))
for each, (title, (codes, discriminator)) in zip(axes, fitted.items(), strict=True):
    with torch.no_grad():
        video = discriminator(points)[2][0].sigmoid().reshape(grid.shape[:2])
    each.imshow(video.numpy(), extent=(-1.6, 4.4, -3, 3), origin="lower", cmap=FIELD, vmin=0, vmax=1, alpha=0.5)
    for name, colour in zip(NAMES, (ORANGE, BLUE), strict=True):
        each.scatter(*codes[name].T, s=3, color=colour, label=name)
    each.set_title(title, fontsize=10)
axes[0].legend(loc="lower left", markerscale=3, fontsize=10)
plt.show()

# %%
# The accuracy of each discriminator on the same codes, and of fresh probes, which never played against the encoders:
# one linear, one not. Chance is 0.5. The last column says whether the codes of the same sample still go together
# (linear CKA, 1 at best).
rows = torch.stack([torch.arange(2).repeat_interleave(500), torch.arange(500).repeat(2)]).numpy()
numbers = {}
for title, (codes, discriminator) in fitted.items():
    flat = torch.cat([codes[name] for name in NAMES]).numpy()
    with torch.no_grad():
        numbers[title] = {"discriminator": float(discriminator(codes)[1])}
    for probe in ("linear", "nonlinear"):
        score = probe_score(flat, rows[0], task="classification", groups=rows[1], probe=probe, permutations=0)
        numbers[title][f"{probe} probe"] = score.score
    numbers[title]["CKA"] = float(cka(codes["audio"], codes["video"]))
print(" " * 30 + "".join(f"{name:>17}" for name in numbers["before"]))
for title, row in numbers.items():
    print(f"{title:<30}" + "".join(f"{value:17.2f}" for value in row.values()))

# %%
# **To take away.** The linear discriminator has lost its game: the means of its two clouds coincide for it, and its
# gradient asks for no more. The ring around the disc stays, and a nonlinear probe reads the modality from it. The
# discriminator with a hidden layer makes the encoders bend ring and disc into one shape; what the nonlinear probe
# still finds above chance is what a short game has left over. Judge codes by a fresh probe at least as strong as
# whoever will read them, never by the discriminator they were trained against. And matched clouds are not matched
# samples: a rotated or mirrored cloud would satisfy every discriminator. That the same samples stay together here
# (CKA) comes from where training started; to have it by design takes a term on pairs, such as
# :py:class:`~mmdisentangle.nn.InfoNCELoss`.
