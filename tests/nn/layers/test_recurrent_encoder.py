import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import sinusoidal_positions
from mmdisentangle.nn import RecurrentEncoder
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import state
from tests.oracles.mea import recurrent_encoder as oracle


def encoder(features=4, kernel_size=3, position_scale=1.0):
    torch.manual_seed(0)
    return RecurrentEncoder(3, features, kernel_size=kernel_size, position_scale=position_scale).double().eval()


# ---- closed form


def test_torchs_own_bidirectional_lstm():
    layer, x = encoder(), normal(0, 3, 5, 3)
    theirs = nn.LSTM(4, 2, batch_first=True, bidirectional=True).double()
    weights = layer.state_dict()
    theirs.load_state_dict(
        {f"{name}": weights[f"forwards.{name}"] for name in layer.forwards.state_dict()}
        | {f"{name}_reverse": weights[f"backwards.{name}"] for name in layer.backwards.state_dict()}
    )
    u = nn.functional.conv1d(x.mT, layer.convolution.weight.squeeze(2), layer.convolution.bias, padding=1).mT
    u = u + sinusoidal_positions(torch.arange(5), 4)
    torch.testing.assert_close(layer(x), theirs(u)[0])
    lengths = torch.tensor([5, 2, 1])
    mask = torch.arange(5) < lengths.unsqueeze(1)
    silent = torch.where(mask.unsqueeze(-1), x, 0.0)
    u = nn.functional.conv1d(silent.mT, layer.convolution.weight.squeeze(2), layer.convolution.bias, padding=1).mT
    packed = pack_padded_sequence(u + sinusoidal_positions(torch.arange(5), 4), lengths, batch_first=True)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    torch.testing.assert_close(layer(torch.where(mask.unsqueeze(-1), x, math.nan), mask), expected)


# ---- oracle


@given(
    seeds,
    st.integers(0, 3),
    st.integers(0, 6),
    st.sampled_from([2, 4, 5]),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([0.0, 1.0, 0.3]),
    st.sampled_from([0.0, 0.6, 1.0]),
    st.sampled_from([math.nan, math.inf, 1e3]),
)
def test_loops(seed, batch, frames, features, kernel_size, position_scale, share, fill):
    layer, x = encoder(features, kernel_size, position_scale), normal(seed, batch, frames, 3)
    mask = coin(seed, batch, frames, heads=share)
    dirty = torch.where(mask.unsqueeze(-1), x, fill)
    for given_x, given_mask in ((dirty, mask), (x, None)):
        real = mask.numpy() if given_mask is not None else np.ones((batch, frames), bool)
        expected = oracle(x.numpy(), real, state(layer), position_scale)
        # Positions are encoded in float32.
        np.testing.assert_allclose(layer(given_x, given_mask).detach().numpy(), expected, atol=1e-6)


# ---- laws


@given(seeds, st.integers(0, 3), st.integers(0, 3))
def test_padding_on_both_sides_is_invisible(seed, before, after):
    layer, x = encoder(), normal(seed, 2, 4, 3).requires_grad_()
    expected = layer(x)
    (gradient,) = torch.autograd.grad(expected.square().sum(), x)
    padded = nn.functional.pad(x.detach(), (0, 0, before, after), value=math.inf).requires_grad_()
    mask = nn.functional.pad(torch.ones(2, 4), (before, after)).bool()
    result = layer(padded, mask)
    (padded_gradient,) = torch.autograd.grad(result.square().sum(), padded)
    torch.testing.assert_close(result[:, before : before + 4], expected)
    torch.testing.assert_close(padded_gradient[:, before : before + 4], gradient)
    assert (result[~mask] == 0).all()
    assert (padded_gradient[~mask] == 0).all()


def test_what_every_direction_has_heard_of():
    layer, x = encoder(kernel_size=3), normal(0, 1, 9, 3).requires_grad_()
    for half, heard in ((slice(0, 2), range(6)), (slice(2, 4), range(3, 9))):
        (gradient,) = torch.autograd.grad(layer(x)[0, 4, half].sum(), x)
        assert gradient[0].abs().sum(-1).nonzero().squeeze(-1).tolist() == list(heard)


def test_an_empty_frame_in_between_is_passed_over():
    layer, x = encoder(kernel_size=1), normal(0, 1, 5, 3)
    with_hole = torch.cat((x[:, :2], torch.full((1, 3, 3), math.nan, dtype=torch.float64), x[:, 2:]), 1)
    mask = torch.tensor([[True, True, False, False, False, True, True, True]])
    torch.testing.assert_close(layer(with_hole, mask)[mask], layer(x)[0])


def test_positions_can_be_switched_off():
    layer, x = encoder(kernel_size=1, position_scale=0.0), normal(0, 2, 1, 3).expand(2, 6, 3)
    result = layer(x)
    # Equal frames: what the forward direction hears from the front, the backward one hears from the back.
    swapped = encoder(kernel_size=1, position_scale=0.0)
    swapped.backwards.load_state_dict(layer.forwards.state_dict())
    torch.testing.assert_close(swapped(x)[..., 2:], result[..., :2].flip(1))
    assert not torch.allclose(encoder(kernel_size=1)(x), result, atol=1e-3)


# ---- gradients


@pytest.mark.parametrize("masked", [False, True])
def test_derivatives(masked):
    layer, x = encoder(), normal(0, 2, 4, 3).requires_grad_()
    mask = torch.tensor([[False, True, False, True], [False] * 4]) if masked else None
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def encode(x, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, mask))

    torch.autograd.gradcheck(encode, (x, *parameters), fast_mode=True)


# ---- edges


def test_no_frames():
    layer, x = encoder(5), normal(0, 2, 4, 3)
    assert (layer(x * math.nan, torch.zeros(2, 4).bool()) == 0).all()
    for empty in (x[:, :0], x[:0]):
        leaf = empty.clone().requires_grad_()
        result = layer(leaf)
        assert result.shape == (*empty.shape[:2], 5)
        result.sum().backward()
    assert layer(x[:, :0], torch.zeros(2, 0).bool()).shape == (2, 0, 5)


def test_half_of_the_width_per_direction():
    layer = RecurrentEncoder(3, 40)
    assert layer.forwards.hidden_size == layer.backwards.hidden_size == 20
    assert layer.out_features == 40


# ---- bad input


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("in_features", "0"), {"in_features": 0, "features": 4}),
        (("features", "at least 2", "1"), {"in_features": 3, "features": 1}),
        (("kernel_size", "odd", "4"), {"in_features": 3, "features": 4, "kernel_size": 4}),
        (("kernel_size", "0"), {"in_features": 3, "features": 4, "kernel_size": 0}),
        (("position_scale", "nan"), {"in_features": 3, "features": 4, "position_scale": math.nan}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "RecurrentEncoder: ", *words):
        RecurrentEncoder(**settings)


@pytest.mark.bad_input
def test_bad_input():
    x = torch.zeros(2, 5, 3)
    with expect.error(ShapeError, "RecurrentEncoder: x", "3 features", "got 2"):
        encoder()(x[..., :2])
    with expect.error(DtypeError, "RecurrentEncoder: x", "int64"):
        encoder()(x.long())
    with expect.error(ShapeError, "RecurrentEncoder: mask", "[2, 5]", "[2, 4]"):
        encoder()(x, torch.ones(2, 4).bool())
