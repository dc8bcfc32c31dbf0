"""Cases of the estimators of mutual information."""

import copy
from functools import partial

import torch

from mmdisentangle import functional
from mmdisentangle.nn import CLUB, MINE, NWJ, CLUBCategorical, InfoNCELoss
from mmdisentangle.testing import Case, Labels, Samples, Streams, Weight
from tests.contract.cases_functional import BATCH_STATISTIC

OF_THE_BATCH = {"batch_independence": BATCH_STATISTIC}
FAR_FROM_FITTED = {
    "half_precision_range": "the gradient grows with the square of codes an untrained q is far from, beyond float16"
}
EXPONENTIAL = {"half_precision_range": "the gradient grows with the exponential of the scores, beyond float16"}
WIDTHS = {"text": 5, "audio": 5, "vision": 5}


class PairwiseInfoNCE(InfoNCELoss):
    """`InfoNCELoss.pairwise` as a forward."""

    def forward(self, codes, masks=None):
        return self.pairwise(codes, masks)


def _frozen(target):
    return copy.deepcopy(target).requires_grad_(False)


def _two_gradients(target, x, y, mask=None):
    """The codes see the bound of a fixed q, and in training q sees the likelihood of fixed codes."""
    bound = _frozen(target).estimate(x, y, mask)
    return bound + target.learning_loss(x, y, mask) if target.training else bound


def _critic_climbs(target, x, y, mask=None):
    """The codes lower or raise the bound of a fixed critic; in training the critic of fixed codes raises it."""
    bound = _frozen(target).estimate(x, y, mask) * (1 if target.objective == "minimize" else -1)
    return bound - target.estimate(x.detach(), y.detach(), mask) if target.training else bound


def _critic(bound, variant, exempt=None, **settings):
    return Case(
        name=f"nn.{bound.__name__}",
        variant=variant,
        build=lambda: bound(4, 3, **settings),
        gather=lambda: bound(4, 3, gather=True, **settings),
        arguments=(Samples("x", 4, mask="mask"), Samples("y", 3, like="x")),
        surrogate=_critic_climbs,
        # In training the gradient of MINE depends on the batches before.
        modes=("eval",) if bound is MINE else ("train", "eval"),
        batch=6,
        exempt=OF_THE_BATCH | (exempt or {}),
    )


def _of_products(name):
    """A bound whose critic is the inner product."""

    def bound(x, y, mask=None):
        if mask is not None:
            x, y = (torch.where(mask.unsqueeze(1), codes, 0) for codes in (x, y))
        scores = x @ y.mT
        pairs = None if mask is None else mask & mask.unsqueeze(1)
        return getattr(functional, name)(scores.diagonal(), scores, mask=mask, marginal_mask=pairs)

    return bound


def _info_nce(variant, *more, **settings):
    widths = (5, 3) if more else (5, 5)
    return Case(
        name="functional.info_nce",
        variant=variant,
        build=lambda: partial(functional.info_nce, **settings),
        arguments=(Samples("x", widths[0], mask="mask"), Samples("y", widths[1], like="x"), *more),
        batch=5,
        exempt=OF_THE_BATCH,
    )


def _info_nce_loss(variant, widths=(5, 5), **settings):
    return Case(
        name="nn.InfoNCELoss",
        variant=variant,
        build=lambda: InfoNCELoss(**settings),
        gather=lambda: InfoNCELoss(gather=True, **settings),
        arguments=(Samples("x", widths[0], mask="mask"), Samples("y", widths[1], like="x")),
        batch=5,
        exempt=OF_THE_BATCH,
    )


