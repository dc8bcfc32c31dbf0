"""What the processes of tests/training/test_processes.py are told to do."""

import os

import torch
from torch.nn.parallel import DistributedDataParallel

from mmdisentangle._core.distributed import world_size
from mmdisentangle.data import make_shared_private
from mmdisentangle.errors import DataError
from mmdisentangle.models import create_model
from mmdisentangle.training import ReversalSchedule, fit, load_config
from mmdisentangle.training.processes import full_state, joined, this_process
from tests import small_models
from tests.toy_model import ToyModel, jitter

WIDTHS = {"text": 4, "audio": 3}
DATA = {"modalities": WIDTHS, "lengths": {"text": 6, "audio": 5}, "task": "classification"}
EXACT = {"toy": {"dropout": 0.0}, **small_models.EXACT}


def some_data(count, **settings):
    return make_shared_private(count, **{**DATA, **settings}).dataset


def train(name, count, overrides, out=None):
    """Fit a model without dropout, so that the number of processes makes no difference.

    By SGD: Adam makes a step of full length of a gradient that is nothing but rounding.
    """
    given = ["training.accelerator=cpu", "optim.name=sgd", "optim.lr=5e-2", "training.max_epochs=3"]
    config = load_config(overrides=[*given, *overrides])
    config.model.update(EXACT[name])
    data = some_data(count, ragged=True, missing=0.3)
    model = ToyModel if name == "toy" else name
    result = fit(config, train=data, test=data, model=model, transform=jitter, out=out)
    return result.history, result.scores, result.epoch, result.model.state_dict()


def step(name, kind, first, last, count):
    """Loss and gradients of a step on samples ``first..last-1`` of ``count``, in float64."""
    torch.manual_seed(0)
    data = some_data(count, ragged=True, missing=0.3)
    sharing = world_size() > 1
    model = create_model(
        name, modalities=WIDTHS, num_outputs=data.num_outputs, task="classification", gather=sharing, **EXACT[name]
    )
    model = model.double()
    batch = data.collate([data[index] for index in range(first, last)])
    inputs = {m: x.double() for m, x in batch.inputs.items()}
    if kind == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        fully_shard(model, mesh=init_device_mesh("cpu", (world_size(),)))
        shard = sum(p.to_local().numel() for p in model.parameters()) / sum(p.numel() for p in model.parameters())
        assert shard < 0.7
    training = Training(model)
    wrapped = DistributedDataParallel(training, find_unused_parameters=True) if kind == "ddp" else training
    loss = wrapped(inputs, batch.masks, batch.present, batch.target)
    loss.backward()
    whole = {n: getattr(p.grad, "full_tensor", lambda p=p: p.grad)() for n, p in model.named_parameters()}
    return loss.detach(), whole, full_state(model)


class Training(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs, masks, present, target):
        return self.model.objective(self.model(inputs, masks, present=present), target).total


def on_first():
    """The value of the first process, and the error of the first process."""
    processes = this_process()
    value = processes.on_first(lambda: f"from {processes.rank}")

    def fail():
        raise DataError(f"nothing in {processes.rank}.")

    try:
        processes.on_first(fail)
    except DataError as error:
        return processes.rank, value, str(error)
    return None


def wrong_devices():
    config = load_config(overrides=["training.devices=3"])
    try:
        with joined(config.training):
            return None
    except ValueError as error:
        return str(error)


def die_in_third_epoch(out, overrides):
    """Train, and be killed."""
    import signal

    calls = 0

    def transform(sample, generator):
        nonlocal calls
        calls += 1
        if this_process().rank == 1 and calls == 40:
            os.kill(os.getpid(), signal.SIGKILL)
        return jitter(sample, generator)

    config = load_config(overrides=["training.accelerator=cpu", "training.max_epochs=4", *overrides])
    fit(config, train=some_data(45), model=ToyModel, transform=transform, out=out)


def stop_in_third_epoch(out, overrides):
    """Train until something fails on every process at once."""

    def fail(callback, trainer, *arguments):
        if trainer.current_epoch == 2:
            raise DataError("the data are gone.")
        before(callback, trainer, *arguments)

    before, ReversalSchedule.on_train_batch_start = ReversalSchedule.on_train_batch_start, fail
    try:
        train_on(out, overrides)
    except DataError as error:
        return str(error)
    finally:
        ReversalSchedule.on_train_batch_start = before
    return None


def train_on(out, overrides):
    config = load_config(overrides=["training.accelerator=cpu", "training.max_epochs=4", *overrides])
    result = fit(config, train=some_data(45), model=ToyModel, transform=jitter, out=out)
    return result.history, result.epoch, result.model.state_dict()
