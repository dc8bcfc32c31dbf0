import pytest
import torch
from torch import nn

from mmdisentangle.errors import SettingError
from mmdisentangle.nn import HierarchicalCrossModalAttention, PredictiveSelfAttention, TextDrivenFusion
from mmdisentangle.nn._checkpoint import checkpointed
from tests.oracles import expect


class Counting(nn.Module):
    """Two maps and dropout, which knows how often it ran."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.runs = nn.Linear(4, 4), nn.Linear(4, 4), 0

    def forward(self, x, scale):
        self.runs += 1
        return self.second(nn.functional.dropout(self.first(x).exp(), 0.5)) * scale["by"]


def stored(run):
    """Bytes that a forward pass keeps for its backward pass."""
    storages = {}

    def pack(x):
        storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        result = run()
    assert result is not None
    return sum(storages.values())


# ---- the helper


@pytest.mark.parametrize("active", [False, True])
def test_bits_and_runs(active):
    torch.manual_seed(0)
    part, x, scale = Counting(), torch.randn(3, 4, requires_grad=True), {"by": torch.tensor(2.0, requires_grad=True)}
    leaves = [x, scale["by"], *part.parameters()]

    def gradients(call):
        torch.manual_seed(1)
        value = call()
        return value, torch.autograd.grad(value.square().sum(), leaves)

    plain, expected = gradients(lambda: part(x, scale))
    part.runs = 0
    value, found = gradients(lambda: checkpointed(part, x, scale, active=active))
    assert part.runs == 1 + active
    assert torch.equal(value, plain)
    assert all(torch.equal(own, other) for own, other in zip(found, expected, strict=True))


def test_nothing_to_recompute_without_gradients(monkeypatch):
    part, x = Counting(), torch.randn(3, 4)
    # Inference shall not pay for the state of the random numbers, nor be exported with checkpoints.
    monkeypatch.setattr("mmdisentangle.nn._checkpoint.checkpoint", None)
    with torch.no_grad():
        assert not checkpointed(part, x, {"by": 1.0}, active=True).requires_grad
    assert part.runs == 1


# ---- layers


def predictive(**settings):
    first = PredictiveSelfAttention(8, num_heads=2, predict=False, **settings)
    second = PredictiveSelfAttention(8, num_heads=2, **settings)

    def run(x, mask):
        start = first(x, mask=mask)
        end = second(start.sequence, start.logits, mask)
        return [end.sequence, end.logits]

    return nn.ModuleList((first, second)), run


def hierarchical(**settings):
    layer = HierarchicalCrossModalAttention(("a", "b"), 8, num_heads=2, **settings)
    return layer, lambda x, mask: [*layer({"a": x, "b": x[:, :20]}, {"a": mask}).values()]


def fusion(**settings):
    layer = TextDrivenFusion(("a", "b"), 8, num_heads=2, gate="soft", **settings)

    def run(x, mask):
        fused = layer({"a": x, "b": x[:, :20]}, {"a": x.cos(), "b": x[:, :20].sin()}, {"a": mask})
        return [fused.sequence, *fused.gates.values()]

    return layer, run


@pytest.mark.parametrize(
    ("build", "least"),
    [(predictive, 3), (lambda **settings: predictive(window=3, **settings), 4), (hierarchical, 4), (fusion, 2)],
    ids=["predictive", "windowed", "hierarchical", "fusion"],
)
def test_layers_give_the_same_bits_from_less(build, least):
    found, memory = [], []
    x = torch.randn(2, 64, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.arange(64) < torch.tensor([[64], [40]])
    for active in (False, True):
        torch.manual_seed(0)
        layer, run = build(checkpoint_activations=active)
        outputs = run(x, mask)
        value = sum((y * y.detach().cos()).sum() for y in outputs)
        found.append([*outputs, *torch.autograd.grad(value, [x, *layer.parameters()])])
        memory.append(stored(lambda run=run: run(x, mask)))
    assert all(torch.equal(own, other) for own, other in zip(*found, strict=True))
    assert memory[0] > least * memory[1]


@pytest.mark.parametrize("build", [predictive, hierarchical, fusion])
@pytest.mark.bad_input
def test_bad_settings(build):
    with expect.error(SettingError, ": checkpoint_activations must be True or False", "'no'"):
        build(checkpoint_activations="no")
