"""Half precision: close to float32 on the same numbers, as a dtype and under autocast."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmdisentangle.testing.arguments import Leaf
from mmdisentangle.testing.case import Case, Mode
from mmdisentangle.testing.problem import Problem, draw
from mmdisentangle.testing.registry import check
from mmdisentangle.testing.runs import Run, assert_finite, fresh_run, run

# Errors of this many rounding steps are expected of a few operations in a row; twice as many of gradients.
_STEPS = 12
# Values below this part of the largest one of the run are compared on its scale.
_FLOOR = 0.02
_LARGE = 30.0
_SEEDS = 4


def _rounded(problem: Problem, dtype: torch.dtype) -> Problem:
    return problem.with_content(lambda leaf, sample, content: content.to(dtype).double())


def _rounded_target(case: Case, mode: Mode, dtype: torch.dtype) -> Callable[..., Any]:
    """A float32 target whose weights are numbers of ``dtype``."""
    target = case.target(mode=mode, dtype=dtype)
    return target.float() if isinstance(target, nn.Module) else target


def _assert_near(case: Case, actual: Run, expected: Run, dtype: torch.dtype, what: str) -> None:
    assert_finite(actual, what)
    tolerance = _STEPS * torch.finfo(dtype).eps * case.half_tolerance
    for label, values, wanted, allowed in (
        ("", actual.outputs, expected.outputs, tolerance),
        ("gradient of ", actual.gradients, expected.gradients, 2 * tolerance),
    ):
        largest = max((_size(value) for value in _floating(wanted).values()), default=0.0)
        for name, value in _floating(values).items():
            scale = max(_size(wanted[name]), _FLOOR * largest)
            error = _size(value.double() - wanted[name].double())
            if not error <= allowed * scale:
                raise _TooFarError(
                    f"{what}: {label}{name} is off by {error:.3g} where its size is {scale:.3g} "
                    f"(root mean square; allowed {allowed:.3g} of it)"
                )


def _size(value: Tensor) -> float:
    """Root mean square."""
    return value.double().square().mean().sqrt().item()


def _floating(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in values.items() if value.is_floating_point() and value.numel()}


@check()
def half_precision(case: Case) -> None:
    """bfloat16 and float16 inputs and weights give nearly what float32 gives on the same numbers."""
    for dtype in (torch.bfloat16, torch.float16):
        for mode in case.compared_modes:

            def compare(seed: int, dtype: torch.dtype = dtype, mode: Mode = mode) -> None:
                problem = _rounded(draw(case, seed=seed), dtype)
                reference = _rounded_target(case, mode, dtype)
                expected = fresh_run(case, problem, mode=mode, dtype=torch.float32, target=reference)
                actual = fresh_run(case, problem, mode=mode, dtype=dtype)
                _assert_near(case, actual, expected, dtype, f"{_name(dtype)}, {mode} mode")

            _for_one_seed(compare)


@check()
def half_precision_range(case: Case) -> None:
    """Inputs 30 times as large as usual do not overflow in bfloat16 and float16."""

    def enlarge(leaf: Leaf, sample: int, content: Tensor) -> Tensor:
        return content if leaf.domain is not None or leaf.kind == "weight" else _LARGE * content

    for dtype in (torch.bfloat16, torch.float16):
        for mode in case.compared_modes:
            actual = fresh_run(case, draw(case).with_content(enlarge), mode=mode, dtype=dtype)
            assert_finite(actual, f"inputs of {_LARGE:g}, {_name(dtype)}, {mode} mode")


@check()
def autocast(case: Case) -> None:
    """Under autocast to bfloat16, float32 weights with float32 or bfloat16 inputs give nearly what float32 gives."""
    low = torch.bfloat16
    for dtype in (torch.float32, low):
        for mode in case.compared_modes:

            def compare(seed: int, dtype: torch.dtype = dtype, mode: Mode = mode) -> None:
                problem = _rounded(draw(case, seed=seed), low)
                target = _rounded_target(case, mode, low)

                def cast(**keywords: Any) -> Any:
                    with torch.autocast(torch.device(case.device).type, dtype=low):
                        return target(**keywords)

                expected = fresh_run(case, problem, mode=mode, dtype=torch.float32, target=target)
                actual = run(case, target, problem.call(dtype=dtype), caller=cast)
                _assert_near(case, actual, expected, low, f"autocast, {_name(dtype)} inputs, {mode} mode")

            _for_one_seed(compare)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class _TooFarError(AssertionError):
    """Finite, but not near."""


def _for_one_seed(compare: Callable[[int], None]) -> None:
    """Require nearness for one of some seeds: a ReLU or a step that rounding turns is no lack of precision."""
    for seed in range(_SEEDS):
        try:
            compare(seed)
        except _TooFarError:
            if seed == _SEEDS - 1:
                raise
        else:
            return
