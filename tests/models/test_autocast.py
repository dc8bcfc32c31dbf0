"""Training under bfloat16 autocast follows training in float32, within bounds that the documentation states."""

import pytest
import torch

from mmdisentangle.models import create_model, list_models

WIDTHS = {"text": 6, "audio": 4, "vision": 5}
SETTINGS = {
    # A hard gate that rounding turns is no lack of precision.
    "rtil": {"hidden_features": 16, "feedforward_features": 32, "gate": "soft"},
    "mea": {"features": 16, "hidden_features": 8, "num_heads": 2, "feedforward_features": 16},
    # Means of deeply encoded noise differ little from sample to sample, which is what rounding changes.
    "misa": {"hidden_features": 32, "encoder_blocks": 0},
    "mult": {"features": 16, "num_heads": 2, "cross_layers": 2, "memory_layers": 1},
    "late_fusion": {"hidden_features": 16, "head_features": 16},
    "early_fusion": {"hidden_features": 16, "head_features": 16},
}
STEPS = 40
# Difference of the total loss, at every step and as a mean over all of them, relative to the loss itself. Where it is
# next to nothing, since there is no other term than that of the task, it is relative to a share of the first loss.
LARGEST, MEAN = 0.03, 0.01
LEAST_SHARE = 0.1


def losses(name, low):
    torch.manual_seed(0)
    model = create_model(name, modalities=WIDTHS, num_outputs=1, **SETTINGS[name]).eval()
    adam = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    inputs = {m: torch.randn(16, 12, width, generator=generator) for m, width in WIDTHS.items()}
    target = inputs["text"][..., :1].mean(1) * 3
    found = []
    for _ in range(STEPS):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            objective = model.objective(model(inputs), target)
        adam.zero_grad()
        objective.total.backward()
        adam.step()
        found.append((objective.total.item(), objective.task.item()))
    assert all(p.dtype == torch.float32 for p in model.parameters())
    return torch.tensor(found, dtype=torch.float64).unbind(1)


@pytest.mark.parametrize("name", list_models())
def test_training_follows_float32(name):
    total, task = losses(name, low=False)
    total_low, task_low = losses(name, low=True)
    difference = (total_low - total).abs() / total.abs().clamp(min=LEAST_SHARE * total[0].item())
    assert difference.max() < LARGEST
    assert difference.mean() < MEAN
    # And it does train.
    assert task[-1] < 0.5 * task[0]
    assert task_low[-1] < 0.5 * task_low[0]
