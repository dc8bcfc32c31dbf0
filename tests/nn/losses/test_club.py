import math
import warnings

import pytest
import torch
from hypothesis import given
from torch import nn

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import club, club_categorical
from mmdisentangle.nn import CLUB, CLUBCategorical
from mmdisentangle.nn.losses._estimator import PATIENCE
from mmdisentangle.testing.processes import run_processes
from tests.nn.losses import sharing
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds

RHO = 0.8
INFORMATION = -math.log1p(-(RHO**2))


def correlated(count, seed):
    """Two pairs of features of 0.51 nats each."""
    x, noise = normal(seed, 2, count, 2).float()
    return x, RHO * x + 0.6 * noise


def train(parameters, loss, steps=400):
    optimizer = torch.optim.Adam(parameters, 1e-2)
    for seed in range(steps):
        optimizer.zero_grad()
        loss(seed).backward()
        optimizer.step()


# ---- value and gradients


@pytest.mark.parametrize("settings", [{}, {"unbiased": False}, {"num_layers": 1}, {"gather": True}])
def test_the_value_is_the_bound(settings):
    layer = CLUB(4, 3, **settings).double()
    x, y, mask = normal(0, 6, 4), normal(1, 6, 3), torch.arange(6) != 2
    unbiased = settings.get("unbiased", True)
    for m in (None, mask):
        expected = club(*layer.conditional(x), y, unbiased=unbiased, mask=m)
        for value in (layer(x, y, m), layer.eval()(x, y, m), layer.train().estimate(x, y, m)):
            torch.testing.assert_close(value, expected)


@given(seeds)
def test_the_value_of_labels_is_the_bound(seed):
    torch.manual_seed(seed)
    layer = CLUBCategorical(4, 3).double()
    x, y, mask = normal(seed, 6, 4), torch.arange(6) % 3, coin(seed, 6)
    for m in (None, mask):
        torch.testing.assert_close(layer(x, y, m), club_categorical(layer.network(x), y, mask=m))


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_two_gradients(labels, weight):
    """The codes get that of the bound with q fixed, q that of the likelihood with the codes fixed."""
    layer = (CLUBCategorical if labels else CLUB)(4, 3, learning_weight=weight).double()
    x, y = normal(0, 6, 4).requires_grad_(), normal(1, 6, 3).softmax(-1).requires_grad_()
    parameters = list(layer.parameters())
    found = torch.autograd.grad(layer(x, y), [x, y, *parameters])
    of_bound = torch.autograd.grad(layer.estimate(x, y), [x, y, *parameters])
    of_likelihood = torch.autograd.grad(layer.learning_loss(x, y), parameters)
    for gradient, expected in zip(found[:2], of_bound[:2], strict=True):
        torch.testing.assert_close(gradient, expected)
    for gradient, expected, other in zip(found[2:], of_likelihood, of_bound[2:], strict=True):
        torch.testing.assert_close(gradient, weight * expected)
        assert not torch.allclose(gradient, other)


def test_in_evaluation_q_does_not_learn():
    layer = CLUB(4, 3).eval()
    x = torch.randn(6, 4, requires_grad=True)
    layer(x, torch.randn(6, 3)).backward()
    assert x.grad.any()
    assert all(parameter.grad is None for parameter in layer.parameters())


def test_log_variances_have_a_limit():
    layer = CLUB(4, 3, log_variance_limit=2.0)
    _, log_variance = layer.conditional(1e4 * torch.randn(50, 4))
    assert log_variance.abs().max() <= 2
    assert log_variance.abs().max() > 1.9


# ---- it is really trained


def test_a_plain_loop_trains_it():
    """One optimizer, one loss; q comes near the true conditional and the bound near its own truth."""
    layer = CLUB(2, 2, hidden_features=16)
    before = layer.learning_loss(*correlated(4_096, 10**6))
    train(layer.parameters(), lambda seed: layer(*correlated(256, seed)))
    x, y = correlated(16_384, 10**6)
    after = layer.learning_loss(x, y).item()
    entropy = 1 + math.log(2 * math.pi) + math.log(0.36)
    assert before > after + 0.5
    assert entropy - 0.03 < after < entropy + 0.05
    assert layer.estimate(x, y).item() == pytest.approx(2 * RHO**2 / (1 - RHO**2), rel=0.1)
    assert layer.estimate(x, y) > INFORMATION


def test_labels_train_it():
    """y is the sign of x with an error of 0.1: 0.368 nats, and a bound above."""
    layer = CLUBCategorical(1, 2, hidden_features=16)

    def draw(count, seed):
        x = normal(seed, count, 1).float()
        return x, ((x[:, 0] > 0) ^ coin(seed + 7, count, heads=0.1)).long()

    train(layer.parameters(), lambda seed: layer(*draw(256, seed)))
    information = math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
    x, y = draw(16_384, 10**6)
    entropy = math.log(2) - information
    assert entropy - 0.02 < layer.learning_loss(x, y) < entropy + 0.06
    assert information < layer.estimate(x, y) < 3 * information


