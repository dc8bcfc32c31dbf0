import math

import numpy as np
import pytest
import torch

from mmdisentangle.errors import SettingError, ShapeError
from mmdisentangle.nn import BilinearGate
from tests.oracles import expect
from tests.oracles.codes import factorized_bilinear
from tests.oracles.draws import normal
from tests.oracles.layers import state


def gate(mode, **settings):
    torch.manual_seed(0)
    return BilinearGate(5, gate_features=3, num_factors=2, mode=mode, **settings).double().eval()


X, Y = normal(0, 4, 6, 5), normal(1, 4, 6, 5)


def values(layer):
    w = state(layer)
    rows = [
        factorized_bilinear(a, b, w["first.weight"], w["second.weight"], 2, True)
        for a, b in zip(X.reshape(-1, 5).numpy(), Y.reshape(-1, 5).numpy(), strict=True)
    ]
    return (np.array(rows) @ w["head.weight"][0] + w["head.bias"][0]).reshape(4, 6)


def test_soft_is_a_sigmoid_of_bilinear_forms():
    layer = gate("soft")
    expected = 1 / (1 + np.exp(-values(layer)))
    np.testing.assert_allclose(layer(X, Y).detach().numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("mode", ["hard", "released"])
def test_hard_is_a_step(mode):
    layer = gate(mode)
    opened = layer(X, Y)
    assert set(opened.flatten().tolist()) == {0.0, 1.0}
    np.testing.assert_array_equal(opened.detach().numpy(), (values(layer) > 0).astype(float))


def test_hard_learns_like_soft():
    upstream, gradients = normal(2, 4, 6), []
    for mode in ("soft", "hard"):
        layer, x, y = gate(mode), X.clone().requires_grad_(), Y.clone().requires_grad_()
        (layer(x, y) * upstream).sum().backward()
        gradients.append([x.grad, y.grad, *(p.grad for p in layer.parameters())])
    for soft, hard in zip(*gradients, strict=True):
        assert soft.abs().max() > 0
        torch.testing.assert_close(hard, soft)


def test_released_learns_nothing():
    layer, x = gate("released"), X.clone().requires_grad_()
    layer(x, Y).sum().backward()
    for gradient in (x.grad, *(p.grad for p in layer.parameters())):
        assert gradient is None or (gradient == 0).all()


@pytest.mark.parametrize(("mode", "expected"), [("hard", 0.0), ("soft", 0.5), ("released", 0.5)])
def test_a_gate_at_zero(mode, expected):
    layer = gate(mode)
    torch.nn.init.zeros_(layer.head.bias)
    x = torch.zeros(2, 5, dtype=torch.float64, requires_grad=True)
    opened = layer(x, Y[0, :2])
    opened.sum().backward()
    assert opened.tolist() == [expected] * 2
    assert torch.isfinite(x.grad).all()


def test_a_borrowed_head():
    own, borrower = gate("soft"), gate("soft", head=False)
    torch.manual_seed(1)
    assert borrower.head is None
    borrower.load_state_dict({k: v for k, v in own.state_dict().items() if not k.startswith("head")})
    torch.testing.assert_close(borrower(X, Y, own.head), own(X, Y))
    assert not torch.allclose(own(X, Y, torch.nn.Linear(3, 1).double()), own(X, Y))


def test_dropout_in_training_only():
    layer = gate("soft", dropout=0.9)
    torch.testing.assert_close(layer(X, Y), layer(X, Y))
    layer.train()
    assert not torch.allclose(layer(X, Y), layer(X, Y))
    assert math.isclose(gate("soft", dropout=0.0).train()(X, Y).sum().item(), gate("soft")(X, Y).sum().item())


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("features", "0"), {"features": 0}),
        (("gate_features", "0"), {"features": 2, "gate_features": 0}),
        (("num_factors", "1.5"), {"features": 2, "num_factors": 1.5}),
        (("mode", "'off'"), {"features": 2, "mode": "off"}),
        (("dropout", "-0.1"), {"features": 2, "dropout": -0.1}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "BilinearGate: ", *words):
        BilinearGate(**settings)


@pytest.mark.bad_input
def test_bad_calls():
    with expect.error(ShapeError, "5", "4"):
        gate("soft")(X[..., :4], Y)
    with expect.error(SettingError, "BilinearGate: head", "head=False"):
        gate("soft", head=False)(X, Y)
