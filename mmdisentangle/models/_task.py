"""The task term of an objective: regression, classification or multi-label classification."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_choice, check_count, check_number, check_tensor
from mmdisentangle._core.distributed import sum_over_processes
from mmdisentangle._core.errors import DtypeError, SettingError, ShapeError
from mmdisentangle._core.numerics import at_least_float32

Task: TypeAlias = Literal["regression", "classification", "multilabel"]
TASKS = ("regression", "classification", "multilabel")


class TaskTerm(nn.Module):
    """Units of the prediction, and its loss against a target.

    Args:
        task: ``"regression"`` mean squared error; ``"classification"`` cross-entropy; ``"multilabel"`` binary
            cross-entropy.
        num_outputs: predicted numbers, classes or labels.
        class_weights: weight of each class (classification) or of each positive label (multilabel).
        label_smoothing: classification: share of the target spread over all classes.
        target_location: regression only: offset of the targets, one number or one per output.
        target_scale: regression only: spread of the targets. The network predicts ``(target - location) / scale``, the
            prediction is given back in the target's units, and the loss is taken without units.
        gather: take the mean over the samples of all processes.
    """

    location: Tensor
    scale: Tensor
    class_weights: Tensor | None

    def __init__(
        self,
        task: Task,
        num_outputs: int,
        *,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        target_location: float | Sequence[float] = 0.0,
        target_scale: float | Sequence[float] = 1.0,
        gather: bool = False,
    ) -> None:
        super().__init__()
        check_choice("task", "task", task, TASKS)
        check_count("task", "num_outputs", num_outputs)
        check_number("task", "label_smoothing", label_smoothing, low=0, high=1)
        if label_smoothing and task != "classification":
            raise SettingError(f"task: label_smoothing is for task='classification', got task={task!r}.")
        self.task, self.num_outputs, self.label_smoothing = task, num_outputs, label_smoothing
        self.gather = gather
        location = self._per_output("target_location", target_location)
        scale = self._per_output("target_scale", target_scale, positive=True)
        if task != "regression" and (any(location) or any(value != 1 for value in scale)):
            raise SettingError(f"task: target_location and target_scale are for task='regression', got task={task!r}.")
        if class_weights is not None:
            if task == "regression":
                raise SettingError(
                    "task: class_weights are for classification and multilabel tasks, got task='regression'."
                )
            class_weights = self._per_output("class_weights", list(class_weights), least=0.0)
        # They come from the settings, so checkpoints need not hold them.
        self.register_buffer("location", torch.tensor(location), persistent=False)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.register_buffer(
            "class_weights", None if class_weights is None else torch.tensor(class_weights), persistent=False
        )

    def _per_output(
        self, name: str, value: float | Sequence[float], *, positive: bool = False, least: float = -float("inf")
    ) -> list[float]:
        values = list(value) if isinstance(value, Sequence) else [value] * self.num_outputs
        if len(values) != self.num_outputs:
            raise SettingError(
                f"task: {name} must be one number or {self.num_outputs} (num_outputs), got {len(values)}."
            )
        for entry in values:
            check_number("task", name, entry, low=0.0 if positive else least, open_low=positive)
        return [float(entry) for entry in values]

    def in_units(self, raw: Tensor) -> Tensor:
        """Prediction in the units of the target, from the network's output."""
        return raw * self.scale.to(raw.dtype) + self.location.to(raw.dtype) if self.task == "regression" else raw

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss of a prediction ``[B, num_outputs]``, as `in_units` gives it; 0 for an empty batch."""
        check_tensor("objective", "target", target)
        prediction = at_least_float32(prediction)
        if self.task == "classification":
            return self._cross_entropy(prediction, target)
        if self.num_outputs == 1 and target.shape == prediction.shape[:1]:
            target = target.unsqueeze(-1)
        if target.shape != prediction.shape:
            also = f" or [{prediction.shape[0]}]" if self.num_outputs == 1 else ""
            raise ShapeError(
                f"objective: target must have shape {list(prediction.shape)}{also} for task={self.task!r}, "
                f"got {list(target.shape)}."
            )
        if self.task == "multilabel":
            target = target.to(prediction.dtype)
            terms = nn.functional.binary_cross_entropy_with_logits(
                prediction, target, reduction="none", pos_weight=self.class_weights
            )
        else:
            if not target.is_floating_point():
                raise DtypeError(f"objective: target must be floating for task='regression', got {target.dtype}.")
            terms = ((prediction - target.to(prediction.dtype)) / self.scale.to(prediction.dtype)).square()
        return self._mean(terms.sum(), terms.new_full((), terms.numel()))

    def _cross_entropy(self, prediction: Tensor, target: Tensor) -> Tensor:
        if target.dtype != torch.int64:
            raise DtypeError(
                f"objective: target must hold int64 class indices for task='classification', got {target.dtype}."
            )
        if target.shape != prediction.shape[:1]:
            raise ShapeError(
                f"objective: target must have shape {list(prediction.shape[:1])} for task='classification', "
                f"got {list(target.shape)}."
            )
        weights = None if self.class_weights is None else self.class_weights.to(prediction.dtype)
        total = nn.functional.cross_entropy(
            prediction, target, weights, reduction="sum", label_smoothing=self.label_smoothing
        )
        # The mean is over the weights; a batch of classes without weight costs nothing.
        weight = prediction.new_full((), prediction.shape[0]) if weights is None else weights[target].sum()
        return self._mean(total, weight)

    def _mean(self, total: Tensor, weight: Tensor) -> Tensor:
        if self.gather:
            total, weight = sum_over_processes(torch.stack((total, weight))).unbind()
        return total / torch.where(weight > 0, weight, torch.ones_like(weight))
