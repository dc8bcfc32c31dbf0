import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import cka, hsic
from tests.oracles import expect
from tests.oracles.dependence import cka_by_traces, cka_by_tuples, gaussian_gram, linear_gram, median_distance
from tests.oracles.draws import coin, normal, paired_sets, seeds

kernels = st.sampled_from(["linear", "rbf"])
each_kernel = pytest.mark.parametrize("kernel", ["linear", "rbf"])
each_estimate = pytest.mark.parametrize("unbiased", [False, True])


def grams(x, y, kernel):
    if kernel == "linear":
        return linear_gram(x), linear_gram(y)
    return tuple(gaussian_gram(codes, median_distance(codes)) for codes in (x, y))


# ---- closed form


@each_kernel
@each_estimate
def test_identical_codes(kernel, unbiased):
    x = normal(0, 7, 3)
    assert cka(x, x, kernel=kernel, unbiased=unbiased).item() == pytest.approx(1)
    assert cka(x, 4 - 3 * x.flip(1), kernel=kernel, unbiased=unbiased).item() == pytest.approx(1)


def test_correlation_of_known_strength():
    x = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]], dtype=torch.float64)
    y = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=torch.float64)
    assert cka(x, 0.6 * x + 0.8 * y).item() == pytest.approx(0.36)


def test_more_features_than_samples():
    """The biased form takes any two wide sets for the same; the unbiased one does not."""
    draws = [(normal(2 * i, 16, 500), normal(2 * i + 1, 16, 500)) for i in range(20)]
    assert torch.stack([cka(x, y) for x, y in draws]).mean() > 0.9
    assert torch.stack([cka(x, y, unbiased=True) for x, y in draws]).mean().abs() < 0.05


# ---- oracles


@given(paired_sets(least=3), kernels)
def test_biased_is_that_of_centred_grams(problem, kernel):
    x, y = problem
    expected = cka_by_traces(*grams(x.numpy(), y.numpy(), kernel))
    assert cka(x, y, kernel=kernel).item() == pytest.approx(expected, rel=1e-7)


@given(paired_sets(least=5, most=6), kernels)
def test_unbiased_is_that_of_distinct_indices(problem, kernel):
    x, y = problem
    expected = cka_by_tuples(*grams(x.numpy(), y.numpy(), kernel))
    assert cka(x, y, kernel=kernel, unbiased=True).item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


@each_kernel
@each_estimate
def test_it_is_a_ratio_of_three(kernel, unbiased):
    x, y = normal(0, 9, 3), normal(1, 9, 4)
    options = {"kernel": kernel, "unbiased": unbiased}
    ratio = hsic(x, y, **options) / (hsic(x, x, **options) * hsic(y, y, **options)).sqrt()
    torch.testing.assert_close(cka(x, y, **options), ratio)


# ---- laws


@given(paired_sets(), kernels)
def test_between_zero_and_one(problem, kernel):
    x, y = problem
    assert -1e-12 <= cka(x, y, kernel=kernel) <= 1 + 1e-9


@given(paired_sets(least=5), kernels)
def test_unbiased_between_minus_one_and_one(problem, kernel):
    x, y = problem
    assert cka(x, y, kernel=kernel, unbiased=True).abs() <= 1 + 1e-9


@given(paired_sets(least=3), kernels, st.sampled_from([1e-12, 0.01, 1e12]), seeds)
def test_no_units(problem, kernel, scale, seed):
    x, y = problem
    turned = scale * (x @ torch.linalg.qr(normal(seed, x.shape[1], x.shape[1])).Q + normal(seed, x.shape[1]))
    torch.testing.assert_close(cka(turned, y, kernel=kernel), cka(x, y, kernel=kernel), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-18, 1e-6, 1e9, 1e18])
def test_no_units_in_float32(scale):
    """HSIC of such codes is outside the range of float32."""
    x, y = normal(0, 12, 3).float(), normal(1, 12, 4).float()
    x.requires_grad_()
    for kernel in ("linear", "rbf"):
        scaled = cka(scale * x, y * scale, kernel=kernel)
        torch.testing.assert_close(scaled, cka(x, y, kernel=kernel))
        scaled.backward()
        assert x.grad.isfinite().all()


