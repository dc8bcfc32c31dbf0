"""Layers: parts of encoders, discriminators and fusions."""

from mmdisentangle.nn.layers.bilinear_gate import BilinearGate
from mmdisentangle.nn.layers.cross_modal_attention import CrossModalAttention
from mmdisentangle.nn.layers.cross_modal_transformer import CrossModalTransformer
from mmdisentangle.nn.layers.double_discriminator import DoubleDiscriminator, DoubleDiscriminatorOutput
from mmdisentangle.nn.layers.gradient_reversal import GradientReversal
from mmdisentangle.nn.layers.hierarchical_attention import HierarchicalCrossModalAttention
from mmdisentangle.nn.layers.modality_discriminator import DiscriminatorOutput, ModalityDiscriminator
from mmdisentangle.nn.layers.modality_reinforcement import ModalityReinforcementUnit
from mmdisentangle.nn.layers.modality_weighting import ModalityWeighting, ModalityWeightingOutput
from mmdisentangle.nn.layers.predictive_self_attention import PredictiveSelfAttention, PredictiveSelfAttentionOutput
from mmdisentangle.nn.layers.recurrent_encoder import RecurrentEncoder
from mmdisentangle.nn.layers.shared_private import SharedPrivateCodes, SharedPrivateEncoder
from mmdisentangle.nn.layers.temporal_conv import TemporalConvEncoder
from mmdisentangle.nn.layers.text_encoder import TextEncoder, TextFeatures, encode_texts
from mmdisentangle.nn.layers.transformer_block import TransformerBlock
from mmdisentangle.nn.layers.utterance_encoder import RecurrentUtteranceEncoder

__all__ = [
    "BilinearGate",
    "CrossModalAttention",
    "CrossModalTransformer",
    "DiscriminatorOutput",
    "DoubleDiscriminator",
    "DoubleDiscriminatorOutput",
    "GradientReversal",
    "HierarchicalCrossModalAttention",
    "ModalityDiscriminator",
    "ModalityReinforcementUnit",
    "ModalityWeighting",
    "ModalityWeightingOutput",
    "PredictiveSelfAttention",
    "PredictiveSelfAttentionOutput",
    "RecurrentEncoder",
    "RecurrentUtteranceEncoder",
    "SharedPrivateCodes",
    "SharedPrivateEncoder",
    "TemporalConvEncoder",
    "TextEncoder",
    "TextFeatures",
    "TransformerBlock",
    "encode_texts",
]
