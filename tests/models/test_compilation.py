"""Whole models, objective included, in one graph that serves every batch size and length."""

import pytest
import torch

from mmdisentangle.models import create_model, list_models

WIDTHS = {"text": 5, "audio": 3}
SETTINGS = {
    "rtil": {"hidden_features": 8, "feedforward_features": 16},
    "mea": {
        "features": 8,
        "hidden_features": 6,
        "num_heads": 2,
        "encoder_blocks": 1,
        "feedforward_features": 8,
        "psa_layers": 2,
        "hca_layers": 1,
    },
    "misa": {"hidden_features": 8, "encoder_blocks": 1},
    "mult": {"features": 8, "num_heads": 2, "cross_layers": 1, "memory_layers": 1},
    "late_fusion": {"hidden_features": 8, "encoder_blocks": 1, "head_features": 6},
    "early_fusion": {"hidden_features": 8, "encoder_blocks": 1, "head_features": 6},
}
# The square root of some thousand terms: channels, taps, frames and samples of a convolution's gradient.
ROUNDINGS = 64
# Batch size, and the lengths of the streams.
SIZES = ((4, (7, 11)), (17, (10, 15)), (3, (21, 9)), (5, (6, 6)))

pytestmark = [pytest.mark.compile, pytest.mark.slow, pytest.mark.timeout(900)]


def batch(size, lengths):
    generator = torch.Generator().manual_seed(size)
    inputs = {
        name: torch.randn(size, length, width, generator=generator)
        for (name, width), length in zip(WIDTHS.items(), lengths, strict=True)
    }
    masks = {name: torch.rand(x.shape[:2], generator=generator) < 0.8 for name, x in inputs.items()}
    return inputs, masks, torch.randn(size, 1, generator=generator)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", list_models())
def test_one_graph(name, masked):
    torch.manual_seed(0)
    model = create_model(name, modalities=WIDTHS, num_outputs=1, **SETTINGS[name]).eval()

    def total(inputs, masks, target):
        return model.objective(model(inputs, masks), target).total

    torch._dynamo.reset()
    compiled = torch.compile(total, fullgraph=True, dynamic=True, backend="aot_eager")
    # A second graph is an error, as a break of the graph is.
    with torch._dynamo.config.patch(error_on_recompile=True):
        for size, lengths in SIZES:
            inputs, masks, target = batch(size, lengths)
            results = []
            for run in (compiled, total):
                model.zero_grad()
                loss = run(inputs, masks if masked else None, target)
                loss.backward()
                results.append((loss, [p.grad.clone() for p in model.parameters() if p.grad is not None]))
            if name in ("rtil", "mea"):
                torch.testing.assert_close(*results, rtol=1e-4, atol=1e-6)
                continue
            (loss, gradients), (expected, wanted) = results
            torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
            for gradient, other in zip(gradients, wanted, strict=True):
                # An entry is a sum over frames and samples: rounded relative to its terms, not to what is left of them.
                allowed = ROUNDINGS * torch.finfo(other.dtype).eps * other.abs().max().item()
                torch.testing.assert_close(gradient, other, rtol=1e-4, atol=max(allowed, 1e-7))
    torch._dynamo.reset()
