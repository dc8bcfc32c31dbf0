"""Cases of `mmdisentangle.nn`."""

import torch
from torch import nn

from mmdisentangle.nn import (
    BilinearGate,
    CentralMomentDiscrepancy,
    CKALoss,
    CrossModalAttention,
    GradientReversal,
    HSICLoss,
    ModalityDiscriminator,
    OrthogonalityLoss,
    ReconstructionLoss,
    SharedPrivateEncoder,
    TemporalConvEncoder,
    TemporalInvariantLoss,
    TextDrivenFusion,
    TransformerBlock,
)
from mmdisentangle.testing import Case, Frames, Samples, Streams
from tests.contract.cases_functional import BATCH_STATISTIC, COLUMNS, CONSTANT_NORMS, NO_HOOKS

WIDTHS = {"text": 5, "audio": 3, "vision": 4}
SAME_WIDTHS = {"text": 6, "audio": 6, "vision": 6}
STRAIGHT_THROUGH = "the gate is 0 or 1 with a straight-through gradient; BilinearGate is checked against its surrogate"


class PairwiseDiscrepancy(nn.Module):
    """`CentralMomentDiscrepancy.pairwise` as a forward."""

    def __init__(self, **settings):
        super().__init__()
        self.loss = CentralMomentDiscrepancy(**settings)

    def forward(self, codes, masks=None):
        return self.loss.pairwise(codes, masks)


class CarriedAttention(nn.Module):
    """`CrossModalAttention.with_carried` as a forward."""

    def __init__(self):
        super().__init__()
        self.attention = CrossModalAttention(6, num_heads=2, dropout=0.0)

    def forward(self, query, context, carried, context_mask=None):
        return self.attention.with_carried(query, context, carried, context_mask)


class ShowingDiscriminator(ModalityDiscriminator):
    """A discriminator without reversal, whose gradient is the derivative."""

    def forward(self, codes, masks=None):
        return super().forward(codes, masks, reverse=False)


def _dependence(loss, variant, **settings):
    return Case(
        name=f"nn.{loss.__name__}",
        variant=variant,
        build=lambda: loss(**settings),
        gather=lambda: loss(gather=True, **settings),
        arguments=(Samples("x", 4, mask="mask"), Samples("y", 3, like="x")),
        batch=6,
        exempt={"batch_independence": BATCH_STATISTIC},
    )


def _soft_gate(gate, x, y):
    soft = BilinearGate(6, gate_features=4, mode="soft", dropout=0.0)
    return torch.func.functional_call(soft, dict(gate.named_parameters()), (x, y))


def _discriminator(variant, layer, **settings):
    reverses = layer is ModalityDiscriminator
    return Case(
        name="nn.ModalityDiscriminator",
        variant=variant,
        build=lambda widths: layer(tuple(widths), 6, 8, dropout=0.0, **settings),
        gather=lambda widths: layer(tuple(widths), 6, 8, dropout=0.0, gather=True, **settings),
        arguments=(Streams("codes", SAME_WIDTHS, masks="masks"),),
        outputs=lambda output: {"loss": output.loss, "chance": output.chance},
        exempt={"derivative": "the gradient is reversed before the hidden layer, see gradient_reversal"}
        if reverses
        else {},
    )


def _fusion(variant, *, exempt=None, modes=("train", "eval"), streams=None, dropout=0.0, rates=None, **settings):
    return Case(
        name="nn.TextDrivenFusion",
        variant=variant,
        build=lambda widths: TextDrivenFusion(
            tuple(widths),
            6,
            query=next(iter(widths)),
            num_heads=2,
            dropout=dropout,
            gate_dropout=dropout,
            block_dropout=dropout,
            rates=None if rates is None else dict(zip(widths, rates, strict=True)),
            **settings,
        ),
        arguments=(
            Streams("private", SAME_WIDTHS, masks="masks", **(streams or {})),
            Streams("shared", SAME_WIDTHS, like="private", **(streams or {})),
        ),
        masked_by={"sequence": "mask", "gates.*": "mask", "mask": "mask"},
        modes=modes,
        exempt=exempt or {},
    )


