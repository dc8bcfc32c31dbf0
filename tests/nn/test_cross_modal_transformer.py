"""The cross-modal transformer against loops over samples and frames."""

import math

import numpy as np
import pytest
import torch

from mmdisentangle.errors import SettingError, ShapeError
from mmdisentangle.nn import CrossModalTransformer
from tests.oracles import expect
from tests.oracles.draws import normal
from tests.oracles.layers import attend, layer_norm, sinusoid, state


def build(**settings):
    torch.manual_seed(0)
    return CrossModalTransformer(6, num_heads=2, num_layers=2, feedforward_features=8, **settings).double().eval()


def oracle(layer, target, source, causal):
    """One sample without padding, frame by frame; ``source`` is None for self-attention."""
    w, width = state(layer), 6

    def embedded(x):
        return np.array([math.sqrt(width) * frame + sinusoid(t, width) for t, frame in enumerate(x)])

    h, context = embedded(target), None if source is None else embedded(source)
    for index in range(2):
        p = {name.removeprefix(f"layers.{index}."): v for name, v in w.items() if name.startswith(f"layers.{index}.")}

        def norm(frame, part="norm_attention", p=p):
            return layer_norm(frame, p[f"{part}.weight"], p[f"{part}.bias"])

        seen = [norm(frame) for frame in (h if context is None else context)]
        keys = np.array([p["key.weight"] @ frame for frame in seen]).reshape(-1, width)
        values = np.array([p["value.weight"] @ frame + p["value.bias"] for frame in seen]).reshape(-1, width)
        new = []
        for t, frame in enumerate(h):
            upto = t + abs(len(h) - len(seen)) + 1 if causal else len(seen)
            y = frame
            if len(seen):
                query = p["query.weight"] @ norm(frame) + p["query.bias"]
                y = y + p["output.weight"] @ attend(query, keys[:upto], values[:upto], 2) + p["output.bias"]
            wide = np.maximum(p["feedforward.0.weight"] @ norm(y, "norm_feedforward") + p["feedforward.0.bias"], 0)
            new.append(y + p["feedforward.3.weight"] @ wide + p["feedforward.3.bias"])
        h = np.array(new)
    return np.array([layer_norm(frame, w["norm.weight"], w["norm.bias"]) for frame in h])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("itself", [False, True])
def test_loops(causal, itself):
    layer = build(causal=causal)
    target, source = normal(0, 3, 5, 6), None if itself else normal(1, 3, 8, 6)
    target_mask = torch.tensor([[True] * 5, [False, True, True, False, True], [True, True, False, False, False]])
    source_mask = torch.ones(3, 8, dtype=torch.bool)
    source_mask[0, :6] = False
    source_mask[2] = False
    result = layer(target, source, target_mask, None if itself else source_mask).detach()
    for b in range(3):
        real = target_mask[b]
        other = None if itself else source[b, source_mask[b]].numpy()
        expected = oracle(layer, target[b, real].numpy(), other, causal)
        np.testing.assert_allclose(result[b, real].numpy(), expected, atol=1e-5)  # positions are float32
        assert not result[b, ~real].any()


def test_what_causal_means():
    layer, target, source = build(causal=True), normal(0, 1, 4, 6), normal(1, 1, 6, 6)
    before = layer(target, source)
    changed = source.clone()
    changed[:, 4] = 9.0
    after = layer(target, changed)
    # Two frames more: frame i sees up to frame i + 2.
    torch.testing.assert_close(after[:, :2], before[:, :2])
    assert not torch.allclose(after[:, 2:], before[:, 2:])


def test_no_source_frames():
    layer, target = build(), normal(0, 2, 4, 6)
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    torch.testing.assert_close(layer(target, normal(1, 2, 0, 6)), layer(target, normal(1, 2, 3, 6), None, nothing))


@pytest.mark.bad_input
def test_bad_arguments():
    with expect.error(SettingError, "CrossModalTransformer: num_heads", "6", "4"):
        CrossModalTransformer(6, num_heads=4)
    with expect.error(SettingError, "CrossModalTransformer: attention_dropout", "2"):
        CrossModalTransformer(6, num_heads=2, attention_dropout=2)
    with expect.error(SettingError, "CrossModalTransformer: causal", "1"):
        CrossModalTransformer(6, num_heads=2, causal=1)
    with expect.error(ShapeError, "CrossModalTransformer", "batch size", "2", "3"):
        build()(normal(0, 2, 4, 6), normal(0, 3, 4, 6))
    with expect.error(ShapeError, "source", "6 features", "got 5"):
        build()(normal(0, 2, 4, 6), normal(0, 2, 4, 5))
