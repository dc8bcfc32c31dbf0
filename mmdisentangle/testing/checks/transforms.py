"""Functional transforms: ``torch.func.grad`` and ``vmap``, alone and composed."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdisentangle.testing.case import Case
from mmdisentangle.testing.problem import draw
from mmdisentangle.testing.registry import check
from mmdisentangle.testing.runs import assert_same, gradients_of, named_outputs, objective, substitute


@check()
def func_grad(case: Case) -> None:
    """``torch.func.grad``, through ``functional_call`` for a module, gives the gradients of autograd."""
    target = case.target(dtype=torch.float64)
    call = draw(case).call(dtype=torch.float64)
    outputs = named_outputs(case, target(**call.keywords))
    differentiable = {name for name, value in outputs.items() if value.requires_grad}
    parameters = dict(target.named_parameters()) if isinstance(target, nn.Module) else {}
    expected = gradients_of(outputs, {**call.leaves, **{f"parameter {k}": v for k, v in parameters.items()}})

    def function(leaves: dict[str, Tensor], weights: dict[str, Tensor]) -> Tensor:
        keywords = substitute(case, call.keywords, leaves)
        if isinstance(target, nn.Module):
            result = torch.func.functional_call(target, weights, kwargs=keywords)
        else:
            result = target(**keywords)
        return objective(named_outputs(case, result), differentiable)

    leaves, weights = ({k: v.detach() for k, v in values.items()} for values in (call.leaves, parameters))
    of_leaves, of_weights = torch.func.grad(function, argnums=(0, 1))(leaves, weights)
    actual = {**of_leaves, **{f"parameter {k}": v for k, v in of_weights.items()}}
    assert_same(actual, expected, "torch.func.grad", label="gradient of ")


@check()
def vmap(case: Case) -> None:
    """``torch.func.vmap`` over whole problems, of values and of gradients, gives what a loop gives."""
    target = case.target(dtype=torch.float64)
    calls = [draw(case, seed=seed).call(dtype=torch.float64) for seed in (0, 1)]
    results = [named_outputs(case, target(**call.keywords)) for call in calls]
    differentiable = {name for name, value in results[0].items() if value.requires_grad}
    gradients = [gradients_of(result, call.leaves) for result, call in zip(results, calls, strict=True)]

    def function(leaves: dict[str, Tensor], keywords: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        outputs = named_outputs(case, target(**substitute(case, keywords, leaves)))
        return objective(outputs, differentiable), outputs

    leaves = _stacked([{k: v.detach() for k, v in call.leaves.items()} for call in calls])
    keywords = _stacked([call.keywords for call in calls])
    with warnings.catch_warnings():
        # Some operators have no batching rule and run in a loop, which is slow and right.
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        _, alone = torch.func.vmap(function)(leaves, keywords)
        actual, outputs = torch.func.vmap(torch.func.grad(function, has_aux=True))(leaves, keywords)
    for index in range(len(calls)):
        expected = {name: value.detach() for name, value in results[index].items()}
        for label, values in (("vmap", alone), ("vmap of grad", outputs)):
            assert_same({k: v[index].detach() for k, v in values.items()}, expected, label)
        found = {k: v[index] for k, v in actual.items()}
        assert_same(found, gradients[index], "vmap of grad", label="gradient of ")


def _stacked(items: Sequence[Any]) -> Any:
    """Stack equal nests of mappings and tensors, tensor by tensor."""
    if isinstance(items[0], Mapping):
        return {key: _stacked([item[key] for item in items]) for key in items[0]}
    return torch.stack([item.detach() for item in items])
