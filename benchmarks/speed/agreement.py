"""Cases of the losses that make paired codes agree."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, normalize

from benchmarks.speed.case import EAGER, LIBRARY, SHORT_LENGTHS, Case, Provider, Setting, Sizes
from mmdisentangle import nn as layers

Providers = Mapping[str, Provider]


def two_codes(sizes: Sizes, setting: Setting) -> tuple[Tensor, Tensor]:
    return setting.randn(sizes.length, sizes.features), setting.randn(sizes.length, sizes.features)


def two_families(sizes: Sizes, setting: Setting) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    one, other = (
        {name: setting.randn(sizes.batch, sizes.length, sizes.features) for name in ("text", "audio", "vision")}
        for _ in range(2)
    )
    return one, other


def barlow_twins(features: int, setting: Setting) -> Providers:
    def plain(x: Tensor, y: Tensor) -> Tensor:
        x, y = ((z - z.mean(0)) / z.std(0) for z in (x, y))
        correlation = x.T @ y / (len(x) - 1)
        own = torch.eye(features, dtype=torch.bool, device=x.device)
        return (correlation[own] - 1).square().sum() + 0.005 * correlation[~own].square().sum()

    return {LIBRARY: Provider(layers.BarlowTwinsLoss()), EAGER: Provider(plain)}


def vicreg(features: int, setting: Setting) -> Providers:
    loss = layers.VICRegLoss()

    def plain(x: Tensor, y: Tensor) -> Tensor:
        total = 25 * mse_loss(x, y)
        for z in (x, y):
            centred = z - z.mean(0)
            total = total + 25 * (1 - centred.std(0)).relu().mean() / 2
            covariance = centred.T @ centred / (len(z) - 1)
            own = torch.eye(features, dtype=torch.bool, device=z.device)
            total = total + covariance[~own].square().sum() / features
        return total

    return {LIBRARY: Provider(lambda x, y: loss(x, y).total), EAGER: Provider(plain)}


def similarity_preserving(features: int, setting: Setting) -> Providers:
    def grams(x: Tensor, y: Tensor) -> Tensor:
        return (normalize(x @ x.T, dim=1) - normalize(y @ y.T, dim=1)).square().sum() / len(x)

    return {
        LIBRARY: Provider(layers.SimilarityPreservingLoss()),
        EAGER: Provider(grams, longest=SHORT_LENGTHS[-1]),
    }


def cycle_reconstruction(features: int, setting: Setting) -> Providers:
    return {
        LIBRARY: Provider(layers.CycleReconstructionLoss()),
        EAGER: Provider(lambda x, y: torch.stack([mse_loss(y[name], x[name]) for name in x]).mean()),
    }


AGREEMENT = (
    Case("barlow_twins", two_codes, barlow_twins, 1, 64, axis="samples"),
    Case("vicreg", two_codes, vicreg, 1, 64, axis="samples"),
    Case("similarity_preserving", two_codes, similarity_preserving, 1, 64, axis="samples"),
    Case("cycle_reconstruction", two_families, cycle_reconstruction, 1, 32),
)
