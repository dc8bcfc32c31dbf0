"""The Lightning module around any model of the zoo, or of the user's own with the same interface."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mmdisentangle._core.distributed import sum_over_processes
from mmdisentangle._core.errors import DataError, ModalityError, nearest_names
from mmdisentangle.data.batch import MultimodalBatch
from mmdisentangle.data.dataset import Task
from mmdisentangle.evaluation.prediction import run_model
from mmdisentangle.evaluation.scores import TaskScores
from mmdisentangle.training.config import OptimConfig
from mmdisentangle.training.sampling import ShareSampler
from mmdisentangle.training.schedules import Schedule, constant, cosine, with_warmup


class DisentanglementModule(LightningModule):
    """Train ``model(inputs, masks, present=...)`` with ``model.objective(output, target)``.

    Every term of the objective is logged as ``train/<term>`` and ``val/<term>``, every score of the task likewise, once
    per epoch.

    Args:
        model: a module whose output has ``prediction`` and whose ``objective`` returns a NamedTuple with ``total``
            first.
        task: kind of target, which decides the scores.
        num_outputs: number of classes, labels or regression outputs.
        optim: optimiser and learning rate.
        freeze: modalities whose encoder ``model.encoders[m]`` is kept as it is, in evaluation mode.
        metrics: names of the scores, see ``evaluation.TaskScores``.
        shares: for the stages ``"train"`` and ``"val"``, how many samples each batch counts for, where several
            processes or passes share a step; every batch counts alike where there is none.

    Raises:
        ModalityError: ``freeze`` names a modality without an encoder.
        UnknownNameError: no score has the name.

    Example:
        >>> import lightning
        >>> from mmdisentangle.data import make_shared_private
        >>> from mmdisentangle.models import LateFusion
        >>> data = make_shared_private(40, modalities={"eeg": 4, "gaze": 2}).dataset
        >>> module = DisentanglementModule(
        ...     LateFusion(data.modalities), task="regression", num_outputs=1
        ... )
        >>> module(data.collate(list(data))).prediction.shape
        torch.Size([40, 1])
        >>> loader = torch.utils.data.DataLoader(data, batch_size=8, collate_fn=data.collate)
        >>> lightning.pytorch.Trainer(max_epochs=5).fit(module, loader)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        task: Task,
        num_outputs: int,
        optim: OptimConfig | None = None,
        freeze: tuple[str, ...] | list[str] = (),
        metrics: Sequence[str] | None = None,
        shares: Mapping[str, ShareSampler] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.shares = dict(shares or {})
        self.optim = optim or OptimConfig()
        self.train_scores = TaskScores(task, num_outputs, metrics)
        self.val_scores = TaskScores(task, num_outputs, metrics)
        self._sums = {"train": _Sums(), "val": _Sums()}
        # Who gathers must call the model even where it has no sample of its own, with an empty batch.
        self._gathers = any(getattr(module, "gather", False) for module in model.modules())
        self._frozen = _find_encoders(model, freeze)
        for encoder in self._frozen:
            encoder.requires_grad_(False)
        self.train(self.training)

    def forward(self, batch: MultimodalBatch) -> Any:
        """Return the model's output for a batch."""
        return run_model(self.model, batch)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of everything but frozen encoders, which stay in evaluation mode."""
        super().train(mode)
        for encoder in self._frozen:
            encoder.eval()
        return self

    def training_step(self, batch: MultimodalBatch, batch_idx: int) -> Tensor:
        """Return the total of the objective."""
        return self._step(batch, batch_idx, "train", self.train_scores)

    def validation_step(self, batch: MultimodalBatch, batch_idx: int) -> None:
        """Collect the terms of the objective and the predictions."""
        self._step(batch, batch_idx, "val", self.val_scores)

    def on_train_epoch_end(self) -> None:
        """Log terms and scores of the epoch."""
        self._log_epoch("train", self.train_scores)

    def on_validation_epoch_end(self) -> None:
        """Log terms and scores of the epoch."""
        self._log_epoch("val", self.val_scores)

    def configure_model(self) -> None:
        """Shard the model where the strategy asks for it: parameters, gradients and the optimiser's state."""
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            from torch.distributed.fsdp import FSDPModule, fully_shard

            if not isinstance(self.model, FSDPModule):
                mesh: Any = self.device_mesh
                fully_shard(self.model, mesh=mesh["data_parallel"])

    def configure_optimizers(self) -> Any:
        """Build the optimiser and its schedule, which spans all steps that the trainer will make."""
        optimizer = make_optimizer(self.model, self.optim)
        total = self.trainer.estimated_stepping_batches
        scheduler = LambdaLR(optimizer, partial(_factor_at, _rate_schedule(self.optim), total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _step(self, batch: MultimodalBatch, index: int, stage: str, scores: TaskScores) -> Tensor:
        if batch.target is None:
            raise DataError(f"{stage} step: the batch has no target; samples to train on or to score need one.")
        shares = self.shares.get(stage)
        count = len(batch) if shares is None else shares.count(index)
        if count == 0 and self._gathers:
            batch = _emptied(batch)
        output = self(batch)
        model: Any = self.model
        terms: Mapping[str, Tensor] = model.objective(output, batch.target)._asdict()
        self._sums[stage].add(terms, count)
        if count:
            assert batch.target is not None
            scores.update(output.prediction, batch.target)
        return terms["total"] if shares is None else terms["total"] * shares.weight(index)

    def _log_epoch(self, stage: str, scores: TaskScores) -> None:
        for name, value in self._sums[stage].means().items():
            self.log(f"{stage}/{name}", value)
        for name, value in scores.compute().items():
            self.log(f"{stage}/{name}", value)
        self._sums[stage] = _Sums()
        scores.reset()


class _Sums:
    """Means over samples, added up here: a call of ``log`` per term and step costs more than a small model's step."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, terms: Mapping[str, Tensor], count: int) -> None:
        for name, value in terms.items():
            weighted = value.detach().float() * count
            self.sums[name] = self.sums[name] + weighted if name in self.sums else weighted
        self.count += count

    def means(self) -> dict[str, Tensor]:
        """Means over the samples of all processes."""
        sums = torch.stack(list(self.sums.values()))
        *totals, count = sum_over_processes(torch.cat((sums, sums.new_full((1,), self.count)))).unbind()
        return {name: total / count for name, total in zip(self.sums, totals, strict=True)}


def _emptied(batch: MultimodalBatch) -> MultimodalBatch:
    def none(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: x[:0] for name, x in tensors.items()}

    target = None if batch.target is None else batch.target[:0]
    return MultimodalBatch(none(batch.inputs), none(batch.masks), none(batch.present), target)


def make_optimizer(model: nn.Module, optim: OptimConfig) -> Optimizer:
    """Build an optimiser over the trainable parameters; weight decay acts on matrices only, not on biases and norms."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": optim.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise DataError("make_optimizer: the model has no trainable parameter; freeze fewer encoders.")
    if optim.name == "sgd":
        return torch.optim.SGD(groups, lr=optim.lr, momentum=0.9)
    return (torch.optim.AdamW if optim.name == "adamw" else torch.optim.Adam)(groups, lr=optim.lr)


def _rate_schedule(optim: OptimConfig) -> Schedule:
    schedule = constant if optim.schedule == "constant" else partial(cosine, start=1.0, end=0.0)
    return with_warmup(schedule, optim.warmup)


def _factor_at(schedule: Schedule, total: float, step: int) -> float:
    # Between the ends, so that neither the first nor the last step has a rate of 0.
    return schedule(min((step + 1) / (total + 1), 1.0)) if math.isfinite(total) else 1.0


def _find_encoders(model: nn.Module, names: tuple[str, ...] | list[str]) -> list[nn.Module]:
    encoders: Any = getattr(model, "encoders", {})
    for name in names:
        if name not in encoders:
            raise ModalityError(
                f"settings: training.freeze names {name!r}, of which the model has no encoder"
                f"{nearest_names(name, list(encoders))}"
            )
    return [encoders[name] for name in names]
