import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import central_moment_discrepancy, maximum_mean_discrepancy
from tests.oracles import expect
from tests.oracles.distances import default_bandwidths
from tests.oracles.distances import maximum_mean_discrepancy as oracle
from tests.oracles.draws import coin, normal, seeds, two_sets

some_bandwidths = st.sampled_from([(1.0,), (0.3, 2.0), (0.5, 1.0, 4.0)])
each_estimate = pytest.mark.parametrize("unbiased", [False, True])


# ---- closed form


def test_two_points_each():
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    y = torch.tensor([[0.0], [3.0]], dtype=torch.float64)

    def k(d):
        return math.exp(-(d**2) / 2)

    between = (k(0) + k(3) + k(1) + k(2)) / 4
    unbiased = maximum_mean_discrepancy(x, y, bandwidths=(1.0,))
    assert unbiased.item() == pytest.approx(k(1) + k(3) - 2 * between)
    biased = maximum_mean_discrepancy(x, y, bandwidths=(1.0,), unbiased=False)
    assert biased.item() == pytest.approx((1 + k(1)) / 2 + (1 + k(3)) / 2 - 2 * between)


def test_two_gaussians():
    """Means d apart, in D dimensions: 2 (1 + 2 / sigma^2)^(-D/2) (1 - exp(-d^2 / (2 (sigma^2 + 2))))."""
    x, y = normal(0, 1500, 2), normal(1, 1500, 2)
    y[:, 0] += 1.5
    expected = 2 * (1 / 3) * (1 - math.exp(-(1.5**2) / 6))
    assert maximum_mean_discrepancy(x, y, bandwidths=(1.0,)).item() == pytest.approx(expected, rel=0.08)


def test_unbiased_means_zero_at_equal_distributions():
    draws = [(normal(2 * i, 8, 3), normal(2 * i + 1, 6, 3)) for i in range(500)]
    values = torch.stack([maximum_mean_discrepancy(x, y, bandwidths=(1.5,)) for x, y in draws])
    assert values.mean().abs() < 3 * values.std() / math.sqrt(len(values))
    assert (values < 0).any()
    biased = torch.stack([maximum_mean_discrepancy(x, y, bandwidths=(1.5,), unbiased=False) for x, y in draws])
    assert biased.mean() > 20 * biased.std() / math.sqrt(len(biased))


def test_it_sees_how_features_depend_on_each_other():
    """Equal marginal distributions, opposite correlation: all central moments of single features agree."""
    x = normal(0, 200, 1).repeat(1, 2)
    y = x * torch.tensor([1.0, -1.0])
    x, y = torch.cat((x, -x)), torch.cat((y, -y))
    assert central_moment_discrepancy(x, y) < 1e-12
    assert maximum_mean_discrepancy(x, y) > 0.1


# ---- oracles


@given(two_sets(), some_bandwidths, st.booleans())
def test_loops(problem, bandwidths, unbiased):
    x, y = problem
    expected = oracle(x.numpy(), y.numpy(), bandwidths, unbiased)
    loss = maximum_mean_discrepancy(x, y, bandwidths=bandwidths, unbiased=unbiased)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(two_sets(), st.booleans())
def test_default_bandwidths(problem, unbiased):
    x, y = problem
    expected = oracle(x.numpy(), y.numpy(), default_bandwidths(x.numpy(), y.numpy()), unbiased)
    assert maximum_mean_discrepancy(x, y, unbiased=unbiased).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


# ---- laws


@given(two_sets(), st.booleans(), st.randoms(use_true_random=False))
def test_symmetry_and_order(problem, unbiased, random):
    x, y = problem
    loss = maximum_mean_discrepancy(x, y, unbiased=unbiased)
    order = list(range(len(x)))
    random.shuffle(order)
    torch.testing.assert_close(maximum_mean_discrepancy(y, x, unbiased=unbiased), loss)
    torch.testing.assert_close(maximum_mean_discrepancy(x[order], y, unbiased=unbiased), loss)


@given(two_sets(), some_bandwidths)
def test_range_of_the_biased(problem, bandwidths):
    x, y = problem
    assert -1e-15 < maximum_mean_discrepancy(x, y, bandwidths=bandwidths, unbiased=False) <= 2
    repeated = maximum_mean_discrepancy(x, x.flip(0).repeat(3, 1), bandwidths=bandwidths, unbiased=False)
    assert abs(repeated) < 1e-14


@given(two_sets(), st.booleans(), st.sampled_from([0.01, 30.0]), seeds)
def test_scale_shift_and_turn(problem, unbiased, scale, seed):
    x, y = problem
    turn = torch.linalg.qr(normal(seed, x.shape[1], x.shape[1])).Q
    moved = [scale * (codes @ turn + normal(seed, x.shape[1])) for codes in (x, y)]
    loss = maximum_mean_discrepancy(x, y, unbiased=unbiased)
    torch.testing.assert_close(maximum_mean_discrepancy(*moved, unbiased=unbiased), loss, rtol=1e-6, atol=1e-10)


