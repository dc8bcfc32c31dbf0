from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.nn import CrossModalAttention
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import carried, cross_attention, state


def attention(features=6, context_features=None, num_heads=2):
    torch.manual_seed(0)
    return CrossModalAttention(features, context_features, num_heads=num_heads).double().eval()


@given(seeds, st.integers(1, 3), st.integers(0, 3), st.integers(0, 4), st.sampled_from([None, 4]))
def test_loops(seed, batch, queries, frames, context_features):
    layer = attention(context_features=context_features)
    query, context = normal(seed, batch, queries, 6), normal(seed + 1, batch, frames, context_features or 6)
    mask = coin(seed, batch, frames)
    dirty = torch.where(mask.unsqueeze(-1), context, float("nan"))
    expected = cross_attention(query.numpy(), context.numpy(), mask.numpy(), state(layer), 2)
    np.testing.assert_allclose(layer(query, dirty, mask).detach().numpy(), expected, atol=1e-10)
    everything = np.ones((batch, frames), bool)
    expected = cross_attention(query.numpy(), context.numpy(), everything, state(layer), 2)
    np.testing.assert_allclose(layer(query, context).detach().numpy(), expected, atol=1e-10)


@given(seeds, st.integers(1, 3), st.integers(1, 3), st.integers(0, 4))
def test_codes_are_carried_by_the_same_weights(seed, batch, queries, frames):
    layer = attention()
    query, context, codes = (
        normal(seed, batch, queries, 6),
        normal(seed + 1, batch, frames, 6),
        normal(seed + 2, batch, frames, 6),
    )
    mask = coin(seed, batch, frames)
    dirty = torch.where(mask.unsqueeze(-1), codes, float("nan"))
    attended, moved = layer.with_carried(query, context, dirty, mask)
    torch.testing.assert_close(attended, layer(query, context, mask))
    expected = carried(query.numpy(), context.numpy(), codes.numpy(), mask.numpy(), state(layer), 2)
    np.testing.assert_allclose(moved.detach().numpy(), expected, atol=1e-10)
    torch.testing.assert_close(layer.with_carried(query, context, codes)[0], layer(query, context))


def test_it_is_torchs_own_attention():
    layer, reference = attention(8, num_heads=4), torch.nn.MultiheadAttention(8, 4, batch_first=True).double().eval()
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]))
        reference.in_proj_bias.zero_()
        reference.out_proj.load_state_dict(layer.output.state_dict())
    query, context = normal(0, 3, 5, 8), normal(1, 3, 7, 8)
    mask = torch.arange(7) < torch.tensor([[7], [3], [1]])
    expected = reference(query, context, context, key_padding_mask=~mask)[0]
    torch.testing.assert_close(layer(query, context, mask), expected)


def test_released_numbers():
    with np.load(Path(__file__).parents[2] / "conformance" / "rtil_functional.npz") as arrays:
        z = {name: torch.from_numpy(arrays[name]) for name in arrays.files if name.startswith("cross.")}
    layer = CrossModalAttention(16, num_heads=4).double().eval()
    names = {"query": "wq", "key": "wk", "value": "wv", "output": "out_proj"}
    own = {key: key.split(".") for key in layer.state_dict()}
    layer.load_state_dict({key: z[f"cross.param.{names[part]}.{kind}"] for key, (part, kind) in own.items()})
    torch.testing.assert_close(layer(z["cross.q"], z["cross.kv"]), z["cross.out"], rtol=1e-6, atol=1e-9)


def test_order_of_the_context_does_not_matter():
    layer, query, context = attention(), normal(0, 2, 3, 6), normal(1, 2, 5, 6)
    torch.testing.assert_close(layer(query, context.flip(1)), layer(query, context))


@pytest.mark.parametrize("masked", [False, True])
def test_derivatives(masked):
    layer, query, context = attention(), normal(0, 2, 2, 6).requires_grad_(), normal(1, 2, 3, 6).requires_grad_()
    codes = normal(2, 2, 3, 6).requires_grad_()
    mask = torch.tensor([[True, False, True], [False] * 3]) if masked else None
    torch.autograd.gradcheck(lambda *t: layer.with_carried(*t, mask), (query, context, codes))


def test_a_sample_without_context_gives_exactly_zero():
    layer = attention()
    query, context = normal(0, 2, 3, 6).requires_grad_(), torch.full((2, 4, 6), float("nan"), dtype=torch.float64)
    mask = torch.zeros(2, 4, dtype=torch.bool)
    results = (
        layer(query, context, mask),
        layer(query, context[:, :0]),
        layer(query, context[:, :0], mask[:, :0]),
        *layer.with_carried(query, context, context, mask),
        *layer.with_carried(query, context[:, :0], context[:, :0]),
    )
    assert all((result == 0).all() for result in results)
    sum(result.sum() for result in results).backward()
    assert (query.grad == 0).all()


def test_dropout_in_training_only():
    layer = CrossModalAttention(8, num_heads=2, dropout=0.5)
    x = torch.randn(4, 50, 8)
    result = layer(x, x)
    assert 0.3 < (result == 0).float().mean() < 0.7
    assert (layer.eval()(x, x) != 0).all()


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("num_heads", "features=6", "4"), {"features": 6, "num_heads": 4}),
        (("features", "0"), {"features": 0}),
        (("num_heads", "0"), {"features": 4, "num_heads": 0}),
        (("context_features", "0"), {"features": 4, "context_features": 0}),
        (("dropout", "2"), {"features": 4, "dropout": 2}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "CrossModalAttention: ", *words):
        CrossModalAttention(**settings)


X = torch.zeros(2, 3, 8)


@pytest.mark.parametrize(
    ("exception", "words", "arguments"),
    [
        (DtypeError, ("query", "int64"), (X.long(), X)),
        (ShapeError, ("query", "8 features", "got 4"), (X[..., :4], X)),
        (ShapeError, ("context", "8 features", "got 4"), (X, X[..., :4])),
        (ShapeError, ("context", "[B, T, D]", "[3, 8]"), (X, X[0])),
        (ShapeError, ("batch size", "2 and 1"), (X, X[:1])),
        (ShapeError, ("context_mask", "[2, 3]", "[2, 4]"), (X, X, torch.ones(2, 4).bool())),
        (DtypeError, ("context_mask", "float32"), (X, X, torch.ones(2, 3))),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments):
    with expect.error(exception, "CrossModalAttention: ", *words):
        CrossModalAttention(8)(*arguments)


@pytest.mark.bad_input
def test_bad_carried_codes():
    layer = CrossModalAttention(8)
    with expect.error(ShapeError, "CrossModalAttention: carried", "[2, 3]", "[2, 2]"):
        layer.with_carried(X, X, X[:, :2])
    with expect.error(ShapeError, "CrossModalAttention: carried", "8 features", "got 4"):
        layer.with_carried(X, X, X[..., :4])
