"""Calling what is under contract, and comparing what comes back."""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmdisentangle.testing.case import Case, Mode
from mmdisentangle.testing.problem import TIGHT, Call, Padding, Problem


def flatten(result: Any, prefix: str = "") -> dict[str, Tensor]:
    """Name the tensors of a result: ``"shared.text"`` for an entry of a field, ``"output"`` for a single tensor."""
    if isinstance(result, Tensor):
        return {prefix or "output": result}
    parts: list[tuple[str, Any]] = []
    if isinstance(result, Mapping):
        parts = [(str(key), value) for key, value in result.items()]
    elif isinstance(result, tuple) and hasattr(result, "_fields"):
        parts = list(zip(result._fields, result, strict=True))
    elif isinstance(result, tuple | list):
        parts = [(str(index), value) for index, value in enumerate(result)]
    elif dataclasses.is_dataclass(result):
        parts = [(item.name, getattr(result, item.name)) for item in dataclasses.fields(result)]
    flat: dict[str, Tensor] = {}
    for name, value in parts:
        flat |= flatten(value, f"{prefix}.{name}" if prefix else name)
    return flat


def named_outputs(case: Case, result: Any, names: Mapping[str, str] | None = None) -> dict[str, Tensor]:
    """Flatten what the case compares; ``names`` are the replaced names of modalities, which are put back."""
    flat = flatten(result if case.outputs is None else case.outputs(result))
    for name, replaced in (names or {}).items():
        whole_part = re.compile(rf"(?<![^.]){re.escape(replaced)}(?![^.])")
        flat = {whole_part.sub(lambda _, name=name: name, key): value for key, value in flat.items()}  # type: ignore[misc]
    return flat


def objective(outputs: Mapping[str, Tensor], only: Collection[str] | None = None) -> Tensor:
    """Fixed linear combination of all differentiable outputs; its gradient stands for all of theirs.

    Args:
        outputs: named outputs.
        only: names of those that are differentiable, where the tensors do not say so (under ``torch.func``).
    """
    total: Tensor | None = None
    for number, name in enumerate(sorted(outputs)):
        value = outputs[name]
        if not (value.requires_grad if only is None else name in only):
            continue
        count = torch.arange(value.numel(), dtype=torch.float64, device=value.device)
        weight = (0.7 * count + number).cos().to(torch.promote_types(value.dtype, torch.float32)).reshape(value.shape)
        total = (value * weight).sum() + (0 if total is None else total)
    if total is None:
        raise AssertionError(
            f"no output of {sorted(outputs)} is connected to the inputs; even an empty result must backpropagate"
        )
    return total


def gradients_of(outputs: Mapping[str, Tensor], sources: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradients of the objective, zeros where there is no connection."""
    gradients = torch.autograd.grad(objective(outputs), list(sources.values()), allow_unused=True)
    return {
        name: torch.zeros_like(source) if gradient is None else gradient
        for (name, source), gradient in zip(sources.items(), gradients, strict=True)
    }


def substitute(case: Case, keywords: Mapping[str, Any], leaves: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the keywords of a call with some leaves replaced."""
    replaced = {name: dict(value) if isinstance(value, Mapping) else value for name, value in keywords.items()}
    for leaf in case.leaves:
        if leaf.name in leaves:
            if leaf.modality is None:
                replaced[leaf.argument] = leaves[leaf.name]
            else:
                replaced[leaf.argument][leaf.modality] = leaves[leaf.name]
    return replaced


@dataclass(frozen=True)
class Run:
    """One call and its backward pass, reduced to what padding must not change.

    Args:
        outputs: real entries of every output.
        gradients: at the real entries of every floating argument (``"x"``) and of every parameter (``"parameter w"``).
        padded_outputs: the other entries of the outputs that have a mask.
        padded_gradients: the gradients at padding.
    """

    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor]
    padded_outputs: dict[str, Tensor]
    padded_gradients: dict[str, Tensor]


