"""Scores of disentanglement for codes whose true factors are known: DCI, MIG, SAP, modularity.

All of them read a matrix of how much each code says about each factor. What unrelated codes reach is measured by
permuting the factors, and taken off first: a matrix entry that is no larger counts as 0.
"""

from mmdisentangle.evaluation.factors.dci import DCI, dci
from mmdisentangle.evaluation.factors.modularity import Modularity, modularity
from mmdisentangle.evaluation.factors.mutual_information_gap import MutualInformationGap, mutual_information_gap
from mmdisentangle.evaluation.factors.separated_attributes import (
    SeparatedAttributePredictability,
    separated_attribute_predictability,
)
from mmdisentangle.evaluation.factors.summary import Estimate, FactorMetrics, factor_metrics

__all__ = [
    "DCI",
    "Estimate",
    "FactorMetrics",
    "Modularity",
    "MutualInformationGap",
    "SeparatedAttributePredictability",
    "dci",
    "factor_metrics",
    "modularity",
    "mutual_information_gap",
    "separated_attribute_predictability",
]
