"""Compilers and exporters: one graph, dynamic lengths, the same values and gradients."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmdisentangle.testing.arguments import Frames, Samples, Streams, Weight
from mmdisentangle.testing.case import Case, Mode
from mmdisentangle.testing.problem import Call, Problem, draw
from mmdisentangle.testing.registry import check
from mmdisentangle.testing.runs import assert_same, assert_same_run, flatten, gradients_of, run

# Float32: the compiled arithmetic may be ordered differently.
_TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
# Frames (or samples) added to the case's own number; one graph must serve them all.
_STEPS = (0, 3, 5)


@contextmanager
def _quiet_compiler() -> Iterator[None]:
    """Start without compiled code, leave none behind, and keep the compiler's own warnings to itself."""
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            torch._dynamo.reset()


def _problem(case: Case, step: int) -> Problem:
    """Problems that differ in their number of frames, or of samples where there are no frames."""
    if case.has_frames:
        return draw(case, frames=case.frames + step, seed=step)
    return draw(case, batch=case.batch + step, seed=step)


def _assert_compiles(case: Case, mode: Mode) -> None:
    graphs = 0

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        nonlocal graphs
        graphs += 1
        compile_graph: Callable[..., Callable[..., Any]] = torch._dynamo.lookup_backend("aot_eager")
        return compile_graph(graph, inputs)

    target = case.target(mode=mode)

    def function(**keywords: Any) -> Any:
        return target(**keywords)

    compiled = torch.compile(target if isinstance(target, nn.Module) else function, fullgraph=True, backend=backend)
    # What is random has no values to compare, so one size has to do.
    compared = mode in case.compared_modes
    for step in _STEPS if compared else _STEPS[:1]:
        call = _problem(case, step).call()
        for tensor, axes in _batched(case, call):
            # Dynamic from the start, which saves the graph of the first size; a specialised length is an error then.
            if not case.has_frames or axes == 2:
                torch._dynamo.mark_dynamic(tensor, axes - 1)
        actual = run(case, target, call, caller=compiled)
        if compared:
            expected = run(case, target, _problem(case, step).call())
            assert_same_run(actual, expected, f"compiled, {mode} mode", **_TOLERANCE)
    if graphs > 2:
        raise AssertionError(f"{len(_STEPS)} sizes took {graphs} compilations in {mode} mode; at most 2 are allowed")


@check(compiles=True)
def compiles(case: Case) -> None:
    """``torch.compile(fullgraph=True)`` keeps values and gradients; changing lengths recompile once at most."""
    modes: tuple[Mode, ...] = case.compared_modes[:1]
    if case.is_module and "train" not in case.compared_modes:
        modes = ("train", *modes)
    for mode in modes:
        with _quiet_compiler():
            _assert_compiles(case, mode)


def _batched(case: Case, call: Call) -> Iterator[tuple[Tensor, int]]:
    """Tensors of a call that belong to samples, with how many of their leading axes are batch and time."""
    for argument in case.arguments:
        if isinstance(argument, Weight):
            continue
        names = [argument.name]
        axes = 1
        if isinstance(argument, Streams):
            axes = 1 if argument.pooled else 2
            names += [argument.masks or "", argument.present or ""]
        elif isinstance(argument, Frames | Samples):
            axes = 2 if isinstance(argument, Frames) else 1
            names.append(argument.mask or "")
        for name in names:
            value = call.keywords.get(name)
            for tensor in value.values() if isinstance(value, Mapping) else [value]:
                if tensor is not None:
                    yield tensor, min(axes, tensor.ndim)


class _Exportable(nn.Module):
    """A module around the target whose arguments are one mapping and whose result is one flat mapping."""

    def __init__(self, target: Callable[..., Any]) -> None:
        super().__init__()
        self.target = target

    def forward(self, keywords: dict[str, Any]) -> dict[str, Tensor]:
        return flatten(self.target(**keywords))


def _dynamic_shapes(case: Case, call: Call) -> dict[str, Any]:
    """Mark batch and time dynamic in every tensor of a call."""
    dynamic = {
        id(tensor): dict.fromkeys(range(axes), torch.export.Dim.DYNAMIC) for tensor, axes in _batched(case, call)
    }
    return {
        name: {key: dynamic[id(tensor)] for key, tensor in value.items()}
        if isinstance(value, Mapping)
        else dynamic.get(id(value), {})
        for name, value in call.keywords.items()
    }


@check(compiles=True)
def exports(case: Case) -> None:
    """``torch.export`` with dynamic batch and time gives a program that is right at other sizes, gradients too."""
    target = case.target()
    with _quiet_compiler():
        example = draw(case).call()
        program = torch.export.export(
            _Exportable(target).eval(),
            (example.keywords,),
            dynamic_shapes=(_dynamic_shapes(case, example),),
            strict=False,
        )
        exported = program.module()
        call = draw(case, batch=case.batch + 1, frames=case.frames + 3, seed=1).call()
        expected, actual = flatten(target(**call.keywords)), exported(call.keywords)
        assert_same(_detached(actual), _detached(expected), "exported", **_TOLERANCE)
        assert_same(
            gradients_of(actual, call.leaves),
            gradients_of(expected, call.leaves),
            "exported",
            label="gradient of ",
            **_TOLERANCE,
        )


def _detached(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in values.items()}
