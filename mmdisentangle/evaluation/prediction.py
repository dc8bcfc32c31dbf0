"""Predictions of a trained model for a whole data set."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from mmdisentangle._core.errors import DataError, ModalityError
from mmdisentangle.data.batch import MultimodalBatch
from mmdisentangle.data.dataset import MultimodalDataset, Task
from mmdisentangle.data.loading import evaluation_loader
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.evaluation.scores import TaskScores


@dataclass(frozen=True)
class Predictions:
    """What a model says about every sample of a data set.

    Args:
        prediction: ``[N, num_outputs]``: logits for classes and labels, target units for a regression.
        target: ``[N]`` or ``[N, num_outputs]``; None where the samples have none.
        ids: name of each sample.
        task: kind of target.
        class_names: names of the outputs, where the data set has them.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
        >>> found = Predictions(logits, torch.tensor([0, 1, 1]), ("a", "b", "c"), "classification")
        >>> {name: round(score, 2) for name, score in found.scores().items()}
        {'accuracy': 0.67, 'macro_f1': 0.67}
    """

    prediction: Float[Tensor, "N O"]
    target: Shaped[Tensor, "N ..."] | None
    ids: tuple[str, ...]
    task: Task
    class_names: tuple[str, ...] | None = None

    def scores(self, metrics: Sequence[str] | None = None) -> dict[str, float]:
        """Return the scores named, or the task's usual ones, see `TaskScores`. Raises DataError without targets."""
        if self.target is None:
            raise DataError("Predictions.scores: the samples have no target to compare with.")
        # Whoever holds all predictions needs none of another process.
        scores = TaskScores(self.task, self.prediction.shape[-1], metrics, sync=False)
        scores.update(self.prediction, self.target)
        return {name: float(value) for name, value in scores.compute().items()}

    def write_csv(self, path: str | Path) -> None:
        """Write one row per sample: id, target, prediction, and the probability of each class or label."""
        names = self.class_names or tuple(str(index) for index in range(self.prediction.shape[-1]))
        with Path(path).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["id", *self._header(names)])
            for index, id_ in enumerate(self.ids):
                target = None if self.target is None else self.target[index]
                writer.writerow([id_, *self._row(names, self.prediction[index], target)])

    def _header(self, names: tuple[str, ...]) -> list[str]:
        if self.task == "classification":
            return ["target", "prediction", *(f"probability_{name}" for name in names)]
        if self.task == "multilabel":
            return [f"{part}_{name}" for part in ("target", "prediction", "probability") for name in names]
        if len(names) == 1:
            return ["target", "prediction"]
        return [f"{part}_{name}" for part in ("target", "prediction") for name in names]

    def _row(self, names: tuple[str, ...], prediction: Tensor, target: Tensor | None) -> list[str]:
        if self.task == "classification":
            true = "" if target is None else names[int(target)]
            return [true, names[int(prediction.argmax())], *_numbers(prediction.softmax(-1))]
        true_values = [""] * len(names) if target is None else _numbers(target.reshape(-1))
        if self.task == "multilabel":
            probability = prediction.sigmoid()
            return [*true_values, *_numbers((probability > 0.5).float()), *_numbers(probability)]
        return [*true_values, *_numbers(prediction)]


def predict(
    model: nn.Module,
    dataset: MultimodalDataset,
    *,
    standardizer: Standardizer | None = None,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
) -> Predictions:
    """Run a model over a data set, in evaluation mode and without gradients.

    Args:
        model: a module called as ``model(inputs, masks, present=...)``. Its mode is restored; it is moved to
            ``device``.
        dataset: samples as they were recorded.
        standardizer: the one fitted in training.
        batch_size: samples at a time.
        device: where to compute.

    Returns:
        Predictions on the CPU, in the order of the data set.

    Raises:
        DataError: there is no sample.

    Example:
        >>> from mmdisentangle import create_model
        >>> from mmdisentangle.data import load_dataset
        >>> data = load_dataset("basic-motions", "test")
        >>> model = create_model(
        ...     "late_fusion", modalities=data.modalities, num_outputs=4, task="classification"
        ... )
        >>> found = predict(model, data)
        >>> found.prediction.shape, found.class_names
        (torch.Size([40, 4]), ('Badminton', 'Running', 'Standing', 'Walking'))
    """
    if not len(dataset):
        raise DataError(f"predict: data set {dataset.name!r} has no sample.")
    if standardizer is not None:
        dataset = standardizer.apply(dataset)
    parts, targets = [], []
    with evaluating(model.to(device)):
        for batch in evaluation_loader(dataset, batch_size):
            # The type of a loader is that of its samples, not of what its collate function returns.
            collated: Any = batch
            parts.append(run_model(model, collated.to(device)).prediction.float().cpu())
            targets.append(collated.target)
    known = [target for target in targets if target is not None]
    return Predictions(
        torch.cat(parts),
        torch.cat(known) if len(known) == len(parts) else None,
        dataset.ids,
        dataset.task,
        dataset.class_names,
    )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, without gradients; every module gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def run_model(model: nn.Module, batch: MultimodalBatch) -> Any:
    """Call a model with a batch. One whose settings say ``honour_masks=False`` (published mode) is given no masks."""
    if getattr(getattr(model, "settings", None), "honour_masks", True):
        return model(batch.inputs, batch.masks, present=batch.present)
    return model(batch.inputs)


def check_same_kind(where: str, dataset: MultimodalDataset, trained_on: Mapping[str, Any]) -> None:
    """Require a data set to have the modalities and outputs that a run was trained on."""
    if dataset.modalities != trained_on["modalities"]:
        raise ModalityError(
            f"{where}: the run was trained on the modalities {trained_on['modalities']}, data set {dataset.name!r} has "
            f"{dataset.modalities}."
        )
    names = None if dataset.class_names is None else list(dataset.class_names)
    found = {"task": dataset.task, "num_outputs": dataset.num_outputs, "class_names": names}
    expected = {key: trained_on[key] for key in found}
    if found != expected:
        raise DataError(f"{where}: the run was trained for {expected}, data set {dataset.name!r} has {found}.")


def _numbers(values: Tensor) -> list[str]:
    return [f"{value:.7g}" for value in values.tolist()]
