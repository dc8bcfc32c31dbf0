import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.nn import ModalityReinforcementUnit
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import state
from tests.oracles.mea import modality_reinforcement as oracle


def unit(num_heads=2, **settings):
    torch.manual_seed(0)
    settings = {"feedforward_features": 5, **settings}
    layer = ModalityReinforcementUnit(6, num_heads=num_heads, **settings).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) / 5)
    return layer


# ---- closed form


def test_torchs_attention_between_two_norms():
    layer, source, target = unit(3), normal(0, 2, 5, 6), normal(1, 2, 3, 6)
    base, context = layer.norm_target(target), layer.norm_source(source)
    q, k, v = (
        x.unflatten(-1, (3, 2)).transpose(1, 2) for x in (layer.query(base), layer.key(context), layer.value(context))
    )
    y = base + scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(layer(source, target), y + layer.feedforward(layer.norm_feedforward(y)))


# ---- oracle


@given(
    seeds,
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(0, 3),
    st.sampled_from([1, 2, 3]),
    st.sampled_from(["head", "model"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.6, 1.0]),
)
def test_loops(seed, batch, source_frames, target_frames, heads, scale, output_projection, bias, share):
    layer = unit(heads, scale=scale, output_projection=output_projection, bias=bias)
    source, target = normal(seed, batch, source_frames, 6), normal(seed + 1, batch, target_frames, 6)
    source_mask = coin(seed, batch, source_frames, heads=share)
    target_mask = coin(seed + 1, batch, target_frames, heads=share)
    dirty = [torch.where(m.unsqueeze(-1), x, math.nan) for x, m in ((source, source_mask), (target, target_mask))]
    for given_values, masks in (
        ((*dirty, source_mask, target_mask), (source_mask, target_mask)),
        ((source, target), (torch.ones_like(source_mask), torch.ones_like(target_mask))),
        ((dirty[0], target, source_mask), (source_mask, torch.ones_like(target_mask))),
    ):
        real = [mask.numpy() for mask in masks]
        expected = oracle(source.numpy(), target.numpy(), *real, state(layer), heads, scale)
        np.testing.assert_allclose(layer(*given_values).detach().numpy(), expected, atol=1e-9)


# ---- laws


def test_order_of_the_source_does_not_matter_and_that_of_the_target_is_kept():
    layer, source, target = unit(), normal(0, 2, 5, 6), normal(1, 2, 3, 6)
    expected = layer(source, target)
    torch.testing.assert_close(layer(source.flip(1), target), expected)
    torch.testing.assert_close(layer(source, target.flip(1)), expected.flip(1))


@given(seeds)
def test_positive_scales_of_both_are_not_seen(seed):
    layer, source, target = unit(), normal(seed, 2, 5, 6), normal(seed + 1, 2, 3, 6)
    ours, theirs = layer(1e3 * source, 1e3 * target), layer(1e2 * source, 1e2 * target)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_scale_of_the_logits():
    head, model = (unit(3, scale=scale) for scale in ("head", "model"))
    source, target = normal(0, 2, 5, 6), normal(1, 2, 3, 6)
    assert not torch.allclose(head(source, target), model(source, target))
    with torch.no_grad():
        model.query.weight.mul_(math.sqrt(3))
    torch.testing.assert_close(model(source, target), head(source, target))


@pytest.mark.parametrize("output_projection", [False, True])
def test_without_a_source_the_target_is_left_to_the_feedforward_network(output_projection):
    layer, target = unit(output_projection=output_projection, bias=True), normal(0, 2, 3, 6)
    y = layer.norm_target(target)
    expected = y + layer.feedforward(layer.norm_feedforward(y))
    source = torch.full((2, 4, 6), math.nan, dtype=torch.float64)
    torch.testing.assert_close(layer(source, target, torch.zeros(2, 4).bool()), expected)
    torch.testing.assert_close(layer(source[:, :0], target), expected)
    mask = torch.tensor([[False] * 4, [True] * 4])
    mixed = layer(normal(1, 2, 4, 6), target, mask)
    torch.testing.assert_close(mixed[0], expected[0])
    assert not torch.allclose(mixed[1], expected[1])


# ---- gradients


@pytest.mark.parametrize("masked", [False, True])
def test_derivatives(masked):
    layer = unit(bias=True, output_projection=True)
    leaves = [normal(0, 2, 3, 6).requires_grad_(), normal(1, 2, 2, 6).requires_grad_()]
    masks = (torch.tensor([[True, False, True], [False] * 3]), torch.tensor([[True, True], [False, True]]))
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def reinforce(source, target, *weights):
        given_masks = masks if masked else (None, None)
        weights = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(layer, weights, (source, target, *given_masks))

    torch.autograd.gradcheck(reinforce, (*leaves, *parameters), fast_mode=True)


# ---- edges


def test_nothing_to_reinforce():
    layer = unit(bias=True, output_projection=True)
    source, target = normal(0, 2, 3, 6), torch.full((2, 2, 6), math.nan, dtype=torch.float64)
    assert (layer(source, target, target_mask=torch.zeros(2, 2).bool()) == 0).all()
    assert layer(source, target[:, :0]).shape == (2, 0, 6)
    assert layer(source[:0], target[:0]).shape == (0, 2, 6)


def test_dropout_in_training_only():
    layer, x = ModalityReinforcementUnit(8, num_heads=2, dropout=0.5), torch.randn(2, 20, 8)
    assert not torch.allclose(layer(x, x), layer(x, x))
    layer.eval()
    torch.testing.assert_close(layer(x, x), layer(x, x))


def test_parameters():
    names = {name for name, _ in ModalityReinforcementUnit(8).named_parameters()}
    assert not names & {"output.weight", "query.bias", "key.bias", "value.bias"}
    assert ModalityReinforcementUnit(8).feedforward[0].out_features == 32
    with_all = dict(ModalityReinforcementUnit(8, output_projection=True, bias=True).named_parameters())
    assert {"output.weight", "output.bias", "query.bias", "value.bias"} <= set(with_all)


# ---- bad input


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("features", "0"), {"features": 0}),
        (("num_heads", "features=6", "4"), {"features": 6, "num_heads": 4}),
        (("scale", "'head', 'model'", "'d'"), {"features": 8, "scale": "d"}),
        (("bias", "True or False", "'no'"), {"features": 8, "bias": "no"}),
        (("output_projection", "True or False", "None"), {"features": 8, "output_projection": None}),
        (("feedforward_features", "0"), {"features": 8, "feedforward_features": 0}),
        (("dropout", "-1"), {"features": 8, "dropout": -1}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "ModalityReinforcementUnit: ", *words):
        ModalityReinforcementUnit(**settings)


@pytest.mark.bad_input
def test_bad_input():
    layer, x, y = unit(), torch.zeros(2, 3, 6).double(), torch.zeros(2, 4, 6).double()
    where = "ModalityReinforcementUnit: "
    with expect.error(ShapeError, where + "source", "6 features", "got 4"):
        layer(x[..., :4], y)
    with expect.error(ShapeError, where + "target", "6 features", "got 4"):
        layer(x, y[..., :4])
    with expect.error(DtypeError, where + "target", "int64"):
        layer(x, y.long())
    with expect.error(ShapeError, where, "batch size", "2", "1"):
        layer(x, y[:1])
    with expect.error(ShapeError, where + "source_mask", "[2, 3]", "[2, 4]"):
        layer(x, y, torch.ones(2, 4).bool())
    with expect.error(DtypeError, where + "target_mask", "float32"):
        layer(x, y, target_mask=torch.ones(2, 4))
