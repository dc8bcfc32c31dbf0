"""Evaluation: predictions of a trained model and their scores. Needs ``mmdisentangle[eval]``."""

from mmdisentangle._core.errors import require_extra

require_extra("torchmetrics", "eval")

from mmdisentangle.evaluation.constant import constant_scores  # noqa: E402
from mmdisentangle.evaluation.permutation import PermutationTest, independence_test, two_sample_test  # noqa: E402
from mmdisentangle.evaluation.prediction import Predictions, predict  # noqa: E402
from mmdisentangle.evaluation.robustness import robustness_curve  # noqa: E402
from mmdisentangle.evaluation.robustness_result import RobustnessCurve  # noqa: E402
from mmdisentangle.evaluation.scores import TaskScores, list_metrics  # noqa: E402

__all__ = [
    "PermutationTest",
    "Predictions",
    "RobustnessCurve",
    "TaskScores",
    "constant_scores",
    "independence_test",
    "list_metrics",
    "predict",
    "robustness_curve",
    "two_sample_test",
]
