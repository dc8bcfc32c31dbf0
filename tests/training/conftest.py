"""A small data set and a configuration that trains in a second."""

import importlib.util
from pathlib import Path

import pytest
import torch

from mmdisentangle.data import MultimodalSample, make_shared_private
from mmdisentangle.training import load_config


def _load_toy_model():
    # Test folders are no packages, so a neighbour is imported by its path.
    path = Path(__file__).with_name("toy_model.py")
    spec = importlib.util.spec_from_file_location("toy_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ToyModel


ToyModel = _load_toy_model()


def jitter(sample, generator):
    noisy = {name: x + 0.1 * torch.randn(x.shape, generator=generator) for name, x in sample.inputs.items()}
    return MultimodalSample(noisy, sample.target, sample.id)


@pytest.fixture(scope="session")
def toy_model():
    return ToyModel


@pytest.fixture(scope="session")
def add_noise():
    return jitter


@pytest.fixture
def make_data():
    def make(count=48, task="classification", seed=0, **settings):
        return make_shared_private(
            count, modalities={"a": 4, "b": 3}, lengths={"a": 12, "b": 7}, task=task, seed=seed, **settings
        ).dataset

    return make


@pytest.fixture
def make_config():
    def make(*overrides, epochs=4):
        fast = [f"training.max_epochs={epochs}", "training.accelerator=cpu", "data.batch_size=16", "optim.lr=1e-2"]
        return load_config(overrides=[*fast, *overrides])

    return make
