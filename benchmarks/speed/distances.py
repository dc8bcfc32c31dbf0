"""Cases of the distances between distributions, of distance correlation, total variation and triplets."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.case import EAGER, LIBRARY, SHORT_LENGTHS, Case, Provider, Setting, Sizes
from mmdisentangle import functional
from mmdisentangle import nn as layers

Providers = Mapping[str, Provider]
BANDWIDTHS = (0.5, 1.0, 2.0, 4.0)
# Longest for forms that keep a tensor of all pairs times features, and of all triplets.
PAIRS, TRIPLETS = 2_048, 512


def two_sets(sizes: Sizes, setting: Setting) -> tuple[Tensor, Tensor]:
    return setting.randn(sizes.length, sizes.features), setting.randn(sizes.length, sizes.features)


def sequence(sizes: Sizes, setting: Setting) -> tuple[Tensor]:
    return (setting.randn(sizes.batch, sizes.length, sizes.features),)


def labelled(sizes: Sizes, setting: Setting) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of four classes in turn, a third of them of each modality."""
    rows = torch.arange(sizes.length, device=setting.device)
    return setting.randn(sizes.length, sizes.features), rows % 4, rows * 3 // sizes.length


def discrepancy(features: int, setting: Setting) -> Providers:
    def plain(x: Tensor, y: Tensor) -> Tensor:
        """The widely copied form: all differences of the joined set, ``[2N, 2N, D]``."""
        joined, n = torch.cat((x, y)), x.shape[0]
        squares = (joined.unsqueeze(0) - joined.unsqueeze(1)).square().sum(-1)
        gram = torch.stack([(-squares / (2 * sigma**2)).exp() for sigma in BANDWIDTHS]).mean(0)
        within = gram[:n, :n].sum() + gram[n:, n:].sum() - 2 * n
        return within / (n * (n - 1)) - 2 * gram[:n, n:].mean()

    return {
        LIBRARY: Provider(layers.MaximumMeanDiscrepancy(bandwidths=BANDWIDTHS)),
        EAGER: Provider(plain, longest=PAIRS // 2),
    }


def correlation(features: int, setting: Setting) -> Providers:
    def plain(x: Tensor, y: Tensor) -> Tensor:
        a, b = (_centred_distances(codes) for codes in (x, y))
        return ((a * b).sum() / ((a * a).sum() * (b * b).sum()).sqrt()).sqrt()

    return {LIBRARY: Provider(layers.DistanceCorrelationLoss()), EAGER: Provider(plain, longest=PAIRS)}


def _centred_distances(x: Tensor) -> Tensor:
    squares = (x.unsqueeze(0) - x.unsqueeze(1)).square().sum(-1)
    # The root of the diagonal's zeros has no gradient.
    distances = torch.where(squares > 0, squares, 1).sqrt() * (squares > 0)
    return distances - distances.mean(0) - distances.mean(1, keepdim=True) + distances.mean()


def covariances(features: int, setting: Setting) -> Providers:
    def plain(x: Tensor, y: Tensor) -> Tensor:
        return (torch.cov(x.mT) - torch.cov(y.mT)).square().sum() / (4 * x.shape[1] ** 2)

    return {LIBRARY: Provider(layers.CORALLoss()), EAGER: Provider(plain)}


def wasserstein(features: int, setting: Setting) -> Providers:
    def plain(x: Tensor, y: Tensor) -> Tensor:
        """Roots through eigenvalues, which wants regular covariances."""
        a, b = (torch.cov(codes.mT, correction=0) for codes in (x, y))
        values, vectors = torch.linalg.eigh(a)
        root = vectors @ values.sqrt().diag() @ vectors.mT
        between = torch.linalg.eigvalsh(root @ b @ root).sqrt().sum()
        return (x.mean(0) - y.mean(0)).square().sum() + a.trace() + b.trace() - 2 * between

    return {LIBRARY: Provider(layers.GaussianWassersteinLoss()), EAGER: Provider(plain)}


def variation(features: int, setting: Setting) -> Providers:
    return {
        LIBRARY: Provider(layers.TotalVariationLoss()),
        EAGER: Provider(lambda x: (x[:, 1:] - x[:, :-1]).abs().mean()),
    }


def triplets(features: int, setting: Setting) -> Providers:
    def plain(x: Tensor, target: Tensor, modality: Tensor) -> Tensor:
        """All triplets at once, ``[N, N, N]``."""
        unit = torch.nn.functional.normalize(x, dim=1)
        cosines = unit @ unit.mT
        alike, own = target == target.unsqueeze(1), modality == modality.unsqueeze(1)
        counted = (alike & ~own).unsqueeze(2) & (own & ~alike).unsqueeze(1)
        hinges = (0.2 - cosines.unsqueeze(2) + cosines.unsqueeze(1)).clamp(min=0)
        return (hinges * counted).sum() / counted.sum()

    return {LIBRARY: Provider(functional.modality_triplet_loss), EAGER: Provider(plain, longest=TRIPLETS)}


QUADRATIC: dict[str, Any] = {"growth": "quadratic", "lengths": SHORT_LENGTHS[:-1], "axis": "samples"}
DISTANCES = (
    Case("maximum_mean_discrepancy", two_sets, discrepancy, 1, 64, **QUADRATIC),
    Case("distance_correlation", two_sets, correlation, 1, 64, **QUADRATIC),
    Case("modality_triplet", labelled, triplets, 1, 64, **QUADRATIC),
    Case("coral", two_sets, covariances, 1, 64, axis="samples"),
    Case("gaussian_wasserstein", two_sets, wasserstein, 1, 16, axis="samples"),
    Case("total_variation", sequence, variation, batch=1, features=64, compiled=True),
)
