"""A configuration that trains in a second."""

import pytest

from mmdisentangle.training import load_config
from tests.toy_model import jitter


@pytest.fixture(scope="session")
def add_noise():
    return jitter


@pytest.fixture
def make_config():
    def make(*overrides, epochs=4):
        fast = [f"training.max_epochs={epochs}", "training.accelerator=cpu", "data.batch_size=16", "optim.lr=1e-2"]
        return load_config(overrides=[*fast, *overrides])

    return make
