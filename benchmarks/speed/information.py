"""Cases of the estimators of mutual information."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from benchmarks.speed.case import EAGER, LIBRARY, RELEASED, SHORT_LENGTHS, Case, Provider, Setting, Sizes
from mmdisentangle import nn as layers

Providers = Mapping[str, Provider]
# The released CLUB keeps N x N x D differences.
LONGEST_TABLE = 512


def two_codes(sizes: Sizes, setting: Setting) -> tuple[Tensor, Tensor]:
    return setting.randn(sizes.length, sizes.features), setting.randn(sizes.length, sizes.features)


def info_nce(features: int, setting: Setting) -> Providers:
    def plain(x: Tensor, y: Tensor) -> Tensor:
        logits = normalize(x, dim=1) @ normalize(y, dim=1).T / 0.1
        target = torch.arange(len(x), device=x.device)
        return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2

    return {LIBRARY: Provider(layers.InfoNCELoss()), EAGER: Provider(plain)}


def club(features: int, setting: Setting) -> Providers:
    layer = setting.module(lambda: layers.CLUB(features, features, unbiased=False))

    def all_pairs(x: Tensor, y: Tensor) -> Tensor:
        mean, log_variance = layer.conditional(x, torch.Tensor.detach)
        own = -(y - mean).square() / 2 / log_variance.exp()
        others = -(y.unsqueeze(0) - mean.unsqueeze(1)).square().mean(1) / 2 / log_variance.exp()
        learning = layer.learning_loss(x, y)
        return (own.sum(1) - others.sum(1)).mean() + learning - learning.detach()

    return {LIBRARY: Provider(layer, (layer,)), RELEASED: Provider(all_pairs, (layer,), longest=LONGEST_TABLE)}


def critic(kind: type[layers.MINE] | type[layers.NWJ]) -> Any:
    """Values and derivatives; the loss itself reverses the critic's, at no cost."""

    def providers(features: int, setting: Setting) -> Providers:
        layer = setting.module(lambda: kind(features, features))

        def plain(x: Tensor, y: Tensor) -> Tensor:
            table = layer.critic.x_network(x) @ layer.critic.y_network(y).T
            size = len(x)
            own = torch.eye(size, dtype=torch.bool, device=x.device)
            others = table.masked_fill(own, -torch.inf).flatten().logsumexp(0) - math.log(size * (size - 1))
            mean: Tensor = table.diagonal().mean()
            return mean - others if kind is layers.MINE else 1 + mean - others.exp()

        return {LIBRARY: Provider(layer.estimate, (layer,)), EAGER: Provider(plain, (layer,))}

    return providers


INFORMATION = (
    Case("info_nce", two_codes, info_nce, 1, 64, "quadratic", SHORT_LENGTHS, axis="samples"),
    Case("club", two_codes, club, 1, 64, axis="samples"),
    Case("critic_bounds_mine", two_codes, critic(layers.MINE), 1, 64, "quadratic", SHORT_LENGTHS, axis="samples"),
    Case("critic_bounds_nwj", two_codes, critic(layers.NWJ), 1, 64, "quadratic", SHORT_LENGTHS, axis="samples"),
)
