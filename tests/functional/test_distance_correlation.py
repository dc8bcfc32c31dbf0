import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import cka, distance_correlation
from tests.oracles import expect
from tests.oracles.distances import distance_correlation as oracle
from tests.oracles.draws import coin, normal, paired_sets, seeds, uniform

each_estimate = pytest.mark.parametrize("unbiased", [False, True])


# ---- closed form


@each_estimate
def test_one_set_carried_into_the_other(unbiased):
    x = normal(0, 7, 3)
    turn = torch.linalg.qr(normal(1, 3, 3)).Q
    assert distance_correlation(x, 4 - 3 * x @ turn, unbiased=unbiased).item() == pytest.approx(1)


def test_two_samples():
    """Any two different samples are carried into any two others."""
    assert distance_correlation(normal(0, 2, 3), normal(1, 2, 5)).item() == pytest.approx(1)


def test_a_product_design_is_independent():
    x = torch.tensor([[0.0], [0.0], [1.0], [1.0]], dtype=torch.float64)
    y = torch.tensor([[0.0], [1.0], [0.0], [1.0]], dtype=torch.float64)
    assert distance_correlation(x, y).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (2, 5), (3, 7), (4, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_root_near_zero(rows, columns, dtype):
    """Rounding takes the ratio of a product design to either side of 0, or to 0."""
    x = uniform(0, rows, 1).to(dtype).repeat_interleave(columns, 0).requires_grad_()
    y = uniform(1, columns, 1).to(dtype).repeat(rows, 1)
    loss = distance_correlation(x, y)
    loss.backward()
    assert 0 <= loss < 10 * torch.finfo(dtype).eps ** 0.5
    assert x.grad.isfinite().all()


def test_correlated_gaussians():
    """Closed form of Szekely, Rizzo and Bakirov for the bivariate normal distribution."""
    rho, n = 0.6, 1500
    x, noise = normal(0, n, 1), normal(1, n, 1)
    top = rho * math.asin(rho) + math.sqrt(1 - rho**2) - rho * math.asin(rho / 2) - math.sqrt(4 - rho**2) + 1
    expected = top / (1 + math.pi / 3 - math.sqrt(3))
    y = rho * x + math.sqrt(1 - rho**2) * noise
    assert distance_correlation(x, y, unbiased=True).item() == pytest.approx(expected, abs=0.05)
    assert distance_correlation(x, y).item() == pytest.approx(math.sqrt(expected), abs=0.05)


def test_it_sees_what_correlation_does_not():
    x = torch.linspace(-1, 1, 21, dtype=torch.float64).unsqueeze(1)
    assert cka(x, x.square()) < 1e-12
    assert distance_correlation(x, x.square()) > 0.45


def test_unbiased_means_nearly_zero_on_independent_data():
    draws = [(normal(2 * i, 8, 3), normal(2 * i + 1, 8, 4)) for i in range(600)]
    values = torch.stack([distance_correlation(x, y, unbiased=True) for x, y in draws])
    assert values.mean().abs() < 0.03
    biased = torch.stack([distance_correlation(x, y) for x, y in draws])
    assert biased.mean() > 0.6


# ---- oracles


@given(paired_sets(least=3))
def test_biased_loops(problem):
    x, y = problem
    expected = oracle(x.numpy(), y.numpy())
    assert distance_correlation(x, y).item() == pytest.approx(expected, rel=1e-7)


@given(paired_sets(least=5))
def test_unbiased_loops(problem):
    x, y = problem
    expected = oracle(x.numpy(), y.numpy(), unbiased=True)
    assert distance_correlation(x, y, unbiased=True).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


# ---- laws


@given(paired_sets(least=4), st.booleans(), seeds, st.sampled_from([0.01, 3.0]))
def test_symmetry_shift_turn_and_scale(problem, unbiased, seed, scale):
    x, y = problem
    loss = distance_correlation(x, y, unbiased=unbiased)
    torch.testing.assert_close(distance_correlation(y, x, unbiased=unbiased), loss)
    turn = torch.linalg.qr(normal(seed, x.shape[1], x.shape[1])).Q
    moved = scale * x @ turn + normal(seed, x.shape[1])
    torch.testing.assert_close(distance_correlation(moved, y, unbiased=unbiased), loss, rtol=1e-5, atol=1e-7)


@given(paired_sets(most=12))
def test_range(problem):
    assert 0 <= distance_correlation(*problem) <= 1 + 1e-12


@given(paired_sets(), st.booleans(), seeds)
def test_a_mask_picks_samples(problem, unbiased, seed):
    x, y = problem
    mask = coin(seed, len(x))
    dirty = [torch.where(mask.unsqueeze(-1), part, float("nan")) for part in (x, y)]
    torch.testing.assert_close(
        distance_correlation(*dirty, mask=mask, unbiased=unbiased),
        distance_correlation(x[mask], y[mask], unbiased=unbiased),
    )


# ---- gradients


@each_estimate
@pytest.mark.parametrize("masked", [False, True])
def test_first_and_second_derivatives(unbiased, masked):
    x, y = normal(0, 7, 3).requires_grad_(), normal(1, 7, 2).requires_grad_()
    mask = torch.arange(7) != 1 if masked else None

    def loss(x, y):
        return distance_correlation(x, y, unbiased=unbiased, mask=mask)

    torch.autograd.gradcheck(loss, (x, y))
    torch.autograd.gradgradcheck(loss, (x, y))


@each_estimate
def test_equal_rows(unbiased):
    """A distance of 0 counts as a constant: the gradient is that of both rows moved together."""
    x, y = normal(0, 6, 2), normal(1, 6, 2)
    x[3] = x[0]
    x.requires_grad_()
    distance_correlation(x, y, unbiased=unbiased).backward()
    assert x.grad.isfinite().all()
    step = torch.zeros(6, 2).double()
    step[[0, 3], 0] = 1e-6
    losses = [distance_correlation(x.detach() + sign * step, y, unbiased=unbiased).item() for sign in (1, -1)]
    assert (x.grad[0, 0] + x.grad[3, 0]).item() == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-5, abs=1e-8)


