import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import hsic
from tests.oracles import expect
from tests.oracles.dependence import gaussian_gram, hsic_by_traces, hsic_by_tuples, linear_gram, median_distance
from tests.oracles.draws import coin, normal, paired_sets, seeds, uniform

kernels = st.sampled_from(["linear", "rbf"])
each_kernel = pytest.mark.parametrize("kernel", ["linear", "rbf"])
each_estimate = pytest.mark.parametrize("unbiased", [False, True])


def grams(x, y, kernel, bandwidth=None):
    if kernel == "linear":
        return linear_gram(x), linear_gram(y)
    return tuple(gaussian_gram(codes, bandwidth or median_distance(codes)) for codes in (x, y))


def rotation(seed, size):
    return torch.linalg.qr(normal(seed, size, size)).Q


# ---- closed form


def test_one_feature():
    x = torch.tensor([[1.0], [-1.0], [3.0], [-3.0]], dtype=torch.float64)
    # The covariance of x and 2 x is 2 * 20 / 3.
    assert hsic(x, 2 * x).item() == pytest.approx((40 / 3) ** 2)


def test_two_samples_at_a_distance():
    """Both centred Gram matrices are (1 - k) / 2 times [[1, -1], [-1, 1]]."""
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    k = math.exp(-1 / 8)
    assert hsic(x, x, kernel="rbf", bandwidth=2.0).item() == pytest.approx((1 - k) ** 2)


def test_uncorrelated_designs_depend_in_the_square_only():
    x = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    assert hsic(x, x.square()).item() == pytest.approx(0, abs=1e-15)
    assert hsic(x, x.square(), kernel="rbf") > 0.01


def test_unbiased_of_a_known_pair():
    """Four samples, one of them apart: K~ = L~ has 0 everywhere, and so has what is left of it."""
    one_hot = torch.eye(4, dtype=torch.float64)
    assert hsic(one_hot, one_hot, unbiased=True).item() == pytest.approx(0, abs=1e-15)
    # +-1 twice: the products are 1 in a pair and -1 between, three sums over all pairs by hand.
    x = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]], dtype=torch.float64)
    # trace 12, row sums -1 each: (12 + 16 / 6 - 2 / 2 * 4) / 4
    assert hsic(x, x, unbiased=True).item() == pytest.approx((12 + 16 / 6 - 4) / 4)


def test_the_size_of_the_bias():
    """64 features, 32 samples: D^2 / (n - 1) for independent codes, D + D / (n - 1) more for the same codes."""
    draws = [(normal(2 * i, 32, 64), normal(2 * i + 1, 32, 64)) for i in range(60)]
    independent = torch.stack([hsic(x, y) for x, y in draws]).mean().item()
    identical = torch.stack([hsic(x, x) for x, _ in draws]).mean().item()
    assert independent == pytest.approx(64**2 / 31, rel=0.02)
    assert independent == pytest.approx(132, rel=0.02)
    assert identical == pytest.approx(198, rel=0.02)


@each_kernel
def test_unbiased_means_zero_on_independent_data(kernel):
    values = torch.stack(
        [hsic(normal(2 * i, 8, 3), normal(2 * i + 1, 8, 4), kernel=kernel, unbiased=True) for i in range(600)]
    )
    assert values.mean().abs() < 3 * values.std() / math.sqrt(len(values))
    biased = torch.stack([hsic(normal(2 * i, 8, 3), normal(2 * i + 1, 8, 4), kernel=kernel) for i in range(600)])
    assert biased.mean() > 20 * biased.std() / math.sqrt(len(biased))


# ---- oracles


@given(paired_sets(), kernels, st.sampled_from([None, 0.7]))
def test_biased_is_the_trace_of_centred_grams(problem, kernel, bandwidth):
    x, y = problem
    bandwidth = bandwidth if kernel == "rbf" else None
    expected = hsic_by_traces(*grams(x.numpy(), y.numpy(), kernel, bandwidth))
    assert hsic(x, y, kernel=kernel, bandwidth=bandwidth).item() == pytest.approx(expected, rel=1e-8, abs=1e-12)


