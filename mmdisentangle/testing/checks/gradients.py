"""Gradients: the derivative, or the documented surrogate, and some for every parameter."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from mmdisentangle.testing.case import Case
from mmdisentangle.testing.problem import Call, draw
from mmdisentangle.testing.registry import check
from mmdisentangle.testing.runs import assert_same, gradients_of, named_outputs, objective, run

_SEEDS = 5
# Central differences in float64: rounding costs 1e-10 of the value, curvature a little more.
_EPSILON, _RTOL, _ATOL = 1e-6, 1e-4, 1e-7


def _is_module(case: Case) -> bool:
    return case.is_module


def _assert_derivative(case: Case, target: Callable[..., Any], call: Call, what: str) -> None:
    """Compare the gradient with central differences along a random direction, one argument or parameter at a time.

    ``torch.autograd.gradcheck`` asks the same, but where the answer is no, it searches for the entry for half a minute.
    """
    sources = dict(call.leaves)
    if isinstance(target, nn.Module):
        sources |= {f"parameter {name}": value for name, value in target.named_parameters() if value.requires_grad}
    outputs = named_outputs(case, target(**call.keywords))
    differentiable = [name for name, value in outputs.items() if value.requires_grad]
    gradients = gradients_of(outputs, sources)
    generator = torch.Generator().manual_seed(0)
    for name, source in sources.items():
        # A random direction meets every entry: an error in any of them shows.
        direction = torch.randn(source.shape, generator=generator, dtype=torch.float64).to(source)
        values = []
        with torch.no_grad():
            original = source.clone()
            for sign in (1, -1):
                source.copy_(original + sign * _EPSILON * direction)
                values.append(objective(named_outputs(case, target(**call.keywords)), differentiable))
            source.copy_(original)
        numerical = (values[0] - values[1]).item() / (2 * _EPSILON)
        analytical = (gradients[name] * direction).sum().item()
        if not abs(numerical - analytical) <= _ATOL + _RTOL * abs(numerical):
            raise AssertionError(
                f"{what}: along a random direction of {name} the gradient says {analytical:.6g}, "
                f"central differences {numerical:.6g}"
            )


@check()
def derivative(case: Case) -> None:
    """The gradient is the derivative in float64 (central differences), or that of the documented surrogate."""
    for mode in case.compared_modes:
        target = case.target(mode=mode, dtype=torch.float64)
        call = draw(case).call(dtype=torch.float64)
        if case.surrogate is None:
            _assert_derivative(case, target, call, f"{mode} mode, float64")
            continue
        actual, expected = run(case, target, call), run(case, target, call, caller=partial(case.surrogate, target))
        what = f"against the documented surrogate, {mode} mode"
        assert_same(actual.gradients, expected.gradients, what, label="gradient of ")


@check(_is_module)
def parameters_learn(case: Case) -> None:
    """Every parameter receives a gradient that is not zero, in training mode, for one of some seeds."""
    without: set[str] | None = None
    for seed in range(_SEEDS):
        target = case.target(seed=seed, mode="train")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            gradients = run(case, target, draw(case, batch=4, seed=seed).call()).gradients
        zero = {name for name, value in gradients.items() if name.startswith("parameter ") and not value.any()}
        without = zero if without is None else without & zero
        if not without:
            return
    raise AssertionError(f"no gradient ever reaches {', '.join(sorted(without or ()))}")
