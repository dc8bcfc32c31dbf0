import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import moment

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import central_moment_discrepancy, central_moments, moment_distance
from tests.oracles import expect
from tests.oracles.codes import central_moment_discrepancy as oracle
from tests.oracles.draws import coin, seeds, sets, two_sets, uniform

orders = st.integers(1, 6)


# ---- closed form


def test_moments_of_a_coin():
    x = torch.tensor([[0.0], [0.0], [0.0], [1.0]], dtype=torch.float64)
    p = 0.25
    expected = [p, p * (1 - p), p * (1 - p) * (1 - 2 * p), p * (1 - p) * (1 - 3 * p + 3 * p**2)]
    torch.testing.assert_close(central_moments(x, 4), torch.tensor(expected, dtype=torch.float64).unsqueeze(-1))


def test_two_intervals():
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    # Means 1/2 and 1/4, variances 1/4 and 1/16, fourth moments 1/16 and 1/256; odd ones vanish.
    assert central_moment_discrepancy(x, x / 2).item() == pytest.approx(1 / 4 + 3 / 16 + 15 / 256)
    assert central_moment_discrepancy(x, x / 2, num_moments=1).item() == pytest.approx(1 / 4)
    assert central_moment_discrepancy(x, x / 2, num_moments=2).item() == pytest.approx(1 / 4 + 3 / 16)


def test_bounds_divide_each_order():
    x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    # Variances 1 and 1/4, fourth moments 1 and 1/16.
    loss = central_moment_discrepancy(x, x / 2, bounds=(-1.0, 1.0))
    assert loss.item() == pytest.approx(0.75 / 2**2 + 15 / 16 / 2**4)


# ---- oracles


@given(two_sets(), orders, st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 0.25)]))
def test_loops(problem, num_moments, bounds):
    x, y = problem
    loss = central_moment_discrepancy(x, y, num_moments=num_moments, bounds=bounds)
    assert loss.item() == pytest.approx(oracle(x.numpy(), y.numpy(), num_moments, bounds), rel=1e-9, abs=1e-12)


@given(sets(), orders)
def test_scipy_moments(x, num_moments):
    moments = central_moments(x, num_moments).numpy()
    np.testing.assert_allclose(moments[0], x.mean(0).numpy(), atol=1e-14)
    for order in range(2, num_moments + 1):
        np.testing.assert_allclose(moments[order - 1], moment(x.numpy(), order), atol=1e-14)


# ---- laws


@given(two_sets(), orders)
def test_a_distance_in_the_moments(problem, num_moments):
    x, y = problem
    loss = central_moment_discrepancy(x, y, num_moments=num_moments)
    assert loss >= 0
    torch.testing.assert_close(central_moment_discrepancy(y, x, num_moments=num_moments), loss)
    assert central_moment_discrepancy(x, x.flip(0).repeat(3, 1), num_moments=num_moments) < 1e-12


@given(seeds, orders)
def test_zero_only_where_the_moments_are_equal(seed, num_moments):
    """Two sets that agree in their first K moments and not in the next one."""
    # Frequencies of the values 0..K+1 that differ by the (K+1)-th difference: moments up to K agree.
    k = num_moments
    signs = [math.comb(k + 1, i) * (-1) ** i for i in range(k + 2)]
    values = torch.arange(k + 2, dtype=torch.float64) / (k + 1)
    spare = 1 + seed % 3
    x = torch.cat([values[i].repeat(spare + max(s, 0)) for i, s in enumerate(signs)]).unsqueeze(-1)
    y = torch.cat([values[i].repeat(spare + max(-s, 0)) for i, s in enumerate(signs)]).unsqueeze(-1)
    assert x.shape == y.shape
    assert central_moment_discrepancy(x, y, num_moments=k) < 1e-12
    assert central_moment_discrepancy(x, y, num_moments=k + 1) > 1e-5