CASES = [
    Case(
        name="nn.BilinearGate",
        variant="soft",
        build=lambda: BilinearGate(6, gate_features=4, mode="soft", dropout=0.0),
        arguments=(Frames("x", 6), Frames("y", 6)),
    ),
    Case(
        name="nn.BilinearGate",
        variant="hard",
        build=lambda: BilinearGate(6, gate_features=4, mode="hard", dropout=0.0),
        arguments=(Frames("x", 6), Frames("y", 6)),
        surrogate=_soft_gate,
    ),
    Case(
        name="nn.BilinearGate",
        variant="released",
        build=lambda: BilinearGate(6, gate_features=4, mode="released", dropout=0.0),
        arguments=(Frames("x", 6), Frames("y", 6)),
        surrogate=lambda gate, x, y: 0 * _soft_gate(gate, x, y),
        exempt={"parameters_learn": "the released gate has no gradient; that is why it is not the default"},
    ),
    Case(
        name="nn.CentralMomentDiscrepancy",
        build=CentralMomentDiscrepancy,
        gather=lambda: CentralMomentDiscrepancy(gather=True),
        arguments=(Samples("x", 4, domain=torch.sigmoid), Samples("y", 4, domain=torch.sigmoid)),
        batch=5,
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    Case(
        name="nn.CentralMomentDiscrepancy",
        variant="pairwise",
        build=lambda widths: PairwiseDiscrepancy(bounds=(-1.0, 1.0)),
        gather=lambda widths: PairwiseDiscrepancy(bounds=(-1.0, 1.0), gather=True),
        arguments=(Streams("codes", SAME_WIDTHS, masks="masks", pooled=True, domain=torch.tanh),),
        batch=5,
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    Case(
        name="nn.CrossModalAttention",
        build=lambda: CrossModalAttention(6, 4, num_heads=2, dropout=0.0),
        arguments=(Frames("query", 6), Frames("context", 4, mask="context_mask")),
    ),
    Case(
        name="nn.CrossModalAttention",
        variant="dropout",
        build=lambda: CrossModalAttention(6, num_heads=3, dropout=0.2),
        arguments=(Frames("query", 6), Frames("context", 6, mask="context_mask")),
        modes=("eval",),
    ),
    Case(
        name="nn.CrossModalAttention",
        variant="carried",
        build=CarriedAttention,
        arguments=(
            Frames("query", 6),
            Frames("context", 6, mask="context_mask"),
            Frames("carried", 6, like="context"),
        ),
    ),
    Case(
        name="nn.GradientReversal",
        build=lambda: GradientReversal(0.7),
        arguments=(Frames("x", 5),),
        surrogate=lambda layer, x: -layer.strength * x,
    ),
    _discriminator("reversed", ModalityDiscriminator),
    _discriminator("cosine-margin", ShowingDiscriminator),
    _discriminator("cross-entropy", ShowingDiscriminator, loss="cross_entropy"),
    Case(
        name="nn.ModalityDiscriminator",
        variant="pooled",
        build=lambda widths: ModalityDiscriminator(tuple(widths), 6, strength=-1.0, dropout=0.6),
        arguments=(Streams("codes", SAME_WIDTHS, masks="masks", pooled=True),),
        outputs=lambda output: {"loss": output.loss, "chance": output.chance},
        modes=("eval",),
    ),
    _dependence(CKALoss, "linear"),
    _dependence(CKALoss, "rbf", kernel="rbf", bandwidth=1.5),
    _dependence(HSICLoss, "linear"),
    _dependence(HSICLoss, "unbiased-normalized", unbiased=True, normalize=True),
    _dependence(HSICLoss, "rbf", kernel="rbf", bandwidth=1.5),
    Case(
        name="nn.OrthogonalityLoss",
        variant="rows",
        build=OrthogonalityLoss,
        gather=lambda: OrthogonalityLoss(gather=True),
        arguments=(Samples("x", 4, mask="mask"), Samples("y", 3, like="x")),
        batch=6,
        exempt={"batch_independence": BATCH_STATISTIC, "derivative": CONSTANT_NORMS},
    ),
    Case(
        name="nn.OrthogonalityLoss",
        variant="correlation",
        build=lambda: OrthogonalityLoss(form="correlation"),
        gather=lambda: OrthogonalityLoss(form="correlation", gather=True),
        arguments=(Samples("x", 4, mask="mask"), Samples("y", 3, like="x")),
        batch=6,
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    Case(
        name="nn.ReconstructionLoss",
        build=lambda widths: ReconstructionLoss(),
        gather=lambda widths: ReconstructionLoss(gather=True),
        arguments=(Streams("reconstruction", WIDTHS, masks="masks"), Streams("target", WIDTHS, like="reconstruction")),
    ),
    Case(
        name="nn.ReconstructionLoss",
        variant="detached",
        build=lambda widths: ReconstructionLoss(detach_target=True),
        arguments=(Streams("reconstruction", WIDTHS, masks="masks"), Streams("target", WIDTHS, like="reconstruction")),
        surrogate=lambda loss, reconstruction, target, masks: ReconstructionLoss()(
            reconstruction, {name: value.detach() for name, value in target.items()}, masks
        ),
    ),
    Case(
        name="nn.SharedPrivateEncoder",
        build=lambda widths: SharedPrivateEncoder(widths, 6),
        arguments=(Streams("inputs", WIDTHS, masks="masks"),),
        masked_by={"shared.*": "inputs.*", "private.*": "inputs.*", "projected.*": "inputs.*"},
    ),
    Case(
        name="nn.TemporalConvEncoder",
        build=lambda: TemporalConvEncoder(3, 6, num_blocks=2, kernel_size=3, dropout=0.0),
        arguments=(Frames("x", 3, mask="mask"),),
        masked_by={"output": "x"},
    ),
    Case(
        name="nn.TemporalInvariantLoss",
        build=TemporalInvariantLoss,
        gather=lambda: TemporalInvariantLoss(gather=True),
        arguments=(Frames("x", 5, mask="mask"),),
    ),
    Case(
        name="nn.TemporalInvariantLoss",
        variant="batch",
        build=lambda: TemporalInvariantLoss(aggregation="batch"),
        gather=lambda: TemporalInvariantLoss(aggregation="batch", gather=True),
        arguments=(Frames("x", 5, mask="mask"),),
        exempt=COLUMNS | {"batch_independence": BATCH_STATISTIC},
    ),
    _fusion("soft", gate="soft"),
    _fusion("hard", exempt={"derivative": STRAIGHT_THROUGH}),
    _fusion("off", gate="off"),
    _fusion("frame", gate="soft", gate_alignment="frame", share_gate_head=True, streams={"aligned": True}),
    _fusion("rates", gate="soft", rates=(1, 2, 3)),
    _fusion("checkpoint", gate="soft", checkpoint_activations=True, exempt=NO_HOOKS),
    _fusion("dropout", exempt={"derivative": STRAIGHT_THROUGH}, modes=("eval",), dropout=0.2),
    Case(
        name="nn.TransformerBlock",
        build=lambda: TransformerBlock(6, num_heads=2, feedforward_features=8, dropout=0.0),
        arguments=(Frames("x", 6, mask="mask"),),
        masked_by={"output": "x"},
    ),
    Case(
        name="nn.TransformerBlock",
        variant="dropout",
        build=lambda: TransformerBlock(6, feedforward_features=8, attention_dropout=0.1),
        arguments=(Frames("x", 6, mask="mask"),),
        masked_by={"output": "x"},
        modes=("eval",),
    ),
]

NO_CASE = {
    "nn.DiscriminatorOutput": "the result of ModalityDiscriminator",
    "nn.FusionOutput": "the result of TextDrivenFusion",
    "nn.SharedPrivateCodes": "the result of SharedPrivateEncoder",
    "nn.TextEncoder": "reads strings through a tokenizer; tests/nn/layers/test_text_encoder.py has its own checks",
    "nn.TextFeatures": "the result of TextEncoder",
    "nn.encode_texts": "reads strings through a tokenizer, without gradient",
}
