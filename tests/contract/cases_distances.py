"""Cases of the distances between distributions, of distance correlation, total variation and triplets."""

from functools import partial

import torch
from torch import nn

from mmdisentangle import functional
from mmdisentangle.nn import (
    CORALLoss,
    DistanceCorrelationLoss,
    GaussianWassersteinLoss,
    MaximumMeanDiscrepancy,
    ModalityTripletLoss,
    TotalVariationLoss,
)
from mmdisentangle.testing import Case, Frames, Labels, Samples, Streams
from tests.contract.cases_functional import BATCH_STATISTIC

SAME_WIDTHS = {"text": 4, "audio": 4, "vision": 4}
STATISTIC = {"batch_independence": BATCH_STATISTIC}


class Pairwise(nn.Module):
    """``pairwise`` of a loss as a forward."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, codes, masks=None):
        return self.loss.pairwise(codes, masks)


def _of_sets(function, **settings):
    def distance(x, y, mask_x=None, mask_y=None):
        return function(x, y, mask=(mask_x, mask_y), **settings)

    return distance


def _constant_bandwidths(_target, x, y, mask_x=None, mask_y=None):
    """The default bandwidths as numbers: the ordinary derivative is the documented gradient."""
    sets = ((x, mask_x), (y, mask_y))
    median = torch.pdist(torch.cat([z.detach() if mask is None else z.detach()[mask] for z, mask in sets])).median()
    bandwidths = [median.item() * factor for factor in (0.25, 0.5, 1.0, 2.0, 4.0)]
    return functional.maximum_mean_discrepancy(x, y, bandwidths=bandwidths, mask=(mask_x, mask_y))


def _distance(function, variant="", surrogate=None, **settings):
    return Case(
        name=f"functional.{function.__name__}",
        variant=variant,
        build=lambda: _of_sets(function, **settings),
        arguments=(Samples("x", 4, mask="mask_x"), Samples("y", 4, mask="mask_y")),
        surrogate=surrogate,
        batch=7,
        exempt=STATISTIC,
    )


def _loss(loss, variant="", **settings):
    return Case(
        name=f"nn.{loss.__name__}",
        variant=variant,
        build=lambda: loss(**settings),
        gather=lambda: loss(gather=True, **settings),
        arguments=(Samples("x", 4), Samples("y", 4)),
        batch=7,
        exempt=STATISTIC,
    )


def _pairwise(loss, **settings):
    return Case(
        name=f"nn.{loss.__name__}",
        variant="pairwise",
        build=lambda widths: Pairwise(loss(**settings)),
        gather=lambda widths: Pairwise(loss(gather=True, **settings)),
        arguments=(Streams("codes", SAME_WIDTHS, masks="masks", pooled=True),),
        batch=7,
        exempt=STATISTIC,
    )


def _correlation(variant, **settings):
    arguments = (Samples("x", 4, mask="mask"), Samples("y", 3, like="x"))
    return [
        Case(
            name="functional.distance_correlation",
            variant=variant,
            build=lambda: partial(functional.distance_correlation, **settings),
            arguments=arguments,
            batch=6,
            exempt=STATISTIC,
        ),
        Case(
            name="nn.DistanceCorrelationLoss",
            variant=variant,
            build=lambda: DistanceCorrelationLoss(**settings),
            gather=lambda: DistanceCorrelationLoss(gather=True, **settings),
            arguments=arguments,
            batch=6,
            exempt=STATISTIC,
        ),
    ]


def _triplets(features, target, mask=None):
    """The rows in turn of one of two modalities."""
    modality = torch.arange(features.shape[0], device=features.device) % 2
    return functional.modality_triplet_loss(features, target, modality, mask=mask)


CASES = [
    _distance(functional.maximum_mean_discrepancy, surrogate=_constant_bandwidths),
    _distance(functional.maximum_mean_discrepancy, "biased", bandwidths=(0.5, 2.0), unbiased=False),
    _loss(MaximumMeanDiscrepancy, bandwidths=(1.0, 2.0)),
    _pairwise(MaximumMeanDiscrepancy, bandwidths=(1.0, 2.0)),
    _distance(functional.coral),
    _loss(CORALLoss),
    _pairwise(CORALLoss),
    _distance(functional.gaussian_wasserstein),
    _distance(functional.gaussian_wasserstein, "diagonal", diagonal=True),
    _loss(GaussianWassersteinLoss),
    _pairwise(GaussianWassersteinLoss, diagonal=True),
    *_correlation("biased"),
    *_correlation("unbiased", unbiased=True),
    Case(
        name="functional.total_variation",
        build=lambda: functional.total_variation,
        arguments=(Frames("x", 5, mask="mask"),),
    ),
    Case(
        name="functional.total_variation",
        variant="second-none",
        build=lambda: partial(functional.total_variation, order=2, reduction="none"),
        arguments=(Frames("x", 5, mask="mask"),),
        outputs=lambda terms: terms.sum(1),
    ),
    Case(
        name="nn.TotalVariationLoss",
        build=TotalVariationLoss,
        gather=lambda: TotalVariationLoss(gather=True),
        arguments=(Frames("x", 5, mask="mask"),),
    ),
    Case(
        name="functional.modality_triplet_loss",
        build=lambda: _triplets,
        arguments=(Samples("features", 4, mask="mask"), Labels("target", 2, like="features")),
        batch=8,
        exempt=STATISTIC,
    ),
    Case(
        name="nn.ModalityTripletLoss",
        build=lambda widths: ModalityTripletLoss(),
        gather=lambda widths: ModalityTripletLoss(gather=True),
        arguments=(Streams("codes", SAME_WIDTHS, masks="masks", pooled=True), Labels("target", 2)),
        batch=6,
        exempt=STATISTIC,
    ),
]

NO_CASE: dict[str, str] = {}