@given(two_sets(), st.floats(-3, 3), st.sampled_from([0.1, 2.0]))
def test_units_of_the_interval(problem, shift, scale):
    x, y = problem
    moved = central_moment_discrepancy(scale * x + shift, scale * y + shift, bounds=(shift, shift + scale))
    torch.testing.assert_close(moved, central_moment_discrepancy(x, y), rtol=1e-8, atol=1e-12)


@given(two_sets(), st.randoms(use_true_random=False))
def test_order_of_samples_and_features(problem, random):
    x, y = problem
    samples, features = list(range(len(x))), list(range(x.shape[1]))
    random.shuffle(samples)
    random.shuffle(features)
    mixed = central_moment_discrepancy(x[samples][:, features], y[:, features])
    torch.testing.assert_close(mixed, central_moment_discrepancy(x, y))


@given(two_sets(least=0), seeds)
def test_a_mask_picks_samples(problem, seed):
    x, y = problem
    mask_x, mask_y = coin(seed, len(x)), coin(seed + 5, len(y))
    dirty = [torch.where(m.unsqueeze(-1), v, float("nan")) for v, m in ((x, mask_x), (y, mask_y))]
    picked = central_moment_discrepancy(x[mask_x], y[mask_y])
    torch.testing.assert_close(central_moment_discrepancy(*dirty, mask=(mask_x, mask_y)), picked)
    torch.testing.assert_close(
        central_moment_discrepancy(dirty[0], y, mask=(mask_x, None)), central_moment_discrepancy(x[mask_x], y)
    )
    both = coin(seed, min(len(x), len(y)))
    x, y = x[: len(both)], y[: len(both)]
    torch.testing.assert_close(
        central_moment_discrepancy(x, y, mask=both), central_moment_discrepancy(x[both], y[both])
    )


@given(two_sets(), orders)
def test_from_moments_known_already(problem, num_moments):
    moments = [central_moments(part, num_moments) for part in problem]
    torch.testing.assert_close(
        moment_distance(*moments, bounds=(0.0, 2.0)),
        central_moment_discrepancy(*problem, num_moments=num_moments, bounds=(0.0, 2.0)),
    )


# ---- gradients


@pytest.mark.parametrize("num_moments", [1, 2, 5])
@pytest.mark.parametrize("masked", [False, True])
def test_first_and_second_derivatives(num_moments, masked):
    x, y = uniform(0, 5, 3).requires_grad_(), uniform(1, 4, 3).requires_grad_()
    mask = (torch.tensor([True, True, False, True, True]), torch.tensor([True, True, True, False])) if masked else None

    def loss(x, y):
        return central_moment_discrepancy(x, y, num_moments=num_moments, bounds=(0.0, 2.0), mask=mask)

    torch.autograd.gradcheck(loss, (x, y))
    torch.autograd.gradgradcheck(loss, (x, y))


def test_function_transforms():
    x, y = uniform(0, 4, 6, 3), uniform(1, 4, 5, 3)
    gradients = torch.func.vmap(torch.func.grad(central_moment_discrepancy))(x, y)
    for k in range(4):
        leaf = x[k].clone().requires_grad_()
        central_moment_discrepancy(leaf, y[k]).backward()
        torch.testing.assert_close(gradients[k], leaf.grad)


def test_equal_moments_have_the_gradient_zero():
    x = uniform(0, 6, 3).requires_grad_()
    y = x.detach().clone()
    central_moment_discrepancy(x, y).backward()
    assert (x.grad == 0).all()


# ---- edges


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 3), (0, 0), (1, 0)])
def test_too_few_samples(rows, columns):
    x = torch.rand(rows, columns, requires_grad=True)
    y = torch.rand(5, columns, requires_grad=True)
    for pair in ((x, y), (y, x), (x, x)):
        loss = central_moment_discrepancy(*pair)
        loss.backward()
        assert loss == 0
    assert (x.grad == 0).all()
    assert (y.grad == 0).all()


