"""Time, memory and correctness of the providers of a case."""

import statistics
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks._measure import peak_bytes
from benchmarks.speed.case import COMPILED, LIBRARY, Case, Provider, Setting, leaves, outputs

DIRECTIONS = ("forward", "backward", "both")
# The length at which providers are compared: odd, and no multiple of anything.
CHECKED_LENGTH = 37
# Compiled code orders its sums differently.
COMPILED_TOLERANCE = 1e-3
# Seconds that a provider's turn lasts at least.
SHORTEST_TURN = 0.02
Seconds = dict[str, list[float]]


def passes(provider: Provider, inputs: tuple[Any, ...], device: torch.device) -> dict[str, float]:
    """Seconds of one forward and backward pass, gradients cleared before."""
    for leaf in leaves(inputs, provider):
        leaf.grad = None
    _wait(device)
    start = time.perf_counter()
    result = provider.call(*inputs)
    _wait(device)
    middle = time.perf_counter()
    if result is not None:
        tensors = outputs(result)
        torch.autograd.backward(tensors, [torch.ones_like(x) for x in tensors])
    del result
    _wait(device)
    end = time.perf_counter()
    return {"forward": middle - start, "backward": end - middle, "both": end - start}


def timed(
    providers: Mapping[str, Provider], inputs: tuple[Any, ...], device: torch.device, budget: float, most: int
) -> dict[str, Seconds]:
    """Seconds of every provider and direction, in interleaved rounds: as many as fit into the budget, three at least.

    A provider that alone would take the whole budget is measured once.
    """
    first = {name: passes(provider, inputs, device)["both"] for name, provider in providers.items()}
    # What takes less than the clock and a cold cache can blur is repeated, and the median of the repetitions counts.
    repetitions = {name: max(round(SHORTEST_TURN / max(value, 1e-6)), 1) for name, value in first.items()}
    again = {name: provider for name, provider in providers.items() if first[name] < budget}
    turn = sum(first[name] * repetitions[name] for name in again)
    rounds = max(min(int(budget / max(turn, 1e-9)), most), 3)
    seconds: dict[str, Seconds] = {name: {direction: [] for direction in DIRECTIONS} for name in providers}
    for number in range(rounds):
        for name, provider in providers.items():
            if name in again or number == 0:
                turns = [passes(provider, inputs, device) for _ in range(repetitions[name])]
                for direction in DIRECTIONS:
                    seconds[name][direction].append(statistics.median(turn[direction] for turn in turns))
    return seconds


def peak(provider: Provider, inputs: tuple[Any, ...], device: torch.device) -> int:
    """Largest sum of bytes that a forward and backward pass has allocated at a time."""
    if device.type == "cuda":
        passes(provider, inputs, device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        passes(provider, inputs, device)
        return torch.cuda.max_memory_allocated(device) - before
    passes(provider, inputs, device)
    return peak_bytes(lambda: passes(provider, inputs, device))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and range of the rounds."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": len(values)}


def with_compiled(providers: Mapping[str, Provider]) -> dict[str, Provider]:
    """Add the library through ``torch.compile``, one graph for all lengths."""
    provider = providers[LIBRARY]
    compiled = torch.compile(provider.call, fullgraph=True, dynamic=True)
    # What comes after the library is measured after it.
    return {**providers, COMPILED: Provider(compiled, provider.modules, provider.longest)}


def differs(providers: Mapping[str, Provider], inputs: tuple[Any, ...]) -> str:
    """Why the compiled library is not the library, in the precision of the inputs; empty where it is."""
    own, expected = (_result_and_gradients(providers[name], inputs) for name in (COMPILED, LIBRARY))
    worst = _deviation(own, expected)
    return "" if worst <= COMPILED_TOLERANCE else f"differs from {LIBRARY!r} by {worst:.1e}"


def failures(case: Case, device: torch.device) -> dict[str, str]:
    """Why a provider's result or gradient is not that of the first one; empty for those whose are.

    Compared in float64; providers that exist in float32 alone, as fused kernels do, in float32.
    """
    if not case.checked:
        return {}
    found, compared = _failures(case, Setting(device, torch.float64), case.tolerance, without=())
    found |= _failures(case, Setting(device, torch.float32), max(case.tolerance, 1e-4), without=compared)[0]
    return found


def _failures(
    case: Case, setting: Setting, tolerance: float, without: Collection[str]
) -> tuple[dict[str, str], Collection[str]]:
    """Failures, and the names of all providers; those in ``without`` are not run, but for the first."""
    length = CHECKED_LENGTH if case.growth != "constant" else min(case.lengths)
    torch.manual_seed(0)
    inputs = case.inputs(case.sizes(length), setting)
    (first, reference), *others = case.providers(case.features, setting).items()
    found: dict[str, str] = {}
    names = [first, *(name for name, _ in others)]
    others = [(name, provider) for name, provider in others if name not in without]
    expected = _result_and_gradients(reference, inputs) if others else []
    for name, provider in others:
        try:
            worst = _deviation(_result_and_gradients(provider, inputs), expected)
        except (RuntimeError, TypeError, ValueError) as error:
            found[name] = f"cannot run: {str(error).splitlines()[0]}"
            continue
        if not worst <= tolerance:
            found[name] = f"differs from {first!r} by {worst:.1e}, allowed {tolerance:.0e}"
    return found, names


def _result_and_gradients(provider: Provider, inputs: tuple[Any, ...]) -> list[Tensor]:
    """Results, and the gradients of the inputs: parameters are named differently elsewhere."""
    tensors = leaves(inputs, Provider(provider.call))
    for x in tensors:
        x.grad = None
    results = outputs(provider.call(*inputs))
    weights = [torch.linspace(0.5, 1.5, x.numel(), dtype=x.dtype, device=x.device).view_as(x) for x in results]
    torch.autograd.backward(results, weights)
    gradients = [torch.zeros_like(x) if x.grad is None else x.grad for x in tensors]
    return [x.detach().clone() for x in (*results, *gradients)]


def _deviation(own: list[Tensor], expected: list[Tensor]) -> float:
    if [x.shape for x in own] != [x.shape for x in expected]:
        return float("inf")
    worst = 0.0
    for x, y in zip(own, expected, strict=True):
        scale = y.abs().max().clamp(min=1e-3) if y.numel() else torch.ones(())
        error = float((x - y).abs().max() / scale) if y.numel() else 0.0
        worst = max(worst, error if error == error else float("inf"))
    return worst


def fitted_exponent(lengths: Sequence[int], values: Sequence[float], shortest: int = 2_048) -> float | None:
    """Slope of ``log value`` over ``log length`` from ``shortest`` on, where fixed costs no longer count."""
    points = [
        (length, value) for length, value in zip(lengths, values, strict=True) if length >= shortest and value > 0
    ]
    if len(points) < 3:
        return None
    x, y = (torch.tensor(column, dtype=torch.float64).log() for column in zip(*points, strict=True))
    x = x - x.mean()
    return float((x * y).sum() / x.square().sum())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