@given(paired_sets(), kernels, st.booleans(), st.randoms(use_true_random=False), seeds)
def test_symmetry_order_and_masks(problem, kernel, unbiased, random, seed):
    x, y = problem
    options = {"kernel": kernel, "unbiased": unbiased}
    order = list(range(len(x)))
    random.shuffle(order)
    torch.testing.assert_close(cka(y, x, **options), cka(x, y, **options), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(cka(x[order], y[order], **options), cka(x, y, **options), rtol=1e-6, atol=1e-9)
    mask = coin(seed, len(x))
    dirty = [torch.where(mask.unsqueeze(-1), part, float("nan")) for part in (x, y)]
    picked = cka(x[mask], y[mask], **options)
    torch.testing.assert_close(cka(*dirty, mask=mask, **options), picked, rtol=1e-6, atol=1e-9)


# ---- gradients


@pytest.mark.parametrize("samples", [5, 8])
@pytest.mark.parametrize("masked", [False, True])
@each_kernel
@each_estimate
def test_derivatives(samples, masked, kernel, unbiased):
    samples += masked
    x, y = normal(0, samples, 6).requires_grad_(), normal(1, samples, 7).requires_grad_()
    mask = torch.arange(samples) != 1 if masked else None
    bandwidth = 2.0 if kernel == "rbf" else None

    def loss(x, y):
        return cka(x, y, kernel=kernel, unbiased=unbiased, mask=mask, bandwidth=bandwidth)

    torch.autograd.gradcheck(loss, (x, y))
    torch.autograd.gradgradcheck(loss, (x, y))


# ---- edges


@each_kernel
@each_estimate
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 3), (3, 0), (6, 0), (0, 0)])
@pytest.mark.parametrize("masked", [False, True])
def test_nothing_to_depend_on(kernel, unbiased, rows, columns, masked):
    x = torch.randn(rows, columns, requires_grad=True)
    mask = torch.ones(rows, dtype=torch.bool) if masked else None
    loss = cka(x, torch.randn(rows, 2), kernel=kernel, unbiased=unbiased, mask=mask)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


@each_kernel
@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_fewer_than_four(kernel, left):
    x, y = torch.randn(6, 3, requires_grad=True), torch.randn(6, 2)
    loss = cka(x, y, kernel=kernel, unbiased=True, mask=torch.arange(6) < left)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


@each_kernel
@each_estimate
@pytest.mark.parametrize("samples", [4, 5, 7, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_codes_are_not_rounding_noise(kernel, unbiased, samples, dtype):
    x = torch.tensor([0.1, 0.3, 0.43], dtype=dtype).repeat(samples, 1).requires_grad_()
    y = torch.rand(samples, 4, dtype=dtype).requires_grad_()
    for first, second in ((x, y), (y, x), (x, x)):
        x.grad = y.grad = None
        loss = cka(first, second, kernel=kernel, unbiased=unbiased)
        loss.backward()
        assert loss == 0
        assert (x.grad == 0).all()
        assert y.grad is None or (y.grad == 0).all()


@each_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [4, 5, 9])
def test_one_hot_codes_have_no_unbiased_dependence(kernel, dtype, samples):
    """All products of different samples are equal, so nothing is left, of themselves either."""
    x = torch.eye(samples, dtype=dtype) + 0.1
    y = torch.rand(samples, 4, dtype=dtype)
    for second in (x, y):
        assert cka(x, second, kernel=kernel, unbiased=True) == 0
    assert cka(x, x, kernel=kernel).item() == pytest.approx(1)


@each_kernel
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(kernel, dtype):
    x, y = normal(0, 20, 3).to(dtype), normal(1, 20, 4).to(dtype)
    loss = cka(x, y, kernel=kernel)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, cka(x.float(), y.float(), kernel=kernel))


# ---- bad input

X, Y = torch.rand(4, 3), torch.rand(4, 2)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "options"),
    [
        (DtypeError, ("x must be", "list"), ([[1.0]], Y), {}),
        (ShapeError, ("number of samples", "4 and 3"), (X, Y[:3]), {}),
        (DtypeError, ("mask", "boolean", "float32"), (X, Y), {"mask": torch.ones(4)}),
        (SettingError, ("kernel", "'linear', 'rbf'", "'gauss'"), (X, Y), {"kernel": "gauss"}),
        (SettingError, ("bandwidth", "0 < bandwidth", "-1"), (X, Y), {"kernel": "rbf", "bandwidth": -1}),
        (SettingError, ("bandwidth belongs to kernel='rbf'",), (X, Y), {"bandwidth": 1.0}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, options):
    with expect.error(exception, "cka: ", *words):
        cka(*arguments, **options)
