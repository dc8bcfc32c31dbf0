import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mmdisentangle.errors import SettingError, ShapeError
from mmdisentangle.nn import MINE, NWJ
from mmdisentangle.nn.losses._estimator import PATIENCE
from tests.oracles import expect, information
from tests.oracles.draws import coin, normal, seeds

BOUNDS = {MINE: information.donsker_varadhan, NWJ: information.nwj}
each_bound = pytest.mark.parametrize("bound", BOUNDS)
each_objective = pytest.mark.parametrize("objective", ["minimize", "maximize"])
RHO = 0.8
INFORMATION = -math.log1p(-(RHO**2))


def score(layer, x, y):
    """Of one pair, by the critic's own parameters, the joint one on the two codes side by side."""
    critic = layer.critic
    if hasattr(critic, "x_network"):
        return (critic.x_network(x) * critic.y_network(y)).sum()
    return critic.rest(critic.first(torch.cat((x, y))).relu()).squeeze()


# ---- value


@given(seeds, st.sampled_from(list(BOUNDS)), st.sampled_from(["separable", "joint"]), st.sampled_from(["all", "shift"]))
def test_loops(seed, bound, critic, negatives):
    torch.manual_seed(seed)
    layer = bound(3, 2, critic=critic, negatives=negatives, num_layers=2).double()
    x, y, mask = normal(seed, 6, 3), normal(seed + 1, 6, 2), coin(seed, 6)
    real = [i for i in range(6) if mask[i]]
    joint = [score(layer, x[i], y[i]).item() for i in real]
    if negatives == "all":
        marginal = [score(layer, x[i], y[j]).item() for i in real for j in real if i != j]
    else:
        marginal = [score(layer, x[i], y[j]).item() for i, j in zip(real, real[1:] + real[:1], strict=True)]
    expected = BOUNDS[bound](joint, marginal) if len(real) > 1 else 0.0
    dirty = [torch.where(mask.unsqueeze(1), codes, float("nan")) for codes in (x, y)]
    assert layer.estimate(*dirty, mask).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert layer(*dirty, mask).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@each_bound
def test_the_sign_of_the_loss(bound):
    lower, raise_it = (bound(3, 2, objective=objective) for objective in ("minimize", "maximize"))
    raise_it.load_state_dict(lower.state_dict())
    x, y = torch.randn(6, 3), torch.randn(6, 2)
    assert lower(x, y) == lower.estimate(x, y)
    assert raise_it(x, y) == -lower.estimate(x, y)


# ---- gradients


@each_bound
@each_objective
@pytest.mark.parametrize("critic", ["separable", "joint"])
def test_the_critic_climbs_whatever_the_codes_do(bound, objective, critic):
    layer = bound(3, 2, objective=objective, critic=critic).double()
    x, y = normal(0, 6, 3).requires_grad_(), normal(1, 6, 2).requires_grad_()
    parameters = list(layer.parameters())
    expected = torch.autograd.grad(layer.estimate(x, y), [x, y, *parameters])
    found = torch.autograd.grad(layer(x, y), [x, y, *parameters])
    sign = 1 if objective == "minimize" else -1
    for gradient, wanted in zip(found[:2], expected[:2], strict=True):
        torch.testing.assert_close(gradient, sign * wanted)
    for gradient, wanted in zip(found[2:], expected[2:], strict=True):
        torch.testing.assert_close(gradient, -wanted)


@each_bound
def test_in_evaluation_the_critic_does_not_learn(bound):
    layer = bound(3, 2).eval()
    x = torch.randn(6, 3, requires_grad=True)
    layer(x, torch.randn(6, 2)).backward()
    assert x.grad.any()
    assert all(parameter.grad is None for parameter in layer.parameters())


def marginal_gradient(layer, x, y):
    """Gradient to the first weight of the logarithm of the mean exponential of the other pairs."""
    table = layer.critic.x_network(x) @ layer.critic.y_network(y).mT
    others = table[~torch.eye(len(x), dtype=torch.bool)]
    mean = others.exp().mean()
    weight = layer.critic.x_network.layers[0].weight
    (of_mean,) = torch.autograd.grad(mean, weight, retain_graph=True)
    (of_joint,) = torch.autograd.grad(table.diagonal().mean(), weight)
    return mean.item(), of_mean, of_joint


def test_the_moving_average_replaces_the_mean_in_the_gradient():
    """Belghazi et al., equation 12, by hand over three batches."""
    layer = MINE(3, 2, averaging=0.25, objective="maximize").double()
    weight = layer.critic.x_network.layers[0].weight
    average = None
    for seed in range(3):
        x, y = normal(seed, 6, 3, scale=2.0), normal(seed + 9, 6, 2, scale=2.0)
        mean, of_mean, of_joint = marginal_gradient(layer, x, y)
        average = mean if average is None else 0.75 * average + 0.25 * mean
        (found,) = torch.autograd.grad(-layer(x, y), weight)
        torch.testing.assert_close(found, of_joint - of_mean / average)
        assert layer.log_average.item() == pytest.approx(math.log(average))