def test_the_weight_of_the_loss_does_not_stop_it():
    """Adam does not see the size of a gradient, so a small weight in the total does no harm."""
    layer = CLUB(2, 2, hidden_features=16)
    train(layer.parameters(), lambda seed: 1e-3 * layer(*correlated(256, seed)))
    assert layer.estimate(*correlated(16_384, 10**6)) > INFORMATION


def test_codes_lose_what_tells_the_other():
    """A direction on (s, n) chooses what to show; s is what y knows."""
    torch.manual_seed(0)
    direction = nn.Parameter(torch.tensor([1.0, 1.0]))
    layer = CLUB(1, 1, hidden_features=16)

    def loss(seed):
        parts = normal(seed, 256, 2).float()
        y = parts[:, :1] + 0.3 * normal(seed + 1, 256, 1).float()
        return layer(parts @ (direction / direction.norm()).unsqueeze(1), y)

    train([direction, *layer.parameters()], loss)
    shown = (direction / direction.norm()).detach().abs()
    assert shown[0] < 0.1
    assert shown[1] > 0.99


def test_a_forgotten_estimator_is_no_bound_and_is_named():
    """The pattern of the released code with its step left out: below the truth. Here a warning says so, once."""
    layer = CLUB(2, 2)
    encoder = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(encoder.parameters(), 1e-3)

    def steps(count):
        for seed in range(count):
            x, y = correlated(32, seed)
            optimizer.zero_grad()
            layer(encoder(x), y).backward()
            optimizer.step()

    with pytest.warns(UserWarning, match="CLUB: its parameters have not changed in 100 training steps"):
        steps(PATIENCE + 1)
    steps(2 * PATIENCE)
    assert layer.estimate(*correlated(4_096, 10**6)) < INFORMATION


@pytest.mark.parametrize("case", ["trained", "accumulated", "frozen", "evaluated", "without gradients"])
def test_no_warning_where_all_is_well(case):
    layer = CLUB(2, 2).train(case != "evaluated").requires_grad_(case != "frozen")
    optimizer = torch.optim.SGD(layer.parameters(), 1e-3)
    every = {"trained": 1, "accumulated": 32}.get(case, 10**9)
    with warnings.catch_warnings(), torch.set_grad_enabled(case != "without gradients"):
        warnings.simplefilter("error")
        for seed in range(3 * PATIENCE):
            loss = layer(*correlated(8, seed))
            if seed % every == every - 1:
                loss.backward()
                optimizer.step()


# ---- several processes


@pytest.mark.slow
@pytest.mark.parametrize("cut", [4, 2, 0])
@pytest.mark.parametrize("name", sharing.ESTIMATORS)
def test_shares_train_like_one_process(name, cut):
    """DistributedDataParallel, in training mode: loss, gradients of encoder and estimator, and the moving average."""
    x, mask = normal(0, 8, 5), torch.arange(8) != 5
    y = torch.arange(8) % 3 if name == "CLUBCategorical" else normal(1, 8, 3)
    expected = sharing.step(name, x, y, mask)
    parts = [slice(0, cut), slice(cut, 8)]
    for loss, gradients, buffers in run_processes(sharing.step, [(name, x[p], y[p], mask[p]) for p in parts]):
        torch.testing.assert_close(loss, expected[0])
        for key, gradient in expected[1].items():
            torch.testing.assert_close(gradients[key], gradient, msg=key)
        assert buffers.keys() == expected[2].keys()
        for key, buffer in expected[2].items():
            torch.testing.assert_close(buffers[key], buffer)


# ---- bad input


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("x_features", "0"), {"x_features": 0}),
        (("y_features", "1.5"), {"y_features": 1.5}),
        (("hidden_features", "0"), {"hidden_features": 0}),
        (("num_layers", "0"), {"num_layers": 0}),
        (("log_variance_limit", "0 <"), {"log_variance_limit": 0}),
        (("unbiased", "True or False"), {"unbiased": 1}),
        (("learning_weight", "-1"), {"learning_weight": -1}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "CLUB: ", *words):
        CLUB(**{"x_features": 3, "y_features": 2, **settings})


@pytest.mark.bad_input
def test_bad_input():
    layer, x, y = CLUB(3, 2), torch.rand(4, 3), torch.rand(4, 2)
    with expect.error(ShapeError, "CLUB: x must have 3 features", "got 2"):
        layer(y, y)
    with expect.error(ShapeError, "CLUB: y must have 2 features", "got 3"):
        layer(x, x)
    with expect.error(ShapeError, "CLUB: ", "number of samples"):
        layer(x, y[:3])
    with expect.error(SettingError, "CLUBCategorical: num_classes", "at least 2"):
        CLUBCategorical(3, 1)
    with expect.error(DtypeError, "CLUBCategorical: y must hold integer classes"):
        CLUBCategorical(3, 2)(x, y[:, 0])


def test_repr():
    assert "unbiased=True, learning_weight=1.0, gather=False" in repr(CLUB(3, 2))
