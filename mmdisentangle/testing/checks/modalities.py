"""Samples and modalities: no result depends on batch mates, on the order of a dict or on a name."""

import torch
from torch import Tensor

from mmdisentangle.testing.arguments import Leaf
from mmdisentangle.testing.case import Case
from mmdisentangle.testing.problem import draw
from mmdisentangle.testing.registry import check
from mmdisentangle.testing.runs import assert_same, assert_same_run, fresh_run, named_outputs

# Names that a ModuleDict, or an attribute, could stumble over.
_AWKWARD = ("keys", "a.b", "modality 2", "type", "0", "forward")


def _has_streams(case: Case) -> bool:
    return bool(case.streams)


def _has_samples(case: Case) -> bool:
    return any(leaf.kind != "weight" for leaf in case.leaves)


@check(_has_streams)
def modality_order(case: Case) -> None:
    """The order of a caller's dict does not matter."""
    problem = draw(case)
    for mode in case.compared_modes:
        expected = fresh_run(case, problem, mode=mode)
        actual = fresh_run(case, problem, mode=mode, reverse_order=True)
        assert_same_run(actual, expected, f"modalities in reverse order, {mode} mode")


@check(_has_streams)
def modality_names(case: Case) -> None:
    """Modalities may have any name."""
    problem = draw(case)
    expected = fresh_run(case, problem)
    plain = {name: f"{name}_renamed" for name in case.modalities}
    awkward = {name: _AWKWARD[i] if i < len(_AWKWARD) else f"m.{i}" for i, name in enumerate(case.modalities)}
    for names in (plain, awkward):
        actual = fresh_run(case, problem, names=names)
        what = f"modalities renamed to {list(names.values())}"
        assert_same(actual.outputs, expected.outputs, what)
        # Parameters may carry the name; their order is that of construction.
        gradients = dict(zip(expected.gradients, actual.gradients.values(), strict=True))
        assert_same(gradients, expected.gradients, what, label="gradient of ")


@check(_has_samples)
def batch_independence(case: Case) -> None:
    """What a sample gets, values and gradients, does not depend on the content of its batch mates."""
    other = draw(case, seed=1)

    def replace_first(leaf: Leaf, sample: int, content: Tensor) -> Tensor:
        return other.contents[leaf.name][0] if sample == 0 and leaf.kind != "weight" else content

    problem = draw(case)
    replaced = problem.with_content(replace_first)
    first = {
        leaf.name: problem.contents[leaf.name][0].shape[0] for leaf in case.leaves if leaf.kind in ("frames", "rows")
    }
    per_sample = _per_sample_outputs(case)
    for mode in case.compared_modes:
        what = f"another first sample in the batch, {mode} mode"
        values, gradients = [], []
        for version in (problem, replaced):
            target, call = case.target(mode=mode, dtype=torch.float64), version.call(dtype=torch.float64)
            outputs = named_outputs(case, target(**call.keywords))
            values.append({name: outputs[name][1:].detach() for name in per_sample})
            run = fresh_run(case, version, mode=mode)
            gradients.append({name: run.gradients[name][real:] for name, real in first.items()})
        assert_same(values[1], values[0], what, label="other samples' ")
        assert_same(gradients[1], gradients[0], what, label="gradient at the other samples of ")


def _per_sample_outputs(case: Case) -> list[str]:
    """Names of the outputs whose first axis is the batch: it follows the number of samples."""
    sizes = []
    for batch in (case.batch, case.batch + 1):
        outputs = named_outputs(case, case.target()(**draw(case, batch=batch).call().keywords))
        sizes.append({name: value.shape[0] if value.ndim else None for name, value in outputs.items()})
    return [name for name, size in sizes[0].items() if size == case.batch and sizes[1][name] == case.batch + 1]
