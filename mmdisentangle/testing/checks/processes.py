"""Several processes: a gathered batch gives the value and the gradient of one process with the whole batch."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmdisentangle.testing.case import Case
from mmdisentangle.testing.problem import Call, Problem, draw
from mmdisentangle.testing.processes import run_processes
from mmdisentangle.testing.registry import check
from mmdisentangle.testing.runs import assert_same, flatten, gradients_of

_BATCH = 6
# Where the batch is cut: equal halves, unequal ones, and a process without a sample.
_CUTS = (3, 2, 0)


class _Share(NamedTuple):
    """What one process computed; gradients of parameters are complete once they are averaged."""

    outputs: dict[str, Tensor]
    inputs: dict[str, Tensor]
    parameters: dict[str, Tensor]


def _gathers(case: Case) -> bool:
    return case.gather is not None


@check(_gathers)
def gather(case: Case) -> None:
    """Two processes, with even and uneven batches, give the value of one and, averaged as DDP does, its gradient."""
    problem = draw(case, batch=_BATCH)
    plain, gathering = (case.target(dtype=torch.float64, gather=gathers) for gathers in (False, True))
    whole = problem.call(dtype=torch.float64)
    names = _common(plain, [_shares(problem, 2)[0], whole])
    expected = _run_share(plain, whole.keywords, _paths(case, whole), names)
    for cut in _CUTS:
        calls = _shares(problem, cut)
        arguments = [(gathering, call.keywords, _paths(case, call), names) for call in calls]
        found: list[_Share] = run_processes(_run_share, arguments)
        where = f"over two processes with {cut} and {_BATCH - cut} samples"
        for rank, share in enumerate(found):
            assert_same(share.outputs, expected.outputs, f"process {rank}, {where}")
        per_rank = [_real_entries(share.inputs, call) for share, call in zip(found, calls, strict=True)]
        wanted = _real_entries(expected.inputs, whole)
        # Averaged over processes, as DistributedDataParallel does with the parameters behind these inputs.
        inputs = {name: torch.cat([part[name] for part in per_rank]) / len(found) for name in wanted}
        assert_same(inputs, wanted, where, label="gradient of ")
        parameters = {
            name: torch.stack([share.parameters[name] for share in found]).mean(0) for name in expected.parameters
        }
        assert_same(parameters, expected.parameters, where, label="gradient of parameter ")


def _shares(problem: Problem, cut: int) -> list[Call]:
    parts = [problem.select(samples) for samples in (range(cut), range(cut, _BATCH))]
    return [
        (part.tight() if size else part).call(dtype=torch.float64) for part, size in zip(parts, (cut, 1), strict=True)
    ]


def _common(target: Callable[..., Any], calls: list[Call]) -> list[str]:
    """Names of the outputs that are of the batch and not of its samples: their shape does not grow with it."""
    shapes = [{name: x.shape for name, x in flatten(target(**call.keywords)).items()} for call in calls]
    return [name for name, shape in shapes[0].items() if all(other[name] == shape for other in shapes)]


def _paths(case: Case, call: Call) -> list[tuple[str, str, str | None]]:
    return [(leaf.name, leaf.argument, leaf.modality) for leaf in case.leaves if leaf.name in call.leaves]


def _run_share(
    target: Callable[..., Any],
    keywords: dict[str, Any],
    paths: list[tuple[str, str, str | None]],
    names: Collection[str],
) -> _Share:
    """Call, and differentiate the outputs of the names."""
    leaves = {
        name: keywords[argument] if modality is None else keywords[argument][modality]
        for name, argument, modality in paths
    }
    parameters = dict(target.named_parameters()) if isinstance(target, nn.Module) else {}
    outputs = {name: value for name, value in flatten(target(**keywords)).items() if name in names}
    gradients = gradients_of(
        outputs, {**leaves, **{f"parameter {name}": parameter for name, parameter in parameters.items()}}
    )
    return _Share(
        {name: value.detach() for name, value in outputs.items()},
        {name: gradients[name] for name in leaves},
        {name: gradients[f"parameter {name}"] for name in parameters},
    )


def _real_entries(gradients: dict[str, Tensor], call: Call) -> dict[str, Tensor]:
    return {name: value[call.real[name]] for name, value in gradients.items() if call.real[name].ndim}
