"""Evaluation: predictions of a trained model and their scores. Needs ``mmdisentangle[train]`` (torchmetrics)."""

from mmdisentangle._core.errors import require_extra

require_extra("torchmetrics", "train")

from mmdisentangle.evaluation.prediction import Predictions, predict  # noqa: E402
from mmdisentangle.evaluation.scores import TaskScores  # noqa: E402

__all__ = ["Predictions", "TaskScores", "predict"]