def run(
    case: Case,
    target: Callable[..., Any],
    call: Call,
    *,
    names: Mapping[str, str] | None = None,
    caller: Callable[..., Any] | None = None,
) -> Run:
    """Call ``target`` (through ``caller``, where one wraps it) and differentiate the objective."""
    raw = named_outputs(case, (target if caller is None else caller)(**call.keywords), names)
    outputs, padded_outputs = {}, {}
    for name, value in raw.items():
        mask = _mask_of(case, name, raw, call)
        outputs[name] = value if mask is None else _where(name, value, mask)
        if mask is not None:
            padded_outputs[name] = value[~mask].detach()
    sources = dict(call.leaves)
    if isinstance(target, nn.Module):
        sources |= {f"parameter {name}": value for name, value in target.named_parameters() if value.requires_grad}
    kept, padded_gradients = gradients_of(outputs, sources), {}
    for name, real in call.real.items():
        if name in kept and real.ndim:
            padded_gradients[name] = kept[name][~real]
            kept[name] = kept[name][real]
    return Run({name: value.detach() for name, value in outputs.items()}, kept, padded_outputs, padded_gradients)


def fresh_run(
    case: Case,
    problem: Problem,
    padding: Padding = TIGHT,
    *,
    mode: Mode = "eval",
    dtype: torch.dtype = torch.float64,
    target: Callable[..., Any] | None = None,
    seed: int = 0,
    names: Mapping[str, str] | None = None,
    **layout: Any,
) -> Run:
    """Run a problem on a newly built target, so that no state is carried from run to run."""
    target = case.target(mode=mode, dtype=dtype, names=names) if target is None else target
    call = problem.call(padding, dtype=dtype, names=names, **layout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return run(case, target, call, names=names)


def _where(name: str, value: Tensor, mask: Tensor) -> Tensor:
    if value.shape[: mask.ndim] != mask.shape:
        raise AssertionError(f"output {name!r} has shape {list(value.shape)}, but its mask has {list(mask.shape)}")
    return value[mask]


def _mask_of(case: Case, name: str, outputs: Mapping[str, Tensor], call: Call) -> Tensor | None:
    for pattern, source in case.masked_by.items():
        found = re.fullmatch(re.escape(pattern).replace(r"\*", "(.*)"), name)
        if found is None:
            continue
        source = source.replace("*", found.group(1)) if found.groups() else source
        mask = call.real.get(source, outputs.get(source))
        if mask is None or mask.dtype != torch.bool:
            raise AssertionError(
                f"masked_by sends output {name!r} to {source!r}, which is neither an argument ({', '.join(call.real)}) "
                f"nor a boolean output ({', '.join(outputs)})"
            )
        return mask
    return None


def assert_same(
    actual: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    what: str,
    *,
    label: str = "",
    rtol: float = 1e-7,
    atol: float = 1e-9,
) -> None:
    """Require equal names, shapes and values; ``label`` stands before a name in the message."""
    if actual.keys() != expected.keys():
        raise AssertionError(f"{what}: {label}{sorted(actual)} instead of {sorted(expected)}")
    for name, value in actual.items():
        wanted = expected[name]
        if value.shape != wanted.shape:
            shapes = f"{list(value.shape)} instead of {list(wanted.shape)}"
            raise AssertionError(f"{what}: {label}{name} has shape {shapes}")
        if not torch.isfinite(value).all():
            raise AssertionError(f"{what}: {label}{name} is not finite")
        value, wanted = value.double().cpu(), wanted.double().cpu()
        if not torch.allclose(value, wanted, rtol=rtol, atol=atol):
            error, largest = (values.abs().max().item() for values in (value - wanted, wanted))
            raise AssertionError(f"{what}: {label}{name} changes by up to {error:.3g} (largest value {largest:.3g})")


def assert_same_run(actual: Run, expected: Run, what: str, *, rtol: float = 1e-7, atol: float = 1e-9) -> None:
    """Require equal outputs and gradients."""
    assert_same(actual.outputs, expected.outputs, what, rtol=rtol, atol=atol)
    assert_same(actual.gradients, expected.gradients, what, label="gradient of ", rtol=rtol, atol=atol)


def assert_finite(checked: Run, what: str) -> None:
    """Require finite outputs and gradients, at padding too."""
    for label, values in (
        ("", checked.outputs),
        ("", checked.padded_outputs),
        ("gradient of ", checked.gradients),
        ("gradient at padding of ", checked.padded_gradients),
    ):
        for name, value in values.items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise AssertionError(f"{what}: {label}{name} is not finite")
