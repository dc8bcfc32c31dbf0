"""Small MEA models and their inputs, for the tests of the model and of its settings."""

import torch

from mmdisentangle.models import MEA
from tests.oracles.draws import coin, normal

WIDTHS = {"text": 4, "audio": 2, "vision": 3}
TERMS = ("task", "disparity", "agnostic", "exclusive", "importance")
SMALL = {"features": 8, "hidden_features": 6, "num_heads": 2, "encoder_blocks": 1, "feedforward_features": 8}


def build(widths=WIDTHS, num_outputs=1, **settings):
    torch.manual_seed(0)
    return MEA(widths, num_outputs, **{**SMALL, **settings}).double().eval()


def twin(model, **settings):
    """The same weights under other settings, as far as they are still there."""
    other = build(model.widths, **settings)
    own = other.state_dict()
    weights = {name: w for name, w in model.state_dict().items() if name in own and w.shape == own[name].shape}
    assert all(name.startswith(("fusion.", "head.")) for name in set(own) - set(weights))
    other.load_state_dict({**own, **weights})
    return other


def batch(widths=WIDTHS, size=5, lengths=(6, 9, 4), seed=0):
    return {
        name: normal(seed + i, size, length, width)
        for i, ((name, width), length) in enumerate(zip(widths.items(), lengths, strict=True))
    }


def masks_of(inputs, seed=0, share=0.7):
    return {name: coin(seed + i, *x.shape[:2], heads=share) for i, (name, x) in enumerate(inputs.items())}


def target(size=5):
    return normal(99, size, 1)


def terms(model, inputs, masks=None, **options):
    output = model(inputs, masks, **options)
    return output, model.objective(output, target(len(output.prediction)))


def differing(one, other, fields):
    def same(a, b):
        if isinstance(a, dict):
            return all(same(a[name], b[name]) for name in a)
        return a.shape == b.shape and torch.allclose(a, b, rtol=1e-9, atol=1e-12)

    return {name for name in fields if not same(getattr(one, name), getattr(other, name))}


def assert_only(changed, one, other):
    """Among the terms exactly ``changed`` differ."""
    assert differing(one, other, TERMS) == set(changed)


PRINTED = {
    "temporal_encoder": "lstm",
    "kernel_size": 3,
    "attention_mode": "paper",
    "attention_scale": "model",
    "weighting_after": "each",
    "code_gain": 1.0,
    "self_loops": False,
    "readout": "paper",
}