def test_function_transforms():
    x, y = normal(0, 4, 6, 3), normal(1, 4, 6, 2)
    gradients = torch.func.vmap(torch.func.grad(distance_correlation))(x, y)
    torch.testing.assert_close(gradients[2], torch.func.grad(distance_correlation)(x[2], y[2]))


# ---- edges


@each_estimate
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 3), (4, 0), (0, 0)])
def test_nothing_to_depend_on(unbiased, rows, columns):
    x = torch.randn(rows, columns, requires_grad=True)
    loss = distance_correlation(x, torch.randn(rows, 2), unbiased=unbiased)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


@each_estimate
@pytest.mark.parametrize("left", [1, 2, 3, 4, 5])
def test_fewer_than_enough_samples(unbiased, left):
    x = normal(0, 5, 3).requires_grad_()
    loss = distance_correlation(x, normal(1, 5, 2), unbiased=unbiased, mask=torch.arange(5) < left)
    loss.backward()
    assert (loss != 0) == (left >= (4 if unbiased else 2))
    assert x.grad.isfinite().all()


@each_estimate
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_codes(unbiased, dtype):
    x = torch.tensor([0.1, 0.3, 0.43], dtype=dtype).repeat(6, 1).requires_grad_()
    loss = distance_correlation(x, uniform(0, 6, 2).to(dtype), unbiased=unbiased)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype):
    x, y = normal(0, 20, 3).to(dtype), normal(1, 20, 4).to(dtype)
    assert distance_correlation(x, y).dtype == torch.float32
    torch.testing.assert_close(distance_correlation(x, y), distance_correlation(x.float(), y.float()))


# ---- bad input

X, Y = torch.rand(4, 3), torch.rand(4, 2)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "options"),
    [
        (DtypeError, ("x must be", "list"), ([[1.0]], Y), {}),
        (ShapeError, ("number of samples", "4 and 3"), (X, Y[:3]), {}),
        (ShapeError, ("mask", "[4]", "[5]"), (X, Y), {"mask": torch.ones(5).bool()}),
        (SettingError, ("unbiased", "True or False", "'no'"), (X, Y), {"unbiased": "no"}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, options):
    with expect.error(exception, "distance_correlation: ", *words):
        distance_correlation(*arguments, **options)
