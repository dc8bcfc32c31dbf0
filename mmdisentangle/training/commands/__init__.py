"""The commands of ``mmdisentangle``, one file per topic; importing this package registers them all."""

from mmdisentangle.training.commands import compare, data, report, robustness, train, use
from mmdisentangle.training.commands._app import app

__all__ = ["app", "compare", "data", "report", "robustness", "train", "use"]
