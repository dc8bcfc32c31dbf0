"""Pure mathematics on tensors: the definition of every quantity. No state, no side effects."""

from mmdisentangle._core.masks import (
    attention_mask_to_mask,
    frame_positions,
    key_padding_mask_to_mask,
    lengths_to_mask,
    mask_to_attention_mask,
    mask_to_key_padding_mask,
    mask_to_lengths,
)
from mmdisentangle.functional.central_moment_discrepancy import (
    central_moment_discrepancy,
    central_moments,
    moment_distance,
)
from mmdisentangle.functional.cka import cka
from mmdisentangle.functional.cosine_margin import cosine_logits, cosine_margin_loss
from mmdisentangle.functional.factorized_bilinear import factorized_bilinear
from mmdisentangle.functional.gradient_reversal import gradient_reversal
from mmdisentangle.functional.hsic import hsic
from mmdisentangle.functional.masked_pooling import masked_max, masked_mean, masked_mean_square
from mmdisentangle.functional.modality_graph_attention import ModalityGraphAttention, modality_graph_attention
from mmdisentangle.functional.orthogonality import orthogonality
from mmdisentangle.functional.predictive_attention import PredictiveAttention, predictive_attention
from mmdisentangle.functional.segment_pooling import PooledSegments, pool_segments
from mmdisentangle.functional.sinusoidal_positions import sinusoidal_positions
from mmdisentangle.functional.temporal_graph_attention import temporal_graph_attention
from mmdisentangle.functional.temporal_invariance import temporal_invariance

__all__ = [
    "ModalityGraphAttention",
    "PooledSegments",
    "PredictiveAttention",
    "attention_mask_to_mask",
    "central_moment_discrepancy",
    "central_moments",
    "cka",
    "cosine_logits",
    "cosine_margin_loss",
    "factorized_bilinear",
    "frame_positions",
    "gradient_reversal",
    "hsic",
    "key_padding_mask_to_mask",
    "lengths_to_mask",
    "mask_to_attention_mask",
    "mask_to_key_padding_mask",
    "mask_to_lengths",
    "masked_max",
    "masked_mean",
    "masked_mean_square",
    "modality_graph_attention",
    "moment_distance",
    "orthogonality",
    "pool_segments",
    "predictive_attention",
    "sinusoidal_positions",
    "temporal_graph_attention",
    "temporal_invariance",
]
