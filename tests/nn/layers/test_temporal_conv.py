import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.nn import TemporalConvEncoder
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import state, temporal_conv


def encoder(num_blocks=2, kernel_size=3):
    torch.manual_seed(0)
    layer = TemporalConvEncoder(3, 4, num_blocks=num_blocks, kernel_size=kernel_size).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) / 5)
    return layer


@given(seeds, st.integers(1, 2), st.integers(0, 7), st.integers(0, 3), st.sampled_from([1, 3, 5]))
def test_loops(seed, batch, frames, num_blocks, kernel_size):
    layer, x, mask = encoder(num_blocks, kernel_size), normal(seed, batch, frames, 3), coin(seed, batch, frames)
    dirty = torch.where(mask.unsqueeze(-1), x, float("nan"))
    for given_x, given_mask in ((dirty, mask), (x, None)):
        real = mask.numpy() if given_mask is not None else np.ones((batch, frames), bool)
        expected = temporal_conv(x.numpy(), real, state(layer), num_blocks)
        np.testing.assert_allclose(layer(given_x, given_mask).detach().numpy(), expected, atol=1e-10)


@pytest.mark.parametrize(("num_blocks", "kernel_size"), [(0, 5), (1, 3), (2, 3), (3, 5)])
def test_receptive_field(num_blocks, kernel_size):
    layer, frames = encoder(num_blocks, kernel_size), 81
    x = normal(0, 1, frames, 3).requires_grad_()
    layer(x)[0, frames // 2].sum().backward()
    seen = (x.grad[0].abs().sum(-1) > 0).nonzero().squeeze(-1)
    width = 1 + (kernel_size - 1) * 2**num_blocks
    assert seen.max() - seen.min() + 1 == width
    assert seen.max() - frames // 2 == frames // 2 - seen.min()


def test_shifted_input_shifts_the_result():
    layer = encoder()
    x = torch.zeros(1, 60, 3, dtype=torch.float64)
    x[:, 20:30] = normal(0, 1, 10, 3)
    torch.testing.assert_close(layer(x.roll(7, 1))[:, 15:50], layer(x).roll(7, 1)[:, 15:50])


def test_no_frames():
    layer = encoder()
    assert layer(torch.zeros(2, 0, 3, dtype=torch.float64)).shape == (2, 0, 4)
    assert layer(torch.zeros(0, 5, 3, dtype=torch.float64)).shape == (0, 5, 4)


@pytest.mark.parametrize("masked", [False, True])
def test_derivatives(masked):
    x = normal(0, 2, 4, 3).requires_grad_()
    mask = torch.tensor([[True, True, False, True], [False] * 4]) if masked else None
    torch.autograd.gradcheck(lambda y: encoder()(y, mask), x)


def test_dropout_in_training_only():
    layer, x = TemporalConvEncoder(3, 8, dropout=0.5), torch.randn(2, 9, 3)
    assert not torch.allclose(layer(x), layer(x))
    layer.eval()
    torch.testing.assert_close(layer(x), layer(x))


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("in_features", "0"), {"in_features": 0, "features": 4}),
        (("features", "0"), {"in_features": 3, "features": 0}),
        (("num_blocks", "-1"), {"in_features": 3, "features": 4, "num_blocks": -1}),
        (("kernel_size", "odd", "4"), {"in_features": 3, "features": 4, "kernel_size": 4}),
        (("dropout", "2"), {"in_features": 3, "features": 4, "dropout": 2}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "TemporalConvEncoder: ", *words):
        TemporalConvEncoder(**settings)


@pytest.mark.bad_input
def test_bad_input():
    x = torch.zeros(2, 5, 3)
    with expect.error(ShapeError, "TemporalConvEncoder: x", "3 features", "got 2"):
        encoder()(x[..., :2])
    with expect.error(DtypeError, "TemporalConvEncoder: x", "int64"):
        encoder()(x.long())
    with expect.error(ShapeError, "TemporalConvEncoder: mask", "[2, 5]", "[2, 4]"):
        encoder()(x, torch.ones(2, 4).bool())
