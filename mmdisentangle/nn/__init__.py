"""Modules: state, defaults and repr around the mathematics of `mmdisentangle.functional`."""

from mmdisentangle.nn.fusion import FusionOutput, TextDrivenFusion
from mmdisentangle.nn.layers import (
    BilinearGate,
    CrossModalAttention,
    DiscriminatorOutput,
    GradientReversal,
    ModalityDiscriminator,
    SharedPrivateCodes,
    SharedPrivateEncoder,
    TemporalConvEncoder,
    TransformerBlock,
)
from mmdisentangle.nn.losses import (
    CentralMomentDiscrepancy,
    OrthogonalityLoss,
    ReconstructionLoss,
    TemporalInvariantLoss,
)

__all__ = [
    "BilinearGate",
    "CentralMomentDiscrepancy",
    "CrossModalAttention",
    "DiscriminatorOutput",
    "FusionOutput",
    "GradientReversal",
    "ModalityDiscriminator",
    "OrthogonalityLoss",
    "ReconstructionLoss",
    "SharedPrivateCodes",
    "SharedPrivateEncoder",
    "TemporalConvEncoder",
    "TemporalInvariantLoss",
    "TextDrivenFusion",
    "TransformerBlock",
]
