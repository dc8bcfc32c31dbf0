"""Evaluation: predictions of a trained model and their scores. Needs ``mmdisentangle[eval]``."""

from mmdisentangle._core.errors import require_extra

require_extra("torchmetrics", "eval")

from mmdisentangle.evaluation._verdict import Verdict  # noqa: E402
from mmdisentangle.evaluation.constant import constant_scores  # noqa: E402
from mmdisentangle.evaluation.factors import (  # noqa: E402
    DCI,
    Estimate,
    FactorMetrics,
    Modularity,
    MutualInformationGap,
    SeparatedAttributePredictability,
    dci,
    factor_metrics,
    modularity,
    mutual_information_gap,
    separated_attribute_predictability,
)
from mmdisentangle.evaluation.leakage import leakage  # noqa: E402
from mmdisentangle.evaluation.leakage_page import write_report  # noqa: E402
from mmdisentangle.evaluation.leakage_result import (  # noqa: E402
    Block,
    CodeHealth,
    Dependence,
    LeakageReport,
    PartUse,
    ProbePair,
)
from mmdisentangle.evaluation.permutation import PermutationTest, independence_test, two_sample_test  # noqa: E402
from mmdisentangle.evaluation.prediction import Predictions, predict  # noqa: E402
from mmdisentangle.evaluation.probes import ProbeScore, probe_score  # noqa: E402
from mmdisentangle.evaluation.robustness import robustness_curve  # noqa: E402
from mmdisentangle.evaluation.robustness_result import RobustnessCurve, RobustnessPoint  # noqa: E402
from mmdisentangle.evaluation.scores import TaskScores, list_metrics  # noqa: E402
from mmdisentangle.evaluation.verdicts import verdicts  # noqa: E402

__all__ = [
    "DCI",
    "Block",
    "CodeHealth",
    "Dependence",
    "Estimate",
    "FactorMetrics",
    "LeakageReport",
    "Modularity",
    "MutualInformationGap",
    "PartUse",
    "PermutationTest",
    "Predictions",
    "ProbePair",
    "ProbeScore",
    "RobustnessCurve",
    "RobustnessPoint",
    "SeparatedAttributePredictability",
    "TaskScores",
    "Verdict",
    "constant_scores",
    "dci",
    "factor_metrics",
    "independence_test",
    "leakage",
    "list_metrics",
    "modularity",
    "mutual_information_gap",
    "predict",
    "probe_score",
    "robustness_curve",
    "separated_attribute_predictability",
    "two_sample_test",
    "verdicts",
    "write_report",
]
