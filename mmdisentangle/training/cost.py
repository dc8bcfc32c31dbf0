"""What a training costs: time, the share of it spent waiting for data, memory."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback


@dataclass(frozen=True)
class Cost:
    """The cost of a training, as far as this process has seen it: since it was started or resumed.

    Args:
        seconds: from the split of the data to the scores.
        seconds_per_epoch: training steps of one epoch and the waiting for their batches; validation does not count.
        steps_per_second: training steps over the time that they and the waiting took.
        waiting: share of that time spent waiting for data; far above 0.05, more ``data.num_workers`` may help.
        memory: highest use of memory, in MiB: allocated by torch on a CUDA device, else resident in the process, with
            all the libraries it has loaded (None where the system does not tell).
        memory_before: the same before the training began.

    Example:
        >>> from mmdisentangle.data import make_shared_private
        >>> from mmdisentangle.training import fit, load_config
        >>> data = make_shared_private(40, modalities={"eeg": 4, "gaze": 2}).dataset
        >>> config = load_config(overrides=["training.max_epochs=2"])
        >>> cost = fit(config, train=data, model="late_fusion").cost
        >>> cost.seconds > 2 * cost.seconds_per_epoch, 0 < cost.waiting < 1
        (True, True)
    """

    seconds: float
    seconds_per_epoch: float
    steps_per_second: float
    waiting: float
    memory: float | None
    memory_before: float | None


class CostMeter(Callback):
    """Measure the time of training steps, and of the waiting for their batches."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.memory_before = peak_memory()
        self.waiting = self.computing = 0.0
        self.steps = self.epochs = 0
        self._since = 0.0

    def cost(self) -> Cost:
        """Return the cost so far."""
        trained = self.waiting + self.computing
        return Cost(
            seconds=time.perf_counter() - self.start,
            seconds_per_epoch=trained / max(self.epochs, 1),
            steps_per_second=self.steps / trained if self.steps else 0.0,
            waiting=self.waiting / trained if self.steps else 0.0,
            memory=peak_memory(),
            memory_before=self.memory_before,
        )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for the first batch."""
        self.epochs += 1
        self._since = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Compute."""
        self.waiting += self._lap()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Wait for the next batch."""
        self.computing += self._lap()
        self.steps += 1

    def _lap(self) -> float:
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        return seconds


def peak_memory() -> float | None:
    """Return the highest use of memory by this process so far, in MiB; see `Cost`."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux a new process begins there with the peak of the one that started it.
        lines = dict(line.partition(":")[::2] for line in status.read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024 if "VmHWM" in lines else None
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return None
