"""Cases of `mmdisentangle.functional` and of its twins in `mmdisentangle.kernels`."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmdisentangle import functional, kernels
from mmdisentangle.testing import Case, Frames, Labels, Samples, Weight

BATCH_STATISTIC = "a statistic of the whole batch"
NO_HOOKS = dict.fromkeys(
    ("func_grad", "vmap"), "torch.func refuses the hooks on saved tensors that activation checkpointing is made of"
)
COLUMNS = {"padding_side": "batch aggregation averages columns as they stand, so it wants padding on the right"}
CONSTANT_NORMS = (
    "the norms count as constants, as published; functional.orthogonality is checked against that surrogate"
)


def _cmd(x: Tensor, y: Tensor, mask_x: Tensor | None = None, mask_y: Tensor | None = None) -> Tensor:
    return functional.central_moment_discrepancy(x, y, mask=(mask_x, mask_y))


def _pool_pairs(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Two real frames in a row make a segment."""
    positions = torch.arange(x.shape[1]).expand(x.shape[:2]) if mask is None else functional.frame_positions(mask)
    segments = positions // 2 if mask is None else torch.where(mask, positions // 2, -1)
    return functional.pool_segments(x, segments.to(x.device), 4).values


def _dependence(name: str, variant: str, **settings: Any) -> Case:
    """HSIC or CKA; the median distances are numbers to their gradient."""
    function = getattr(functional, name)

    def constant_bandwidths(_target: object, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        keep = torch.ones(x.shape[0], dtype=torch.bool) if mask is None else mask
        x, y = (z / torch.pdist(z.detach()[keep]).median() for z in (x, y))
        return function(x, y, mask=mask, **settings, bandwidth=1.0)

    return Case(
        name=f"functional.{name}",
        variant=variant,
        build=lambda: partial(function, **settings),
        arguments=(Samples("x", 4, mask="mask"), Samples("y", 3, like="x")),
        surrogate=constant_bandwidths if settings.get("kernel") == "rbf" and "bandwidth" not in settings else None,
        batch=6,
        exempt={"batch_independence": BATCH_STATISTIC},
    )


def _masked_mean(x: Tensor, mask: Tensor | None = None) -> Tensor:
    return functional.masked_mean(x, mask, 1)


def _orthogonality_constant_norms(_target: object, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """The published form with the norms as numbers: its ordinary derivative is the documented gradient."""
    keep = torch.ones(x.shape[0], dtype=torch.bool) if mask is None else mask

    def unit(z: Tensor) -> Tensor:
        z = torch.where(keep[:, None], z, 0)
        z = torch.where(keep[:, None], z - z.sum(0) / keep.sum(), 0)
        return z / norms[z.shape[1]]

    norms = {}
    for z in (x, y):
        z = torch.where(keep[:, None], z.detach(), 0)
        z = torch.where(keep[:, None], z - z.sum(0) / keep.sum(), 0)
        norms[z.shape[1]] = torch.where(keep, z.norm(dim=1), 1)[:, None]
    return (unit(x).mT @ unit(y)).square().sum() / (x.shape[1] * y.shape[1])


def _predictive(mode: str, window: int | None = None) -> Case:
    """Two heads and two layers: the second reads the map of the first, which is seen as one number per query."""

    def attend(
        q: Tensor, k: Tensor, v: Tensor, conv_weight: Tensor, conv_bias: Tensor, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        q, k, v = (x.unflatten(-1, (2, -1)).transpose(1, 2) for x in (q, k, v))
        options = {"window": window, "mask": mask}
        first = functional.predictive_attention(q, k, v, **options)
        second = functional.predictive_attention(
            first.output, k, v, first.logits, conv_weight, conv_bias, mu=0.4, mode=mode, **options
        )
        return {"output": second.output.transpose(1, 2).flatten(2), "logits": first.logits.sum(-1).mT}

    return Case(
        name="functional.predictive_attention",
        variant=mode if window is None else f"{mode}-window",
        build=lambda: attend,
        arguments=(
            Frames("q", 6, mask="mask"),
            Frames("k", 6, like="q"),
            Frames("v", 6, like="q"),
            Weight("conv_weight", (2, 2, 3, 3)),
            Weight("conv_bias", (2,)),
        ),
        masked_by={"output": "q", "logits": "q"},
    )


def _temporal(divergence: str, aggregation: str) -> Case:
    return Case(
        name="functional.temporal_invariance",
        variant=f"{divergence}-{aggregation}",
        build=lambda: partial(functional.temporal_invariance, divergence=divergence, aggregation=aggregation),
        arguments=(Frames("x", 5, mask="mask"),),
        exempt=COLUMNS | {"batch_independence": BATCH_STATISTIC} if aggregation == "batch" else {},
    )


CASES = [
    *(
        _temporal(divergence, aggregation)
        for divergence in ("js", "kl", "symmetric_kl", "total_variation", "gaussian_w2")
        for aggregation in ("sample", "batch")
    ),
    Case(
        name="functional.temporal_invariance",
        variant="none",
        build=lambda: partial(functional.temporal_invariance, reduction="none", temperature=2.0),
        arguments=(Frames("x", 5, mask="mask"),),
        outputs=lambda pairs: pairs.sum(1),
    ),
    Case(
        name="kernels.temporal_invariance",
        build=lambda: kernels.temporal_invariance,
        arguments=(Frames("x", 5, mask="mask"),),
    ),
    Case(
        name="functional.central_moment_discrepancy",
        build=lambda: _cmd,
        arguments=(
            Samples("x", 4, mask="mask_x", domain=torch.sigmoid),
            Samples("y", 4, mask="mask_y", domain=torch.sigmoid),
        ),
        batch=5,
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    Case(
        name="functional.central_moments",
        build=lambda: functional.central_moments,
        arguments=(Samples("x", 4, mask="mask", domain=torch.sigmoid),),
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    Case(
        name="functional.moment_distance",
        build=lambda: functional.moment_distance,
        arguments=(Weight("moments_x", (5, 4)), Weight("moments_y", (5, 4))),
    ),
    Case(
        name="functional.cosine_logits",
        build=lambda: functional.cosine_logits,
        arguments=(Samples("features", 5), Weight("prototypes", (3, 5))),
    ),
    Case(
        name="functional.cosine_margin_loss",
        build=lambda: functional.cosine_margin_loss,
        arguments=(
            Samples("features", 5, mask="mask"),
            Weight("prototypes", (4, 5)),
            Labels("target", 4, like="features"),
        ),
    ),
    Case(
        name="functional.cosine_margin_loss",
        variant="none",
        build=lambda: partial(functional.cosine_margin_loss, reduction="none"),
        arguments=(
            Samples("features", 5, mask="mask"),
            Weight("prototypes", (4, 5)),
            Labels("target", 4, like="features"),
        ),
        masked_by={"output": "features"},
    ),
    Case(
        name="functional.factorized_bilinear",
        build=lambda: functional.factorized_bilinear,
        arguments=(Samples("x", 5), Samples("y", 3), Weight("weight_x", (8, 5)), Weight("weight_y", (8, 3))),
    ),
    Case(
        name="functional.gradient_reversal",
        build=lambda: partial(functional.gradient_reversal, strength=0.7),
        arguments=(Frames("x", 5),),
        surrogate=lambda _, x: -0.7 * x,
    ),
    Case(
        name="functional.masked_mean",
        build=lambda: _masked_mean,
        arguments=(Frames("x", 5, mask="mask"),),
    ),
    Case(
        name="functional.masked_mean_square",
        build=lambda: functional.masked_mean_square,
        arguments=(Frames("x", 5, mask="mask"),),
    ),
    _dependence("cka", "linear"),
    _dependence("cka", "rbf-unbiased", kernel="rbf", unbiased=True),
    _dependence("hsic", "linear"),
    _dependence("hsic", "unbiased", unbiased=True),
    _dependence("hsic", "rbf", kernel="rbf", bandwidth=1.5),
    _dependence("hsic", "rbf-median", kernel="rbf"),
    Case(
        name="functional.orthogonality",
        variant="rows",
        build=lambda: functional.orthogonality,
        arguments=(Samples("x", 4, mask="mask"), Samples("y", 3, like="x")),
        surrogate=_orthogonality_constant_norms,
        batch=6,
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    Case(
        name="functional.orthogonality",
        variant="correlation",
        build=lambda: partial(functional.orthogonality, form="correlation"),
        arguments=(Samples("x", 4, mask="mask"), Samples("y", 3, like="x")),
        batch=6,
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    *(_predictive(mode, window) for window in (None, 2) for mode in ("paper", "convex", "logit")),
    Case(
        name="functional.pool_segments",
        build=lambda: _pool_pairs,
        arguments=(Frames("x", 4, mask="mask"),),
    ),
    Case(
        name="functional.sinusoidal_positions",
        build=lambda: partial(functional.sinusoidal_positions, features=4),
        arguments=(Samples("positions", 5),),
        exempt={"derivative": "the encoding is float32 whatever the positions are, too coarse for gradcheck"},
    ),
]

NO_CASE = {
    "functional.PooledSegments": "the result of pool_segments",
    "functional.PredictiveAttention": "the result of predictive_attention",
    "functional.attention_mask_to_mask": "converts masks; nothing to differentiate",
    "functional.frame_positions": "numbers the frames of a mask; nothing to differentiate",
    "functional.key_padding_mask_to_mask": "converts masks; nothing to differentiate",
    "functional.lengths_to_mask": "converts masks; nothing to differentiate",
    "functional.mask_to_attention_mask": "converts masks; nothing to differentiate",
    "functional.mask_to_key_padding_mask": "converts masks; nothing to differentiate",
    "functional.mask_to_lengths": "converts masks; nothing to differentiate",
}
