"""Scores of sentiment regression by names that spell the definition, on torchmetrics."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.regression import MeanAbsoluteError, PearsonCorrCoef

from mmdisentangle._core.errors import ShapeError

# Maps sentiments to class indices.
Cut = Callable[[Tensor], Tensor]


class _Cut:
    """Judge the classes that sentiments fall into, in front of a torchmetrics score of classes."""

    mean_over = "micro"

    def __init__(self, cut: Cut, num_classes: int, *, skip_zero: bool = False, **options: Any) -> None:
        super().__init__(num_classes, average=self.mean_over, validate_args=False, **options)  # type: ignore[call-arg]
        self.cut, self.skip_zero, self.count = cut, skip_zero, num_classes

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add predicted and true sentiments, ``[B]`` or ``[B, 1]``."""
        preds, target = _pair(preds, target)
        if self.skip_zero:
            preds, target = preds[target != 0], target[target != 0]
        true = self.cut(target)
        # A batch without a sample to judge; torchmetrics cannot take it.
        if len(true):
            chosen = torch.where(preds.isnan(), (true + 1) % self.count, self.cut(preds))
            super().update(chosen, true)  # type: ignore[misc]

    def compute(self) -> Tensor:
        """Return the score, 0-dim; NaN where nothing was judged."""
        state: Any = self
        value: Tensor = super().compute()  # type: ignore[misc]
        return torch.where((state.tp + state.fn).sum() > 0, value, torch.nan)


class CutAccuracy(_Cut, MulticlassAccuracy):
    """Share of samples whose predicted sentiment falls into the class of the true one.

    Args:
        cut: function from sentiments to class indices.
        num_classes: number of classes.
        skip_zero: leave out samples whose true sentiment is exactly 0.
        **options: of every torchmetrics metric.

    Numerics:
        A NaN prediction is a wrong one. Without a sample to judge, the score is NaN.
    """


class CutF1(_Cut, MulticlassF1Score):
    """F1 of each class, averaged with the number of true samples as weights; arguments as of `CutAccuracy`."""

    mean_over = "weighted"


class _Clipped:
    """Clip predictions and truth to ``-limit..limit``, in front of a torchmetrics score of numbers."""

    def __init__(self, limit: float, **options: Any) -> None:
        super().__init__(**options)
        self.limit = limit

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add predicted and true sentiments, ``[B]`` or ``[B, 1]``."""
        preds, target = _pair(preds, target)
        super().update(  # type: ignore[misc]
            preds.clamp(-self.limit, self.limit), target.clamp(-self.limit, self.limit)
        )


class ClippedMeanAbsoluteError(_Clipped, MeanAbsoluteError):
    """Mean absolute error after predictions and truth have been clipped to ``-limit..limit``."""


class ClippedPearson(_Clipped, PearsonCorrCoef):
    """Pearson correlation after predictions and truth have been clipped to ``-limit..limit``."""


def at_least_zero(x: Tensor) -> Tensor:
    """0: negative; 1: zero or positive."""
    return (x >= 0).long()


def above_zero(x: Tensor) -> Tensor:
    """0: zero or negative; 1: positive."""
    return (x > 0).long()


class Rounded:
    """Clipped to ``-limit..limit``, then rounded (halves to the even number): ``2 limit + 1`` classes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def __call__(self, x: Tensor) -> Tensor:
        """Return class indices from 0."""
        # A conversion of NaN to an integer is undefined; what stands for it is counted as wrong elsewhere.
        return x.nan_to_num().clamp(-self.limit, self.limit).round().long() + self.limit


class Intervals:
    """Intervals open below and closed above, between ``edges``: a value on an edge belongs below it."""

    def __init__(self, *edges: float) -> None:
        self.edges = edges

    def __call__(self, x: Tensor) -> Tensor:
        """Return class indices from 0."""
        return torch.bucketize(x, torch.tensor(self.edges, dtype=x.dtype, device=x.device))


_SIMS_2, _SIMS_3, _SIMS_5 = Intervals(0.0), Intervals(-0.1, 0.1), Intervals(-0.7, -0.1, 0.1, 0.7)

SENTIMENT: dict[str, Callable[..., Metric]] = {
    "acc2_has0": lambda **o: CutAccuracy(at_least_zero, 2, **o),
    "f1_has0": lambda **o: CutF1(at_least_zero, 2, **o),
    "acc2_non0": lambda **o: CutAccuracy(above_zero, 2, skip_zero=True, **o),
    "f1_non0": lambda **o: CutF1(above_zero, 2, skip_zero=True, **o),
    "acc5": lambda **o: CutAccuracy(Rounded(2), 5, **o),
    "acc7": lambda **o: CutAccuracy(Rounded(3), 7, **o),
    "mae": MeanAbsoluteError,
    "corr": PearsonCorrCoef,
    "sims_acc2": lambda **o: CutAccuracy(_SIMS_2, 2, **o),
    "sims_acc3": lambda **o: CutAccuracy(_SIMS_3, 3, **o),
    "sims_acc5": lambda **o: CutAccuracy(_SIMS_5, 5, **o),
    "sims_f1": lambda **o: CutF1(_SIMS_2, 2, **o),
    "sims_mae": lambda **o: ClippedMeanAbsoluteError(1.0, **o),
    "sims_corr": lambda **o: ClippedPearson(1.0, **o),
}


def _pair(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if prediction.numel() != target.numel() or prediction.numel() != len(prediction):
        raise ShapeError(
            "sentiment scores: predictions and targets must be [B] or [B, 1] with the same B, got "
            f"{list(prediction.shape)} and {list(target.shape)}."
        )
    return prediction.reshape(-1).float(), target.reshape(-1).float()