@given(paired_sets(least=4, most=6), kernels)
def test_unbiased_is_the_sum_over_distinct_indices(problem, kernel):
    x, y = problem
    expected = hsic_by_tuples(*grams(x.numpy(), y.numpy(), kernel))
    assert hsic(x, y, kernel=kernel, unbiased=True).item() == pytest.approx(expected, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("samples", [4, 5, 6, 12])
@each_estimate
def test_both_ways_to_multiply(samples, unbiased):
    """The Gram form below five samples, the product of features above: both are the same sum."""
    x, y = normal(0, samples, 5), normal(1, samples, 6)
    wide = [torch.cat((codes, torch.zeros(samples, 20)), 1) for codes in (x, y)]
    torch.testing.assert_close(hsic(*wide, unbiased=unbiased), hsic(x, y, unbiased=unbiased))


def test_no_gram_matrix_for_many_samples():
    """A million samples: their Gram matrix would take 4 TB."""
    x = torch.randn(1_000_000, 2)
    assert hsic(x, x).item() == pytest.approx(2, rel=0.02)
    assert hsic(x, x, unbiased=True).item() == pytest.approx(2, rel=0.02)


# ---- laws


@given(paired_sets(), kernels, st.booleans(), st.randoms(use_true_random=False))
def test_symmetry_and_order(problem, kernel, unbiased, random):
    x, y = problem
    loss = hsic(x, y, kernel=kernel, unbiased=unbiased)
    order = list(range(len(x)))
    random.shuffle(order)
    torch.testing.assert_close(hsic(y, x, kernel=kernel, unbiased=unbiased), loss)
    torch.testing.assert_close(hsic(x[order], y[order], kernel=kernel, unbiased=unbiased), loss)


@given(paired_sets(), kernels, st.booleans(), seeds)
def test_shifts_and_turns_change_nothing(problem, kernel, unbiased, seed):
    x, y = problem
    moved = x @ rotation(seed, x.shape[1]) + 5 * normal(seed, x.shape[1])
    expected = hsic(x, y, kernel=kernel, unbiased=unbiased)
    torch.testing.assert_close(hsic(moved, y, kernel=kernel, unbiased=unbiased), expected, rtol=1e-6, atol=1e-9)


@given(paired_sets(), st.booleans(), st.sampled_from([0.01, 3.0]))
def test_scales(problem, unbiased, scale):
    """Fourth order in the scale of both; with the median as bandwidth, none."""
    x, y = problem
    linear, gaussian = (hsic(x, y, kernel=kernel, unbiased=unbiased) for kernel in ("linear", "rbf"))
    scaled = hsic(scale * x, scale * y, unbiased=unbiased)
    torch.testing.assert_close(scaled, scale**4 * linear, rtol=1e-6, atol=1e-15)
    scaled = hsic(scale * x, 2 * y, kernel="rbf", unbiased=unbiased)
    torch.testing.assert_close(scaled, gaussian, rtol=1e-6, atol=1e-12)


@given(paired_sets(), seeds)
def test_biased_is_not_negative(problem, seed):
    x, y = problem
    for kernel in ("linear", "rbf"):
        assert hsic(x, y, kernel=kernel) >= -1e-15


@given(paired_sets(most=12), kernels)
def test_unit_codes_are_bounded(problem, kernel):
    x, y = problem
    bound = (len(x) / (len(x) - 1)) ** 2
    assert hsic(x, 100 * y, normalize=True, kernel=kernel) <= bound + 1e-9
    torch.testing.assert_close(hsic(2 * x, 9 * y, normalize=True), hsic(x, y, normalize=True))
    units = [codes / codes.norm(dim=1, keepdim=True) for codes in (x, y)]
    torch.testing.assert_close(hsic(x, y, normalize=True, kernel=kernel), hsic(*units, kernel=kernel))


@given(paired_sets(), kernels, st.booleans(), st.booleans(), seeds)
def test_a_mask_picks_samples(problem, kernel, unbiased, normalize, seed):
    x, y = problem
    mask = coin(seed, len(x))
    dirty = [torch.where(mask.unsqueeze(-1), part, float("nan")) for part in (x, y)]
    options = {"kernel": kernel, "unbiased": unbiased, "normalize": normalize}
    torch.testing.assert_close(hsic(*dirty, mask=mask, **options), hsic(x[mask], y[mask], **options))


# ---- gradients


@pytest.mark.parametrize("samples", [5, 8])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"unbiased": True}, {"kernel": "rbf"}, {"kernel": "rbf", "unbiased": True}, {"normalize": True}]
)
def test_derivatives(samples, masked, options):
    x, y = normal(0, samples, 6).requires_grad_(), normal(1, samples, 7).requires_grad_()
    mask = torch.arange(samples) != 1 if masked else None
    options = options | ({"bandwidth": 2.0} if "kernel" in options else {})

    def loss(x, y):
        return hsic(x, y, mask=mask, **options)

    torch.autograd.gradcheck(loss, (x, y))
    torch.autograd.gradgradcheck(loss, (x, y))


