"""Losses as modules: the settings of a function, and gathering over processes."""

from mmdisentangle.nn.losses.central_moment_discrepancy import CentralMomentDiscrepancy
from mmdisentangle.nn.losses.cka import CKALoss
from mmdisentangle.nn.losses.hsic import HSICLoss
from mmdisentangle.nn.losses.orthogonality import OrthogonalityLoss
from mmdisentangle.nn.losses.reconstruction import ReconstructionLoss
from mmdisentangle.nn.losses.temporal_invariance import TemporalInvariantLoss

__all__ = [
    "CKALoss",
    "CentralMomentDiscrepancy",
    "HSICLoss",
    "OrthogonalityLoss",
    "ReconstructionLoss",
    "TemporalInvariantLoss",
]
