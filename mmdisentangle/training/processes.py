"""Training on several processes: who they are, what the first one does for all, how Lightning is told."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from mmdisentangle._core.errors import SettingError
from mmdisentangle.training.config import TrainingConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of a run, and which of them this one is.

    Args:
        rank: number of this process, from 0.
        world_size: number of all.
        local_world_size: number of those on this machine.
    """

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def on_first(self, function: Callable[[], T]) -> T:
        """Call a function on the first process; all return its result, or raise its error."""
        if self.world_size == 1:
            return function()
        outcome: list[Any] = [None, None]
        if self.is_first:
            try:
                outcome[0] = function()
            except Exception as error:
                outcome[1] = error
        distributed.broadcast_object_list(outcome, src=0, device=torch.device("cpu"))
        if outcome[1] is not None:
            raise outcome[1]
        result: T = outcome[0]
        return result

    def trainer_options(self, training: TrainingConfig) -> dict[str, Any]:
        """Return what Lightning's trainer must know: ``devices`` and, for several, ``strategy`` and ``plugins``."""
        if self.world_size == 1:
            return {"devices": 1}
        # Not above: who only starts the processes need not wait for Lightning.
        from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
        from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

        strategy: DDPStrategy | ModelParallelStrategy
        if training.strategy == "fsdp":
            strategy = ModelParallelStrategy(
                data_parallel_size=self.world_size, tensor_parallel_size=1, save_distributed_checkpoint=False
            )
        else:
            # Parameters without a gradient are legitimate: a published gate, a modality that nobody of a share has.
            strategy = DDPStrategy(find_unused_parameters=True)
        return {
            "devices": self.local_world_size,
            "num_nodes": self.world_size // self.local_world_size,
            "strategy": strategy,
            "plugins": [TorchElasticEnvironment()],
        }


def this_process() -> Processes:
    """Read who this process is from the environment that ``torchrun`` sets."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Processes()
    world_size = int(os.environ["WORLD_SIZE"])
    return Processes(int(os.environ["RANK"]), world_size, int(os.environ.get("LOCAL_WORLD_SIZE", world_size)))


@contextmanager
def joined(training: TrainingConfig) -> Iterator[Processes]:
    """Connect the processes that ``torchrun`` started, for the time of the block.

    Raises:
        SettingError: the settings want another number of processes than there are, or a strategy for several on one.
    """
    processes = this_process()
    if training.devices not in (1, processes.local_world_size):
        raise SettingError(
            f"settings: training.devices={training.devices} needs as many processes, got {processes.local_world_size}; "
            f"start the program with 'torchrun --nproc-per-node {training.devices}', or use the command "
            "'mmdisentangle train', which starts them."
        )
    if training.strategy == "fsdp" and processes.world_size == 1:
        raise SettingError(
            "settings: training.strategy=fsdp shards the model over several processes, got one; set training.devices."
        )
    if processes.world_size == 1 or distributed.is_initialized():
        yield processes
        return
    on_gpu = training.accelerator != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield processes
    finally:
        distributed.destroy_process_group()


def launch(devices: int, arguments: Sequence[str]) -> int:
    """Run the command line as several processes of this machine, as ``torchrun`` does, and return the exit code.

    The first process talks. Where one of them fails, the others are ended.
    """
    with socket.socket() as free, tempfile.TemporaryFile("w+") as complaints:
        free.bind(("127.0.0.1", 0))
        environment = {
            # A machine need not be in a network to talk to itself.
            "GLOO_SOCKET_IFNAME": next(name for _, name in socket.if_nameindex() if name.startswith("lo")),
            "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // devices)),
            # torch would warn that looking for parameters without a gradient takes time.
            "TORCH_CPP_LOG_LEVEL": "ERROR",
            **os.environ,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free.getsockname()[1]),
            "WORLD_SIZE": str(devices),
            "LOCAL_WORLD_SIZE": str(devices),
        }
        free.close()
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "mmdisentangle.training.cli", *arguments],
                env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.DEVNULL if rank else None,
                stderr=complaints if rank else None,
            )
            for rank in range(devices)
        ]
        try:
            code = _wait(started)
        except KeyboardInterrupt:
            # The terminal has told the others, too.
            code = max(process.wait() for process in started)
        if code and started[0].returncode <= 0:
            complaints.seek(0)
            sys.stderr.write(complaints.read())
        return code


def _wait(started: Sequence["subprocess.Popen[bytes]"]) -> int:
    """Wait until all have ended well, or one has not: then end the others and return its exit code."""
    try:
        while any(process.poll() is None for process in started):
            failed = [process.returncode for process in started if process.poll()]
            if failed:
                # Whoever found the mistake may be about to say so.
                time.sleep(1)
                break
            time.sleep(0.05)
        return next((process.returncode for process in started if process.poll()), 0)
    finally:
        for process in started:
            process.terminate()
            process.wait()


def full_state(model: nn.Module) -> dict[str, Tensor]:
    """Copy the whole state of a model to the CPU of every process, sharded parameters put together."""
    return {name: _whole(tensor).detach().cpu().clone() for name, tensor in model.state_dict().items()}


def _whole(tensor: Tensor) -> Tensor:
    # Only a sharded parameter has the method; importing its class costs a second.
    full_tensor: Any = getattr(tensor, "full_tensor", None)
    return tensor if full_tensor is None else full_tensor()
