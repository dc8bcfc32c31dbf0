"""A progress bar over the whole training, and Lightning without its chatter."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LOGGERS = ("lightning.pytorch", "lightning.fabric")
_NOISE = (
    ".*does not have many workers.*",
    ".*The number of training batches.*",
    ".*Checkpoint directory .* exists.*",
    ".*ckpt_path.*",
    ".*LeafSpec.*",
    ".*have no `val_dataloader`.*",
    ".*in eval mode at the start of training.*",
    ".*GPU available but not used.*",
    # Terms and scores are those of all processes before they are logged.
    ".*sync_dist=True.*",
)


class TrainingBar(Callback):
    """One bar over all steps, with the epoch and the losses beside it.

    Short epochs make a bar of their own unreadable, and tell nothing about when the training ends.

    Args:
        title: what is trained.
        console: where to draw; standard error where None.
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        self.title = title
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=console or Console(stderr=True),
        )
        self.task: TaskID | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar, at the step a resumed run is at."""
        if not trainer.is_global_zero:
            return
        self.task = self.progress.add_task(
            self.title,
            total=trainer.estimated_stepping_batches,
            completed=trainer.global_step,
            epoch=trainer.current_epoch,
            epochs=trainer.max_epochs,
            losses="",
        )
        self.progress.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance."""
        if self.task is not None:
            self.progress.update(self.task, completed=trainer.global_step, epoch=trainer.current_epoch + 1)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the losses of the epoch before; the module logs them after its callbacks have heard of the end."""
        self._show_losses(trainer)

    def _show_losses(self, trainer: pl.Trainer) -> None:
        values = trainer.callback_metrics
        if self.task is not None and "train/total" in values:
            shown = [("train", "train/total"), ("validation", "val/total")]
            losses = "  ".join(f"{label} {float(values[name]):.3f}" for label, name in shown if name in values)
            self.progress.update(self.task, losses=f"loss: {losses}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the bar as it is."""
        self._show_losses(trainer)
        self.progress.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self.progress.stop()


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice, within the block only."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            for message in _NOISE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
