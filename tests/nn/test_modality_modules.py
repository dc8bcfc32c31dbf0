import copy
import pickle

import pytest
import torch
from torch import nn

from mmdisentangle.nn._modality_modules import ModalityModules

NAMES = [
    "text",
    "left.ear",
    "left_ear",
    "two words",
    "keys",
    "type",
    "training",
    "forward",
    "names",
    "_modules",
    "é",
    "0",
    ".",
]


def build(names=NAMES):
    return ModalityModules({name: nn.Linear(1, i + 1) for i, name in enumerate(names)})


def test_any_name_finds_its_module():
    modules = build()
    assert list(modules) == NAMES
    assert [modules[name].out_features for name in NAMES] == list(range(1, len(NAMES) + 1))
    assert all(name in modules for name in NAMES)
    assert "left" not in modules


def test_it_is_still_a_module():
    modules = build()
    assert modules.training is True
    modules.eval()
    assert not any(modules[name].training for name in NAMES)
    assert modules.type(torch.float64)["text"].weight.dtype == torch.float64
    assert len(list(modules.parameters())) == 2 * len(NAMES)
    stored = {modules.names[name] for name in NAMES}
    assert len(stored) == len(NAMES)
    assert {key.rpartition(".")[0] for key in modules.state_dict()} == stored


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(copied):
    modules = build()
    other = copied(modules)
    for name in NAMES:
        assert torch.equal(other[name].weight, modules[name].weight)
        assert other[name] is not modules[name]
    fresh = build()
    fresh.load_state_dict(modules.state_dict())
    assert torch.equal(fresh["left.ear"].weight, modules["left.ear"].weight)


def test_unknown_name():
    with pytest.raises(KeyError, match="audio"):
        build()["audio"]
