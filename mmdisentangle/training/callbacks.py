"""Lightning callbacks: reversal strength, reproducible epochs, history, selection of the weights, resuming."""

import math
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, Checkpoint

from mmdisentangle._core.errors import DtypeError, SettingError, nearest_names
from mmdisentangle.evaluation.scores import is_better
from mmdisentangle.nn import GradientReversal
from mmdisentangle.training.processes import full_state
from mmdisentangle.training.runs import RunFolder
from mmdisentangle.training.sampling import ShareSampler, epoch_seed
from mmdisentangle.training.schedules import Schedule


class ReversalSchedule(Callback):
    """Set the strength of every ``GradientReversal`` in the model before each training step.

    The progress is the trainer's number of steps done over the number it will do, so the callback keeps no counter, and
    an interrupted run that resumes has the right strength at once.

    Args:
        schedule: function of progress, for instance ``create_schedule("dann")``.

    Raises:
        DtypeError: schedule is not callable.

    Example:
        >>> from mmdisentangle.training.schedules import linear
        >>> trainer = pl.Trainer(callbacks=[ReversalSchedule(linear)], logger=False, enable_checkpointing=False)
    """

    def __init__(self, schedule: Schedule) -> None:
        if not callable(schedule):
            raise DtypeError(
                f"ReversalSchedule: schedule must be a function of progress, got {schedule!r}; create_schedule makes "
                "one from a name."
            )
        self.schedule = schedule

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the strengths, outside of any forward."""
        total = trainer.estimated_stepping_batches
        # Training without an end makes no progress.
        progress = min(trainer.global_step / total, 1.0) if math.isfinite(total) else 0.0
        for module in pl_module.modules():
            if isinstance(module, GradientReversal):
                module.set_strength(self.schedule(progress))


class EpochSeeds(Callback):
    """Draw the random numbers of every epoch from the seed and the number of the epoch alone.

    An epoch that is run again after an interruption then has the same order of samples and dropout. (Augmentation has
    random numbers of its own, see ``share_loader``.)
    """

    def __init__(self, seed: int, sampler: ShareSampler) -> None:
        self.seed, self.sampler = seed, sampler

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the seeds."""
        epoch = trainer.current_epoch
        self.sampler.set_epoch(epoch)
        # Processes of one run need different dropout.
        pl.seed_everything(epoch_seed(self.seed, epoch, 2 + trainer.global_rank) % 2**32, workers=True, verbose=False)


class History(Checkpoint):
    """Keep every logged value of every epoch, through interruptions, in ``rows``.

    A checkpoint callback, since only those are called when the module has logged its scores.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, **dict(sorted(values.items()))}
        self.rows.append(row)
        if not math.isfinite(values["train/total"]):
            raise SettingError(
                f"training: the loss became {values['train/total']} in epoch {trainer.current_epoch + 1}; "
                "lower optim.lr, or set optim.clipping=norm."
            )

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what an interrupted run has written."""
        self.rows = list(state_dict["rows"])


class BestWeights(Checkpoint):
    """Keep the weights of the best epoch, through interruptions, and stop where none gets better any more.

    Args:
        monitor: a logged validation value; None takes the last epoch, keeps no weights and never stops early.
        patience: stop after so many epochs without a better value; None = never.

    Raises:
        SettingError: nothing is logged under the name of ``monitor``.
    """

    def __init__(self, monitor: str | None, patience: int | None = None) -> None:
        self.monitor, self.patience = monitor, patience
        self.best: float | None = None
        self.epoch: int | None = None
        self.weights: dict[str, torch.Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once where the run was interrupted after its last epoch."""
        self._stop_if_over(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the epoch with the best so far."""
        epoch = trainer.current_epoch + 1
        if self.monitor is None:
            self.epoch = epoch
            return
        values = trainer.callback_metrics
        if self.monitor not in values:
            known = [name for name in values if name.startswith("val/")]
            hint = nearest_names(self.monitor, known)
            raise SettingError(f"settings: training.monitor: nothing is logged as {self.monitor!r}{hint}")
        value = float(values[self.monitor])
        # The first epoch is kept whatever it is worth, so that there are weights.
        if self.epoch is None or is_better(self.monitor, value, self.best):
            model: Any = pl_module.model
            self.best, self.epoch = None if math.isnan(value) else value, epoch
            self.weights = full_state(model)
        self._stop_if_over(trainer, epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"best": self.best, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what an interrupted run has written."""
        self.best, self.epoch, self.weights = state_dict["best"], state_dict["epoch"], state_dict["weights"]

    def _stop_if_over(self, trainer: pl.Trainer, epochs_done: int) -> None:
        if self.patience is not None and self.epoch is not None and epochs_done - self.epoch >= self.patience:
            trainer.should_stop = True


class WholeCheckpoints(TorchCheckpointIO):
    """Write a checkpoint whole or not at all."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint of the run folder, which is what ``path`` names."""
        self.folder.write_checkpoint(partial(torch.save, checkpoint))


class ResumeCheckpoint(Checkpoint):
    """Save after every epoch, by `WholeCheckpoints`.

    It must be the last callback, so that the file holds what the others have noted about the epoch.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save; sharded weights come together for it, so every process calls."""
        trainer.save_checkpoint(self.folder.checkpoint)
