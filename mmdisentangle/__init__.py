"""Drop-in multimodal disentanglement layers, losses and models for PyTorch."""

from mmdisentangle import functional, nn
from mmdisentangle.models import create_model, list_models
from mmdisentangle.nn import (
    CentralMomentDiscrepancy,
    DecoupledGraphFusion,
    GradientReversal,
    ModalityDiscriminator,
    OrthogonalityLoss,
    SharedPrivateEncoder,
    TemporalInvariantLoss,
    TextDrivenFusion,
)

__version__ = "0.1.0"

__all__ = [
    "CentralMomentDiscrepancy",
    "DecoupledGraphFusion",
    "GradientReversal",
    "ModalityDiscriminator",
    "OrthogonalityLoss",
    "SharedPrivateEncoder",
    "TemporalInvariantLoss",
    "TextDrivenFusion",
    "create_model",
    "functional",
    "list_models",
    "nn",
]
