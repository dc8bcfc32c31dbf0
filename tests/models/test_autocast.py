"""Training under bfloat16 autocast follows training in float32, within bounds that the documentation states."""

import pytest
import torch

from mmdisentangle.models import create_model, list_models

WIDTHS = {"text": 6, "audio": 4, "vision": 5}
SETTINGS = {
    # A hard gate that rounding turns is no lack of precision.
    "rtil": {"hidden_features": 16, "feedforward_features": 32, "gate": "soft"},
    "mea": {"features": 16, "hidden_features": 8, "num_heads": 2, "feedforward_features": 16},
    "misa": {"hidden_features": 16},
    "mult": {"features": 16, "num_heads": 2, "cross_layers": 2, "memory_layers": 1},
    "late_fusion": {"hidden_features": 16, "head_features": 16},
    "early_fusion": {"hidden_features": 16, "head_features": 16},
}
STEPS = 40
# Relative difference of the total loss, at every step and as a mean over all of them.
LARGEST, MEAN = 0.03, 0.01


def setup(name):
    torch.manual_seed(0)
    model = create_model(name, modalities=WIDTHS, num_outputs=1, **SETTINGS[name]).eval()
    generator = torch.Generator().manual_seed(1)
    inputs = {m: torch.randn(16, 12, width, generator=generator) for m, width in WIDTHS.items()}
    return model, torch.optim.Adam(model.parameters(), lr=3e-3), inputs, inputs["text"][..., :1].mean(1) * 3


def backward(model, inputs, target, low):
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        objective = model.objective(model(inputs), target)
    objective.total.backward()
    assert all(term.dtype == torch.float32 for term in objective)
    return objective.total.item(), objective.task.item()


def losses(name, low):
    model, adam, inputs, target = setup(name)
    found = []
    for _ in range(STEPS):
        found.append(backward(model, inputs, target, low))
        adam.step()
    assert all(p.dtype == torch.float32 for p in model.parameters())
    return torch.tensor(found, dtype=torch.float64).unbind(1)


@pytest.mark.parametrize("name", ["rtil", "mea"])
def test_training_follows_float32(name):
    total, task = losses(name, low=False)
    total_low, task_low = losses(name, low=True)
    difference = (total_low - total).abs() / total.abs()
    assert difference.max() < LARGEST
    assert difference.mean() < MEAN
    # And it does train.
    assert task[-1] < 0.5 * task[0]
    assert task_low[-1] < 0.5 * task_low[0]


@pytest.mark.parametrize("name", list_models())
def test_every_step_is_that_of_float32(name):
    """At equal weights: two runs part by and by, and say little about a step.

    Where predictions are off by e, their mean square error is by ``2 sqrt(task) e + e^2`` at most. e is a few times the
    rounding of bfloat16, 2^-8, of what is predicted. Other terms are computed in float32 from codes that are off by as
    much.
    """
    model, adam, inputs, target = setup(name)
    off = 4 * 2**-8 * target.square().mean().sqrt().item()
    tasks = []
    for _ in range(STEPS):
        total, task = backward(model, inputs, target, low=False)
        low, task_low = backward(model, inputs, target, low=True)
        adam.step()
        assert abs(low - total) < 2 * task**0.5 * off + off**2 + 0.01 * (total - task)
        tasks.append(task_low)
    # And it does train.
    assert tasks[-1] < 0.5 * tasks[0]