@given(two_sets(least=0), st.booleans(), seeds)
def test_a_mask_picks_samples(problem, unbiased, seed):
    x, y = problem
    mask_x, mask_y = coin(seed, len(x)), coin(seed + 5, len(y))
    dirty = [torch.where(m.unsqueeze(-1), v, float("nan")) for v, m in ((x, mask_x), (y, mask_y))]
    for one, other, mask in (
        (*dirty, (mask_x, mask_y)),
        (dirty[0], y, (mask_x, None)),
        (x, dirty[1], (None, mask_y)),
    ):
        picked = [z if m is None else z[m] for z, m in ((x, mask[0]), (y, mask[1]))]
        torch.testing.assert_close(
            maximum_mean_discrepancy(one, other, mask=mask, unbiased=unbiased),
            maximum_mean_discrepancy(*picked, unbiased=unbiased),
        )


# ---- gradients


@each_estimate
@pytest.mark.parametrize("masked", [False, True])
def test_first_and_second_derivatives(unbiased, masked):
    x, y = normal(0, 5, 3).requires_grad_(), normal(1, 4, 3).requires_grad_()
    mask = (torch.tensor([True, True, False, True, True]), None) if masked else None

    def loss(x, y):
        return maximum_mean_discrepancy(x, y, bandwidths=(0.7, 2.0), unbiased=unbiased, mask=mask)

    torch.autograd.gradcheck(loss, (x, y))
    torch.autograd.gradgradcheck(loss, (x, y))


@each_estimate
def test_identical_rows(unbiased):
    x = torch.tensor([[0.3, 1.0], [0.3, 1.0], [2.0, 0.1]], dtype=torch.float64).requires_grad_()
    y = torch.tensor([[0.3, 1.0], [1.0, 1.0]], dtype=torch.float64).requires_grad_()

    def loss(x, y):
        return maximum_mean_discrepancy(x, y, bandwidths=(0.7,), unbiased=unbiased)

    torch.autograd.gradcheck(loss, (x, y))
    torch.autograd.gradgradcheck(loss, (x, y))


def test_the_median_is_a_constant_in_the_gradient():
    x, y = normal(0, 6, 3), normal(1, 5, 3)
    by_median = torch.func.grad(maximum_mean_discrepancy)(x, y)
    numbers = default_bandwidths(x.numpy(), y.numpy())
    by_number = torch.func.grad(lambda x: maximum_mean_discrepancy(x, y, bandwidths=numbers))(x)
    torch.testing.assert_close(by_median, by_number)


def test_function_transforms():
    x, y = normal(0, 4, 6, 3), normal(1, 4, 5, 3)
    gradients = torch.func.vmap(torch.func.grad(maximum_mean_discrepancy))(x, y)
    torch.testing.assert_close(gradients[2], torch.func.grad(maximum_mean_discrepancy)(x[2], y[2]))


# ---- edges


@each_estimate
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 3), (0, 0), (1, 0)])
def test_too_few_samples(unbiased, rows, columns):
    x, y = torch.rand(rows, columns, requires_grad=True), torch.rand(5, columns, requires_grad=True)
    for pair in ((x, y), (y, x), (x, x)):
        loss = maximum_mean_discrepancy(*pair, unbiased=unbiased)
        loss.backward()
        assert loss == 0
    assert (x.grad == 0).all()
    assert (y.grad == 0).all()


@each_estimate
def test_all_rows_are_equal(unbiased):
    x = torch.full((4, 3), 0.1, requires_grad=True)
    loss = maximum_mean_discrepancy(x, x.detach()[:3], unbiased=unbiased)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


def test_two_constant_sets():
    """Most distances are 0 in neither set nor between; every kernel has a finite gradient."""
    x, y = torch.zeros(6, 2, requires_grad=True), torch.ones(6, 2)
    loss = maximum_mean_discrepancy(x, y)
    loss.backward()
    assert loss > 0.5
    assert x.grad.isfinite().all()
    assert x.grad.any()


def test_far_from_the_origin_in_float32():
    x, y = normal(0, 64, 4), normal(1, 64, 4) + 0.5
    far = maximum_mean_discrepancy((100 + x).float(), (100 + y).float())
    torch.testing.assert_close(far.double(), maximum_mean_discrepancy(x, y), rtol=1e-4, atol=1e-6)


def test_wide_bandwidths_keep_their_digits_in_float32():
    """All kernels are near 1; what tells the sets apart is in their seventh digit."""
    x, y = normal(0, 40, 2), normal(1, 40, 2) + 1
    exact = maximum_mean_discrepancy(x, y, bandwidths=(2000.0,))
    assert 1e-8 < exact < 1e-6
    torch.testing.assert_close(
        maximum_mean_discrepancy(x.float(), y.float(), bandwidths=(2000.0,)).double(), exact, rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype):
    x, y = normal(0, 20, 3).to(dtype), normal(1, 30, 3).to(dtype)
    loss = maximum_mean_discrepancy(x, y)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, maximum_mean_discrepancy(x.float(), y.float()))


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
        (DtypeError, ("mask of x", "boolean", "float32"), (X, Y), {"mask": (torch.ones(4), None)}),
        (SettingError, ("sequence of positive numbers", "got 1.0", "(sigma,)"), (X, Y), {"bandwidths": 1.0}),
        (SettingError, ("sequence of positive numbers", "got ()"), (X, Y), {"bandwidths": ()}),
        (SettingError, ("sequence of positive numbers", "'12'"), (X, Y), {"bandwidths": "12"}),
        (SettingError, ("every bandwidth", "got 0"), (X, Y), {"bandwidths": (1.0, 0)}),
        (SettingError, ("unbiased", "True or False"), (X, Y), {"unbiased": "no"}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "maximum_mean_discrepancy: ", *words):
        maximum_mean_discrepancy(*arguments, **settings)