@each_kernel
@each_estimate
def test_derivatives_at_equal_rows_and_at_the_mean(kernel, unbiased):
    """Distances of 0, and a feature that has its mean as a value."""
    x = torch.tensor([[-1.0, 0.0], [0.0, 1.0], [1.0, 2.0], [-1.0, 0.0], [1.0, 2.0]], dtype=torch.float64)
    y = normal(1, 5, 2)
    y[4] = y[2]
    bandwidth = 0.9 if kernel == "rbf" else None

    def loss(x, y):
        return hsic(x, y, kernel=kernel, unbiased=unbiased, bandwidth=bandwidth)

    torch.autograd.gradcheck(loss, (x.requires_grad_(), y.requires_grad_()))
    torch.autograd.gradgradcheck(loss, (x, y))


def test_the_median_is_a_constant_in_the_gradient():
    x, y = normal(0, 6, 3), normal(1, 6, 3)
    by_median = torch.func.grad(lambda x: hsic(x, x, kernel="rbf"))(x)
    sigma = torch.pdist(x).median().item()
    by_number = torch.func.grad(lambda x: hsic(x, x, kernel="rbf", bandwidth=sigma))(x)
    torch.testing.assert_close(by_median, by_number)
    torch.testing.assert_close(hsic(x, x, kernel="rbf"), hsic(x, x, kernel="rbf", bandwidth=sigma))
    assert not torch.isclose(hsic(x, y, kernel="rbf", bandwidth=0.5 * sigma), hsic(x, y, kernel="rbf"))


# ---- edges


@each_kernel
@each_estimate
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 3), (4, 0), (0, 0)])
@pytest.mark.parametrize("masked", [False, True])
def test_nothing_to_depend_on(kernel, unbiased, rows, columns, masked):
    x = torch.randn(rows, columns, requires_grad=True)
    mask = torch.ones(rows, dtype=torch.bool) if masked else None
    loss = hsic(x, torch.randn(rows, 2), kernel=kernel, unbiased=unbiased, mask=mask)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


