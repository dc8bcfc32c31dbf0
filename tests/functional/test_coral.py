import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ShapeError
from mmdisentangle.functional import coral
from tests.oracles import expect
from tests.oracles.distances import coral as oracle
from tests.oracles.draws import coin, normal, seeds, two_sets

# ---- closed form


def test_variances_of_one_feature():
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    # Variances 2 and 18.
    assert coral(x, 3 * x + 7).item() == pytest.approx(16**2 / 4)


def test_opposite_correlation():
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    # Covariances 2 and -2 off the diagonal, twice: 2 * 16 / (4 * 4).
    assert coral(x, x * torch.tensor([1.0, -1.0])).item() == pytest.approx(2)


# ---- oracles


@given(two_sets())
def test_numpy(problem):
    x, y = problem
    assert coral(x, y).item() == pytest.approx(oracle(x.numpy(), y.numpy()), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("features", [5, 10, 11, 12, 40])
def test_both_ways_to_multiply(features):
    """The products of 11 samples take the place of the covariances above 11 features."""
    x, y = normal(0, 5, features), normal(1, 6, features)
    assert coral(x, y).item() == pytest.approx(oracle(x.numpy(), y.numpy()), rel=1e-9)


def test_no_covariance_of_many_features():
    """Half a million features: their covariance would take a terabyte."""
    assert coral(torch.randn(2, 500_000), torch.randn(3, 500_000)) > 0


# ---- laws


@given(two_sets(most=6), seeds, st.sampled_from([0.1, 4.0]))
def test_symmetry_shift_turn_and_scale(problem, seed, scale):
    x, y = problem
    turn = torch.linalg.qr(normal(seed, x.shape[1], x.shape[1])).Q
    loss = coral(x, y)
    torch.testing.assert_close(coral(y, x), loss)
    torch.testing.assert_close(coral(x + normal(seed, x.shape[1]), y), loss, rtol=1e-7, atol=1e-12)
    torch.testing.assert_close(coral(scale * x @ turn, scale * y @ turn), scale**4 * loss, rtol=1e-7, atol=1e-12)


@given(seeds, st.integers(2, 6), st.integers(1, 30))
def test_zero_at_equal_covariances_and_never_below(seed, samples, features):
    x = normal(seed, samples, features).float()
    for y in (x, x.flip(0), -x):
        loss = coral(x, y)
        assert 0 <= loss < 1e-12 * max(1, features) or loss == 0
    # Rounding alone tells these apart.
    assert coral(x, x * (1 + 1e-7)) >= 0


@given(two_sets(least=0), seeds)
def test_a_mask_picks_samples(problem, seed):
    x, y = problem
    mask_x, mask_y = coin(seed, len(x)), coin(seed + 5, len(y))
    dirty = [torch.where(m.unsqueeze(-1), v, float("nan")) for v, m in ((x, mask_x), (y, mask_y))]
    torch.testing.assert_close(coral(*dirty, mask=(mask_x, mask_y)), coral(x[mask_x], y[mask_y]))
    torch.testing.assert_close(coral(dirty[0], y, mask=(mask_x, None)), coral(x[mask_x], y))


# ---- gradients


@pytest.mark.parametrize("features", [3, 14])
@pytest.mark.parametrize("masked", [False, True])
def test_first_and_second_derivatives(features, masked):
    x, y = normal(0, 5, features).requires_grad_(), normal(1, 4, features).requires_grad_()
    mask = (torch.tensor([True, True, False, True, True]), None) if masked else None
    torch.autograd.gradcheck(lambda x, y: coral(x, y, mask=mask), (x, y))
    torch.autograd.gradgradcheck(lambda x, y: coral(x, y, mask=mask), (x, y))


def test_function_transforms():
    x, y = normal(0, 4, 6, 3), normal(1, 4, 5, 3)
    gradients = torch.func.vmap(torch.func.grad(coral))(x, y)
    torch.testing.assert_close(gradients[2], torch.func.grad(coral)(x[2], y[2]))


# ---- edges


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 3), (0, 0), (1, 9)])
def test_too_few_samples(rows, columns):
    x, y = torch.rand(rows, columns, requires_grad=True), torch.rand(5, columns, requires_grad=True)
    for pair in ((x, y), (y, x), (x, x)):
        loss = coral(*pair)
        loss.backward()
        assert loss == 0
    assert (x.grad == 0).all()
    assert (y.grad == 0).all()


@pytest.mark.parametrize("features", [3, 20])
def test_constant_codes(features):
    """What is left of them is the rounding of the mean."""
    x = torch.full((4, features), 0.1, requires_grad=True)
    loss = coral(x, torch.full((5, features), 7.3))
    loss.backward()
    assert 0 <= loss < 1e-24
    assert x.grad.abs().max() < 1e-18


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype):
    x, y = normal(0, 20, 3).to(dtype), normal(1, 30, 3).to(dtype)
    assert coral(x, y).dtype == torch.float32
    torch.testing.assert_close(coral(x, y), coral(x.float(), y.float()))


# ---- bad input

X, Y = torch.rand(4, 3), torch.rand(5, 3)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "mask"),
    [
        (DtypeError, ("x must be", "list"), ([[1.0]], Y), None),
        (ShapeError, ("y must have 3 features", "got 2"), (X, Y[:, :2]), None),
        (ShapeError, ("mask of y", "[5]", "[4]"), (X, Y), torch.ones(4).bool()),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, mask):
    with expect.error(exception, "coral: ", *words):
        coral(*arguments, mask=mask)