CASES = [
    _info_nce("cosine"),
    _info_nce("both", negatives="both", temperature=0.5),
    _info_nce("bilinear", Weight("weight", (5, 3)), critic="bilinear", symmetric=False, temperature=1.0),
    Case(
        name="functional.info_nce",
        variant="none",
        build=lambda: partial(functional.info_nce, critic="dot", reduction="none"),
        arguments=(Samples("x", 4, mask="mask"), Samples("y", 4, like="x")),
        masked_by={"output": "x"},
        batch=5,
        exempt=OF_THE_BATCH,
    ),
    _info_nce_loss("cosine"),
    _info_nce_loss("both", negatives="both", critic="dot", temperature=2.0),
    _info_nce_loss("bilinear", (5, 3), critic="bilinear", features=(5, 3), temperature=1.0, reduction="sum"),
    Case(
        name="nn.InfoNCELoss",
        variant="pairwise",
        build=lambda widths: PairwiseInfoNCE(),
        gather=lambda widths: PairwiseInfoNCE(gather=True),
        arguments=(Streams("codes", WIDTHS, masks="masks", pooled=True),),
        batch=5,
        exempt=OF_THE_BATCH,
    ),
    Case(
        name="functional.club",
        build=lambda: functional.club,
        arguments=(
            Samples("mean", 3, mask="mask"),
            Samples("log_variance", 3, like="mean", domain=torch.tanh),
            Samples("y", 3, like="mean"),
        ),
        batch=5,
        exempt=OF_THE_BATCH,
    ),
    Case(
        name="functional.gaussian_log_likelihood",
        build=lambda: functional.gaussian_log_likelihood,
        arguments=(
            Samples("mean", 3, mask="mask"),
            Samples("log_variance", 3, like="mean", domain=torch.tanh),
            Samples("y", 3, like="mean"),
        ),
    ),
    Case(
        name="functional.club_categorical",
        variant="classes",
        build=lambda: functional.club_categorical,
        arguments=(Samples("logits", 4, mask="mask"), Labels("y", 4, like="logits")),
        batch=5,
    ),
    Case(
        name="functional.club_categorical",
        variant="weights",
        build=lambda: partial(functional.club_categorical, unbiased=False),
        arguments=(
            Samples("logits", 4, mask="mask"),
            Samples("y", 4, like="logits", domain=lambda x: x.softmax(-1)),
        ),
        batch=5,
        exempt=OF_THE_BATCH,
    ),
    Case(
        name="nn.CLUB",
        build=lambda: CLUB(4, 3),
        gather=lambda: CLUB(4, 3, gather=True),
        arguments=(Samples("x", 4, mask="mask"), Samples("y", 3, like="x")),
        surrogate=_two_gradients,
        batch=6,
        exempt=OF_THE_BATCH | FAR_FROM_FITTED,
    ),
    Case(
        name="nn.CLUBCategorical",
        variant="classes",
        build=lambda: CLUBCategorical(4, 3),
        gather=lambda: CLUBCategorical(4, 3, gather=True),
        arguments=(Samples("x", 4, mask="mask"), Labels("y", 3, like="x")),
        surrogate=_two_gradients,
        batch=6,
    ),
    Case(
        name="nn.CLUBCategorical",
        variant="weights",
        build=lambda: CLUBCategorical(4, 3, num_layers=3),
        gather=lambda: CLUBCategorical(4, 3, num_layers=3, gather=True),
        arguments=(Samples("x", 4, mask="mask"), Samples("y", 3, like="x", domain=lambda x: x.softmax(-1))),
        surrogate=_two_gradients,
        batch=6,
        exempt=OF_THE_BATCH,
    ),
    *(
        Case(
            name=f"functional.{name}",
            build=lambda name=name: _of_products(name),
            arguments=(Samples("x", 3, mask="mask"), Samples("y", 3, like="x")),
            batch=5,
            exempt=OF_THE_BATCH | exempt,
        )
        for name, exempt in (("donsker_varadhan", {}), ("nwj", EXPONENTIAL))
    ),
    _critic(MINE, "separable"),
    _critic(MINE, "joint", critic="joint", negatives="shift", objective="maximize"),
    _critic(NWJ, "separable", EXPONENTIAL, negatives="shift"),
    _critic(NWJ, "joint", critic="joint", objective="maximize"),
]

NO_CASE: dict[str, str] = {}
