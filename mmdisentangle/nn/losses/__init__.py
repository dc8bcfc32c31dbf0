"""Losses as modules: the settings of a function, and gathering over processes."""

from mmdisentangle.nn.losses.barlow_twins import BarlowTwinsLoss
from mmdisentangle.nn.losses.central_moment_discrepancy import CentralMomentDiscrepancy
from mmdisentangle.nn.losses.cka import CKALoss
from mmdisentangle.nn.losses.club import CLUB, CLUBCategorical
from mmdisentangle.nn.losses.coral import CORALLoss
from mmdisentangle.nn.losses.critic_bounds import MINE, NWJ
from mmdisentangle.nn.losses.cycle_reconstruction import CycleReconstructionLoss
from mmdisentangle.nn.losses.distance_correlation import DistanceCorrelationLoss
from mmdisentangle.nn.losses.gaussian_wasserstein import GaussianWassersteinLoss
from mmdisentangle.nn.losses.hsic import HSICLoss
from mmdisentangle.nn.losses.info_nce import InfoNCELoss
from mmdisentangle.nn.losses.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from mmdisentangle.nn.losses.modality_triplet import ModalityTripletLoss
from mmdisentangle.nn.losses.orthogonality import OrthogonalityLoss
from mmdisentangle.nn.losses.reconstruction import ReconstructionLoss
from mmdisentangle.nn.losses.similarity_preserving import SimilarityPreservingLoss
from mmdisentangle.nn.losses.temporal_invariance import TemporalInvariantLoss
from mmdisentangle.nn.losses.total_variation import TotalVariationLoss
from mmdisentangle.nn.losses.vicreg import VICRegLoss

__all__ = [
    "CLUB",
    "MINE",
    "NWJ",
    "BarlowTwinsLoss",
    "CKALoss",
    "CLUBCategorical",
    "CORALLoss",
    "CentralMomentDiscrepancy",
    "CycleReconstructionLoss",
    "DistanceCorrelationLoss",
    "GaussianWassersteinLoss",
    "HSICLoss",
    "InfoNCELoss",
    "MaximumMeanDiscrepancy",
    "ModalityTripletLoss",
    "OrthogonalityLoss",
    "ReconstructionLoss",
    "SimilarityPreservingLoss",
    "TemporalInvariantLoss",
    "TotalVariationLoss",
    "VICRegLoss",
]
