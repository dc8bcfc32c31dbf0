"""State and side effects: what is saved, copied, moved, and left alone."""

import copy
import io
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmdisentangle.testing.case import Case
from mmdisentangle.testing.problem import Padding, draw
from mmdisentangle.testing.registry import check
from mmdisentangle.testing.runs import assert_same_run, flatten, fresh_run, gradients_of


def _is_module(case: Case) -> bool:
    return case.is_module


@check()
def deterministic(case: Case) -> None:
    """In the compared modes the global random seed plays no part."""
    for mode in case.compared_modes:
        runs = [fresh_run(case, draw(case), mode=mode, seed=seed) for seed in (0, 1)]
        what = f"another random seed in {mode} mode (build without dropout, or leave the mode out of Case.modes)"
        assert_same_run(runs[0], runs[1], what)


@check(_is_module)
def state_dict_round_trip(case: Case) -> None:
    """The state dict, saved and loaded into a module built with other weights, holds everything that plays a part."""
    problem = draw(case)
    module, other = (case.target(seed=seed, dtype=torch.float64) for seed in (0, 1))
    assert isinstance(module, nn.Module)
    assert isinstance(other, nn.Module)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    expected, actual = fresh_run(case, problem, target=module), fresh_run(case, problem, target=other)
    assert_same_run(actual, expected, "after loading the state dict")


@check(_is_module)
def copies(case: Case) -> None:
    """``copy.deepcopy`` and ``pickle`` give modules with the same values and gradients."""
    problem = draw(case)
    module = case.target(dtype=torch.float64)
    expected = fresh_run(case, problem, target=module)
    for label, copied in (("deepcopy", copy.deepcopy(module)), ("pickle", pickle.loads(pickle.dumps(module)))):
        assert_same_run(fresh_run(case, problem, target=copied), expected, f"after {label}")


@check()
def inputs_unmodified(case: Case) -> None:
    """A call changes neither its arguments nor, in evaluation mode, the module."""
    target = case.target()
    call = draw(case).call(Padding(fill=1e3))
    for tensor in call.leaves.values():
        # Autograd would forbid changing a leaf in place, and hide what happens without it.
        tensor.requires_grad_(False)
    before = _snapshot(call.keywords)
    state = copy.deepcopy(target.state_dict()) if isinstance(target, nn.Module) else {}
    with torch.no_grad():
        target(**call.keywords)
    after = _snapshot(call.keywords)
    if list(before) != list(after):
        raise AssertionError(f"the call changes the entries of its arguments from {list(before)} to {list(after)}")
    for name, (value, _) in before.items():
        if after[name][1] is not before[name][1] or not torch.equal(after[name][0], value):
            raise AssertionError(f"the call changes its argument {name} in place")
    for name, value in state.items():
        assert isinstance(target, nn.Module)
        if not torch.equal(value, target.state_dict()[name]):
            raise AssertionError(f"a call in evaluation mode changes {name} of the module")


def _snapshot(keywords: Mapping[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
    """Copies of all tensors, and the tensors themselves, in the order of the mappings."""
    tensors: dict[str, Tensor] = {}
    for name, value in keywords.items():
        tensors |= flatten(value, name)
    return {name: (tensor.clone(), tensor) for name, tensor in tensors.items()}


@check()
def meta_device(case: Case) -> None:
    """Builds and runs, forward and backward, on the meta device: no device is hard-coded and no value is read."""
    expected = flatten(case.target()(**draw(case).call().keywords))
    with torch.device("meta"):
        built = case.target(device="meta")
    for target in (built, case.target(device="meta")):
        call = draw(case).call(device="meta")
        outputs = flatten(target(**call.keywords))
        for name, value in outputs.items():
            if value.device.type != "meta":
                raise AssertionError(f"inputs on the meta device, but output {name} is on {value.device}")
            if value.shape != expected[name].shape:
                raise AssertionError(
                    f"{name} has shape {list(value.shape)} on the meta device, not {list(expected[name].shape)}"
                )
        gradients_of(outputs, call.leaves)
