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
from mmdisentangle.functional.barlow_twins import barlow_twins
from mmdisentangle.functional.central_moment_discrepancy import (
    central_moment_discrepancy,
    central_moments,
    moment_distance,
)
from mmdisentangle.functional.cka import cka
from mmdisentangle.functional.club import club, club_categorical, gaussian_log_likelihood
from mmdisentangle.functional.coral import coral
from mmdisentangle.functional.cosine_margin import cosine_logits, cosine_margin_loss
from mmdisentangle.functional.critic_bounds import donsker_varadhan, nwj
from mmdisentangle.functional.cycle_reconstruction import cycle_reconstruction
from mmdisentangle.functional.distance_correlation import distance_correlation
from mmdisentangle.functional.factorized_bilinear import factorized_bilinear
from mmdisentangle.functional.gaussian_wasserstein import gaussian_wasserstein
from mmdisentangle.functional.gradient_reversal import gradient_reversal
from mmdisentangle.functional.hsic import hsic
from mmdisentangle.functional.info_nce import info_nce
from mmdisentangle.functional.masked_pooling import masked_max, masked_mean, masked_mean_square
from mmdisentangle.functional.maximum_mean_discrepancy import maximum_mean_discrepancy
from mmdisentangle.functional.modality_graph_attention import ModalityGraphAttention, modality_graph_attention
from mmdisentangle.functional.modality_triplet import modality_triplet_loss
from mmdisentangle.functional.orthogonality import orthogonality
from mmdisentangle.functional.predictive_attention import PredictiveAttention, predictive_attention
from mmdisentangle.functional.segment_pooling import PooledSegments, pool_segments
from mmdisentangle.functional.similarity_preserving import similarity_preserving
from mmdisentangle.functional.sinusoidal_positions import sinusoidal_positions
from mmdisentangle.functional.temporal_graph_attention import temporal_graph_attention
from mmdisentangle.functional.temporal_invariance import temporal_invariance
from mmdisentangle.functional.total_variation import total_variation
from mmdisentangle.functional.vicreg import VICReg, vicreg

__all__ = [
    "ModalityGraphAttention",
    "PooledSegments",
    "PredictiveAttention",
    "VICReg",
    "attention_mask_to_mask",
    "barlow_twins",
    "central_moment_discrepancy",
    "central_moments",
    "cka",
    "club",
    "club_categorical",
    "coral",
    "cosine_logits",
    "cosine_margin_loss",
    "cycle_reconstruction",
    "distance_correlation",
    "donsker_varadhan",
    "factorized_bilinear",
    "frame_positions",
    "gaussian_log_likelihood",
    "gaussian_wasserstein",
    "gradient_reversal",
    "hsic",
    "info_nce",
    "key_padding_mask_to_mask",
    "lengths_to_mask",
    "mask_to_attention_mask",
    "mask_to_key_padding_mask",
    "mask_to_lengths",
    "masked_max",
    "masked_mean",
    "masked_mean_square",
    "maximum_mean_discrepancy",
    "modality_graph_attention",
    "modality_triplet_loss",
    "moment_distance",
    "nwj",
    "orthogonality",
    "pool_segments",
    "predictive_attention",
    "similarity_preserving",
    "sinusoidal_positions",
    "temporal_graph_attention",
    "temporal_invariance",
    "total_variation",
    "vicreg",
]
