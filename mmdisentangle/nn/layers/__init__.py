"""Layers: parts of encoders, discriminators and fusions."""

from mmdisentangle.nn.layers.bilinear_gate import BilinearGate
from mmdisentangle.nn.layers.cross_modal_attention import CrossModalAttention
from mmdisentangle.nn.layers.gradient_reversal import GradientReversal
from mmdisentangle.nn.layers.modality_discriminator import DiscriminatorOutput, ModalityDiscriminator
from mmdisentangle.nn.layers.shared_private import SharedPrivateCodes, SharedPrivateEncoder
from mmdisentangle.nn.layers.temporal_conv import TemporalConvEncoder
from mmdisentangle.nn.layers.transformer_block import TransformerBlock

__all__ = [
    "BilinearGate",
    "CrossModalAttention",
    "DiscriminatorOutput",
    "GradientReversal",
    "ModalityDiscriminator",
    "SharedPrivateCodes",
    "SharedPrivateEncoder",
    "TemporalConvEncoder",
    "TransformerBlock",
]
