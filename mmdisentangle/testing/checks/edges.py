"""Edges: small, empty, missing and degenerate inputs give finite values and gradients."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mmdisentangle.testing.arguments import Leaf
from mmdisentangle.testing.case import Case
from mmdisentangle.testing.problem import TIGHT, Padding, Problem, draw
from mmdisentangle.testing.registry import check
from mmdisentangle.testing.runs import Run, assert_finite, assert_same, assert_same_run, fresh_run, named_outputs


def _assert_stable(case: Case, problem: Problem, what: str) -> None:
    """Finite, and in float32 what it is in float64: no rounding error is divided by another."""
    _assert_finite(case, problem, what)
    for mode in case.compared_modes:
        single, double = (fresh_run(case, problem, mode=mode, dtype=dtype) for dtype in (torch.float32, torch.float64))
        sizes = [
            value.abs().max().item()
            for value in (*double.outputs.values(), *double.gradients.values())
            if value.is_floating_point() and value.numel()
        ]
        tolerance = _STABLE * max([1.0, *sizes])
        assert_same_run(single, double, f"{what}, float32 against float64, {mode} mode", rtol=_STABLE, atol=tolerance)


def _has_frames(case: Case) -> bool:
    return case.has_frames


def _has_masks(case: Case) -> bool:
    return case.has_masks


def _modalities_may_miss(case: Case) -> bool:
    return any(stream.masks is not None for stream in case.streams)


# Of the largest number of the run: float32 keeps 1e-7 in one operation, less in a network.
_STABLE = 1e-3


def _assert_finite(case: Case, problem: Problem, what: str, padding: Padding = TIGHT) -> None:
    """Finite values and gradients, and results of the usual names, dtypes and numbers of axes."""
    for dtype in (torch.float32, torch.bfloat16):
        found, usual = (_kinds(case, version, dtype) for version in (problem, draw(case)))
        if found != usual:
            raise AssertionError(f"{what}: the result is {_listed(found)} instead of {_listed(usual)}")
    modes = ("train", "eval") if case.is_module else ("eval",)
    for mode in modes:
        run = fresh_run(case, problem, padding, mode=mode, dtype=torch.float32)  # type: ignore[arg-type]
        assert_finite(run, f"{what}, {mode} mode")


def _kinds(case: Case, problem: Problem, dtype: torch.dtype) -> dict[str, tuple[torch.dtype, int]]:
    outputs = named_outputs(case, case.target(dtype=dtype)(**problem.call(dtype=dtype).keywords))
    return {name: (value.dtype, value.ndim) for name, value in outputs.items()}


def _listed(kinds: Mapping[str, tuple[torch.dtype, int]]) -> str:
    return ", ".join(
        f"{name} {str(dtype).removeprefix('torch.')} of {axes} axes" for name, (dtype, axes) in kinds.items()
    )


@check()
def batch_of_one(case: Case) -> None:
    """A batch of one sample gives finite values and gradients."""
    _assert_finite(case, draw(case, batch=1), "batch of one")


@check()
def empty_batch(case: Case) -> None:
    """A batch without samples gives finite values and gradients."""
    _assert_finite(case, draw(case, batch=0), "empty batch")


@check(_has_frames)
def single_frame(case: Case) -> None:
    """Sequences of one frame give finite values and gradients."""
    _assert_finite(case, draw(case, frames=1), "T = 1")


@check(_has_frames)
def no_frames(case: Case) -> None:
    """Sequences without frames give finite values and gradients."""
    _assert_finite(case, draw(case, frames=0), "T = 0")
    _assert_finite(case, draw(case, batch=0, frames=0), "T = 0 and an empty batch")


@check(_has_masks)
def empty_sample(case: Case) -> None:
    """A sample that is all padding, and a batch of nothing else, give finite values and gradients."""
    owners = sorted(case.masked_owners)
    poisoned = Padding(fill=math.nan)
    _assert_finite(case, draw(case, absent=[(0, owner) for owner in owners]), "one sample all padding", poisoned)
    absent = [(sample, owner) for sample in range(case.batch) for owner in owners]
    _assert_finite(case, draw(case, absent=absent), "all samples all padding", poisoned)


@check(_modalities_may_miss)
def missing_modality(case: Case) -> None:
    """A modality may be missing, however that is said: a mask, ``present``, no frames at all."""
    everyone = range(case.batch)
    for modality in case.modalities:
        owners = [owner for owner in case.masked_owners if owner.rpartition(".")[2] == modality]
        for samples, who in (((0,), "one sample"), (everyone, "every sample")):
            problem = draw(case, absent=[(sample, owner) for sample in samples for owner in owners])
            what = f"{modality!r} missing in {who}"
            _assert_finite(case, problem, what, Padding(fill=math.nan))
            for mode in case.compared_modes:
                expected = fresh_run(case, problem, mode=mode)
                _assert_equal_ways(case, problem, expected, what, mode=mode, everyone=samples is everyone)


def _assert_equal_ways(case: Case, problem: Problem, expected: Run, what: str, *, mode: str, everyone: bool) -> None:
    unaligned = not any(stream.aligned for stream in case.streams)
    poisoned = Padding(fill=math.nan)
    if any(stream.present is not None for stream in case.streams):
        actual = fresh_run(case, problem, poisoned, mode=mode, absence="present")  # type: ignore[arg-type]
        assert_same_run(actual, expected, f"{what}, said by present instead of the mask, {mode} mode")
        if everyone:
            actual = fresh_run(case, problem, mode=mode, absence="omitted")  # type: ignore[arg-type]
            _assert_same_where_both(actual, expected, f"{what}, left out of the mapping, {mode} mode")
    if everyone and unaligned:
        actual = fresh_run(case, problem.tight(), mode=mode)  # type: ignore[arg-type]
        assert_same_run(actual, expected, f"{what}, T = 0 instead of an all-False mask, {mode} mode")


def _assert_same_where_both(actual: Run, expected: Run, what: str) -> None:
    assert_same(
        actual.outputs, {name: expected.outputs.get(name, value) for name, value in actual.outputs.items()}, what
    )
    gradients = {name: expected.gradients[name] for name in actual.gradients}
    assert_same(actual.gradients, gradients, what, label="gradient of ")


@check()
def identical_inputs(case: Case) -> None:
    """All samples, frames and modalities alike: no distance, norm or variance divides by zero."""
    pattern = torch.randn(256, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def repeat(leaf: Leaf, sample: int, content: Tensor) -> Tensor:
        if content.ndim == 0 or not content.numel():
            return content
        vector = pattern[: content.shape[-1]] if content.shape[-1] <= 256 else torch.ones(content.shape[-1])
        vector = vector if leaf.domain is None else leaf.domain(vector)
        return vector.to(content.dtype).expand_as(content).clone()

    _assert_stable(case, draw(case).with_content(repeat), "identical inputs")


@check()
def constant_inputs(case: Case) -> None:
    """The same number everywhere, and zeros, give finite values and gradients."""
    for number in (0.0, 0.5):
        _assert_stable(case, draw(case).with_content(_filled_with(number)), f"all inputs {number}")


def _filled_with(number: float) -> Callable[[Leaf, int, Tensor], Tensor]:
    def fill(leaf: Leaf, sample: int, content: Tensor) -> Tensor:
        value = torch.full_like(content, number)
        return value if leaf.domain is None else leaf.domain(value)

    return fill