@each_kernel
@each_estimate
@pytest.mark.parametrize("left", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_fewer_than_enough_samples(kernel, unbiased, left, masked):
    x, y = torch.randn(5, 3), torch.randn(5, 2)
    mask = torch.arange(5) < left if masked else None
    if not masked:
        x, y = x[:left], y[:left]
    x.requires_grad_()
    loss = hsic(x, y, kernel=kernel, unbiased=unbiased, mask=mask)
    loss.backward()
    enough = left >= (4 if unbiased else 2)
    assert (loss != 0) == enough
    assert x.grad.isfinite().all()
    assert bool((x.grad != 0).any()) == enough


@each_kernel
@each_estimate
@pytest.mark.parametrize("samples", [4, 5, 7, 11, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_features_are_not_rounding_noise(kernel, unbiased, samples, dtype):
    x = torch.tensor([0.1, 0.3, 0.43], dtype=dtype).repeat(samples, 1).requires_grad_()
    for y in (x.detach()[:, :2], torch.rand(samples, 4, dtype=dtype)):
        x.grad = None
        loss = hsic(x, y, kernel=kernel, unbiased=unbiased)
        loss.backward()
        assert loss == 0
        assert (x.grad == 0).all()


def test_more_than_half_of_the_distances_are_zero():
    """Then the median is 0 and the mean distance takes its place."""
    x = torch.tensor([[0.0]] * 9 + [[3.0]], dtype=torch.float64, requires_grad=True)
    loss = hsic(x, x, kernel="rbf")
    loss.backward()
    assert x.grad.isfinite().all()
    # 9 of the 45 pairs are 3 apart: the mean squared distance is 9 / 5.
    torch.testing.assert_close(loss.detach(), hsic(x, x, kernel="rbf", bandwidth=math.sqrt(9 / 5)).detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_rows_have_distance_zero(dtype):
    """Every row twice, under a bandwidth so small that the rounding of a squared distance would count."""
    x = uniform(0, 8, 5).to(dtype).repeat(2, 1)
    pairs = np.tile(np.eye(8), (2, 2))
    bandwidth = torch.finfo(dtype).eps ** 0.5 / 4
    loss = hsic(x, x, kernel="rbf", bandwidth=bandwidth)
    assert loss.item() == pytest.approx(hsic_by_traces(pairs, pairs))


def test_far_from_the_origin_in_float32():
    """Squared distances of codes near 100 with a spread of 1 keep their digits."""
    x, y = normal(0, 64, 4), normal(1, 64, 4)
    y = y + x
    for options in ({}, {"kernel": "rbf"}, {"unbiased": True}, {"kernel": "rbf", "unbiased": True}):
        far = hsic((100 + x).float(), (y - 100).float(), **options)
        torch.testing.assert_close(far.double(), hsic(x, y, **options), rtol=1e-4, atol=1e-6)


@each_kernel
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(kernel, dtype):
    x, y = normal(0, 20, 3).to(dtype), normal(1, 20, 4).to(dtype)
    loss = hsic(x, y, kernel=kernel)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, hsic(x.float(), y.float(), kernel=kernel))


# ---- bad input

X, Y = torch.rand(4, 3), torch.rand(4, 2)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "options"),
    [
        (DtypeError, ("x must be", "list"), ([[1.0]], Y), {}),
        (DtypeError, ("y must be", "floating", "int64"), (X, Y.long()), {}),
        (ShapeError, ("x must have shape", "[N, D1]", "[4]"), (X[:, 0], Y), {}),
        (ShapeError, ("number of samples", "4 and 3"), (X, Y[:3]), {}),
        (ShapeError, ("mask", "[4]", "[5]"), (X, Y), {"mask": torch.ones(5).bool()}),
        (SettingError, ("kernel", "'linear', 'rbf'", "'rfb'", "did you mean 'rbf'"), (X, Y), {"kernel": "rfb"}),
        (SettingError, ("unbiased", "True or False", "'no'"), (X, Y), {"unbiased": "no"}),
        (SettingError, ("normalize", "True or False", "1"), (X, Y), {"normalize": 1}),
        (SettingError, ("bandwidth", "0 < bandwidth", "got 0"), (X, Y), {"kernel": "rbf", "bandwidth": 0}),
        (SettingError, ("bandwidth belongs to kernel='rbf'", "leave bandwidth out"), (X, Y), {"bandwidth": 1.0}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, options):
    with expect.error(exception, "hsic: ", *words):
        hsic(*arguments, **options)


def test_oracles_know_each_other():
    """The sum over distinct indices is the estimator of Song et al. written with matrices."""
    x, y = np.random.default_rng(0).normal(size=(2, 6, 3))
    a, b = linear_gram(x), linear_gram(y)
    n, ones = len(x), np.ones(len(x))
    a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
    song = np.trace(a @ b) + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * ones @ a @ b @ ones
    assert hsic_by_tuples(a, b) == pytest.approx(song / (n * (n - 3)))