def test_the_moving_average_is_saved_and_rests_in_evaluation():
    layer = MINE(3, 2)
    x, y = torch.randn(6, 3), torch.randn(6, 2)
    layer(x, y)
    saved = copy.deepcopy(layer.state_dict())
    assert saved["log_average"].isfinite()
    layer.eval()(10 * x, y)
    layer.estimate(10 * x, y)
    assert torch.equal(layer.log_average, saved["log_average"])
    layer.train()(x[:1], y[:1])
    assert torch.equal(layer.log_average, saved["log_average"]), "one sample has no other pairs"
    other = MINE(3, 2)
    other.load_state_dict(saved)
    assert torch.equal(other.log_average, saved["log_average"])


@pytest.mark.parametrize("averaging", [0.01, 1.0])
def test_the_correction_is_bounded(averaging):
    """A critic that suddenly explodes multiplies the gradient by 1 / averaging at most."""
    layer = MINE(3, 2, averaging=averaging, objective="maximize")
    x, y = torch.randn(6, 3), torch.randn(6, 2)
    layer(x, y)
    x = (300 * x).requires_grad_()
    layer(x, 300 * y).backward()
    assert x.grad.isfinite().all()
    assert layer.log_average.isfinite()


# ---- it is really trained


def correlated(count, seed):
    x, noise = normal(seed, 2, count, 2).float()
    return x, RHO * x + 0.6 * noise


def train(parameters, loss, steps):
    optimizer = torch.optim.Adam(parameters, 5e-3)
    for seed in range(steps):
        optimizer.zero_grad()
        loss(seed).backward()
        optimizer.step()


@each_bound
@each_objective
@pytest.mark.parametrize("settings", [{}, {"critic": "joint", "negatives": "shift"}])
def test_a_plain_loop_trains_it(bound, objective, settings):
    """1.02 nats; a little less is found, and no more."""
    layer = bound(2, 2, objective=objective, hidden_features=32, **settings)
    train(layer.parameters(), lambda seed: layer(*correlated(256, seed)), 300)
    found = layer.eval().estimate(*correlated(2_000, 10**6)).item()
    assert 0.75 * INFORMATION < found < 1.1 * INFORMATION


@pytest.mark.parametrize(("objective", "shown"), [("minimize", 1), ("maximize", 0)])
def test_codes_follow_the_objective(objective, shown):
    """A direction on (s, n) chooses what to show; s is what y knows."""
    direction = nn.Parameter(torch.tensor([1.0, 1.0]))
    layer = NWJ(1, 1, objective=objective, hidden_features=16)

    def loss(seed):
        parts = normal(seed, 256, 2).float()
        y = parts[:, :1] + 0.3 * normal(seed + 1, 256, 1).float()
        return layer(parts @ (direction / direction.norm()).unsqueeze(1), y)

    train([direction, *layer.parameters()], loss, 400)
    assert (direction / direction.norm()).detach().abs()[shown] > 0.97


@each_bound
def test_a_forgotten_critic_is_named(bound):
    layer = bound(2, 2)
    for seed in range(PATIENCE):
        layer(*correlated(8, seed))
    with pytest.warns(UserWarning, match=f"{bound.__name__}: its parameters have not changed"):
        layer(*correlated(8, PATIENCE))


# ---- bad input


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("x_features", "0"), {"x_features": 0}),
        (("y_features", "True"), {"y_features": True}),
        (("objective", "'minimise'", "did you mean 'minimize'"), {"objective": "minimise"}),
        (("critic", "'bilinear'"), {"critic": "bilinear"}),
        (("negatives", "'shuffle'"), {"negatives": "shuffle"}),
        (("hidden_features", "0"), {"hidden_features": 0}),
        (("num_layers", "at least 2"), {"num_layers": 1}),
        (("embedding_features", "-1"), {"embedding_features": -1}),
        (("averaging", "0 < averaging <= 1"), {"averaging": 0.0}),
        (("averaging", "got 2"), {"averaging": 2}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "MINE: ", *words):
        MINE(**{"x_features": 3, "y_features": 2, **settings})


@pytest.mark.bad_input
@each_bound
def test_bad_input(bound):
    layer, x = bound(3, 3), torch.rand(4, 3)
    with expect.error(ShapeError, f"{bound.__name__}: x must have 3 features", "got 2"):
        layer(x[:, :2], x)
    with expect.error(ShapeError, f"{bound.__name__}: ", "number of samples"):
        layer(x, x[:3])


def test_repr():
    assert "objective='minimize', negatives='all', gather=False" in repr(MINE(3, 2))