def test_min_samples():
    x, y = uniform(0, 1, 3), uniform(1, 4, 3)
    assert central_moment_discrepancy(x, y, min_samples=1).item() == pytest.approx(oracle(x.numpy(), y.numpy()))
    assert central_moment_discrepancy(y, y + 1, min_samples=4) > 0
    assert central_moment_discrepancy(y, y + 1, min_samples=5) == 0
    mask = torch.tensor([True, True, True, False])
    assert central_moment_discrepancy(y, y + 1, mask=mask, min_samples=3) > 0
    assert central_moment_discrepancy(y, y + 1, mask=mask, min_samples=4) == 0
    assert central_moment_discrepancy(y, y + 1, mask=(None, mask), min_samples=4) == 0
    empty = torch.zeros(4, dtype=torch.bool)
    assert central_moment_discrepancy(y, y + 1, mask=empty, min_samples=1) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
def test_half_precision_gives_float32(dtype, masked):
    x, y = uniform(0, 20, 3).to(dtype), uniform(1, 30, 3).to(dtype)
    mask = (coin(0, 20), coin(1, 30)) if masked else None
    loss = central_moment_discrepancy(x, y, mask=mask)
    assert loss.dtype == central_moments(x).dtype == torch.float32
    torch.testing.assert_close(loss, central_moment_discrepancy(x.float(), y.float(), mask=mask))


def test_identical_samples():
    x = torch.full((4, 3), 0.3, requires_grad=True)
    y = torch.full((6, 3), 0.8, requires_grad=True)
    loss = central_moment_discrepancy(x, y)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * math.sqrt(3))
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(y.grad).all()


# ---- bad input

X, Y = torch.rand(4, 3), torch.rand(5, 3)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("x must be", "list"), ([[1.0]], Y), {}),
        (DtypeError, ("y must be", "floating", "int64"), (X, Y.long()), {}),
        (ShapeError, ("x must have shape", "[N, D]", "[4]"), (X[:, 0], Y), {}),
        (ShapeError, ("y must have 3 features", "got 2"), (X, Y[:, :2]), {}),
        (ShapeError, ("mask of y", "[5]", "[4]"), (X, Y), {"mask": torch.ones(4).bool()}),
        (ShapeError, ("mask of x", "[4]", "[5]"), (X, Y), {"mask": (torch.ones(5).bool(), None)}),
        (DtypeError, ("mask of x", "boolean", "float32"), (X, Y), {"mask": (torch.ones(4), None)}),
        (SettingError, ("num_moments", "at least 1", "0"), (X, Y), {"num_moments": 0}),
        (SettingError, ("min_samples", "at least 1", "0"), (X, Y), {"min_samples": 0}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "central_moment_discrepancy: ", *words):
        central_moment_discrepancy(*arguments, **settings)


@pytest.mark.parametrize("bounds", [(1.0, 0.0), (0.5, 0.5), (0.0, math.inf), (0.0, 1.0, 2.0), 0.5, "01"])
@pytest.mark.bad_input
def test_bad_bounds(bounds):
    with expect.error(SettingError, "bound"):
        central_moment_discrepancy(X, Y, bounds=bounds)


@pytest.mark.bad_input
def test_bad_moments():
    with expect.error(ShapeError, "moment_distance: moments_x and moments_y", "[5, 3]", "[4, 3]"):
        moment_distance(central_moments(X), central_moments(X, 4))
    with expect.error(DtypeError, "moment_distance: moments_y", "float"):
        moment_distance(central_moments(X), central_moments(X).long())
    with expect.error(ShapeError, "central_moments: mask", "[4]", "[5]"):
        central_moments(X, mask=torch.ones(5).bool())


def test_forward_mode_and_hessian():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand(size, 2, generator=generator, dtype=torch.float64) for size in (6, 5))
    _, change = torch.func.jvp(lambda x: central_moment_discrepancy(x, y), (x,), (torch.ones_like(x),))
    gradient = torch.func.grad(lambda x: central_moment_discrepancy(x, y))(x)
    torch.testing.assert_close(change, gradient.sum())
    hessian = torch.func.hessian(lambda x: central_moment_discrepancy(x, y))(x)
    twice = torch.func.jacrev(torch.func.jacrev(lambda x: central_moment_discrepancy(x, y)))(x)
    torch.testing.assert_close(hessian, twice)
