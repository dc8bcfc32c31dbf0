import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import gaussian_wasserstein
from tests.oracles import expect
from tests.oracles.distances import gaussian_wasserstein as oracle
from tests.oracles.distances import gaussian_wasserstein_diagonal as diagonal_oracle
from tests.oracles.draws import coin, normal, seeds, two_sets

each_form = pytest.mark.parametrize("diagonal", [False, True])


# ---- closed form


@each_form
def test_one_feature(diagonal):
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    # Means 0 and 7, standard deviations 1 and 3.
    assert gaussian_wasserstein(x, 3 * x + 7, diagonal=diagonal).item() == pytest.approx(49 + 4)


def test_a_quarter_turn():
    """Standard deviations (2, 1) against (1, 2) on common axes; along one diagonal against the other."""
    x = torch.tensor([[2.0, 1.0], [-2.0, 1.0], [2.0, -1.0], [-2.0, -1.0]], dtype=torch.float64)
    assert gaussian_wasserstein(x, x.flip(1)).item() == pytest.approx(2)
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    y = x * torch.tensor([1.0, -1.0])
    assert gaussian_wasserstein(x, y).item() == pytest.approx(4)
    assert gaussian_wasserstein(x, y, diagonal=True).item() == pytest.approx(0, abs=1e-15)


# ---- oracles


@given(two_sets(least=7, most=14, features=5))
def test_matrix_square_roots(problem):
    x, y = (codes.numpy() for codes in problem)
    assert gaussian_wasserstein(*problem).item() == pytest.approx(oracle(x, y), rel=1e-8, abs=1e-10)
    expected = diagonal_oracle(x, y)
    assert gaussian_wasserstein(*problem, diagonal=True).item() == pytest.approx(expected, rel=1e-9)


@given(seeds, st.integers(2, 6), st.integers(2, 6), st.integers(1, 9))
def test_singular_covariances(seed, rows_x, rows_y, features):
    """By the nuclear norm of the product of the centred codes, which takes no root of a matrix."""
    x, y = normal(seed, rows_x, features), normal(seed + 1, rows_y, features)
    a, b = (codes - codes.mean(0) for codes in (x, y))
    nuclear = torch.linalg.matrix_norm(a @ b.mT, "nuc") / (rows_x * rows_y) ** 0.5
    expected = (x.mean(0) - y.mean(0)).square().sum() + a.square().sum() / rows_x + b.square().sum() / rows_y
    torch.testing.assert_close(gaussian_wasserstein(x, y), expected - 2 * nuclear, rtol=1e-9, atol=1e-12)


# ---- laws


@given(two_sets(), st.booleans())
def test_a_metric_between_what_it_sees(problem, diagonal):
    x, y = problem
    loss = gaussian_wasserstein(x, y, diagonal=diagonal)
    assert loss >= 0
    torch.testing.assert_close(gaussian_wasserstein(y, x, diagonal=diagonal), loss, rtol=1e-7, atol=1e-12)
    assert gaussian_wasserstein(x, x.flip(0).repeat(3, 1), diagonal=diagonal) < 1e-20
    third = y.flip(1) + 0.5
    sides = [gaussian_wasserstein(*pair, diagonal=diagonal).sqrt() for pair in ((x, y), (y, third), (x, third))]
    assert sides[2] <= sides[0] + sides[1] + 1e-7


@given(two_sets(), seeds, st.sampled_from([0.1, 40.0]))
def test_turn_shift_and_scale(problem, seed, scale):
    x, y = problem
    turn, shift = torch.linalg.qr(normal(seed, x.shape[1], x.shape[1])).Q, normal(seed, x.shape[1])
    moved = gaussian_wasserstein(scale * x @ turn + shift, scale * y @ turn + shift)
    torch.testing.assert_close(moved, scale**2 * gaussian_wasserstein(x, y), rtol=1e-6, atol=1e-10)


@given(seeds, st.integers(2, 9), st.integers(1, 4))
def test_not_above_the_distance_of_the_samples(seed, samples, features):
    """The best assignment of samples (Gelbrich's bound); not below what single features tell."""
    x, y = normal(seed, samples, features), normal(seed + 1, samples, features) * 2 + 1
    costs = torch.cdist(x, y).square().numpy()
    exact = costs[linear_sum_assignment(costs)].mean()
    loss = gaussian_wasserstein(x, y).item()
    assert loss <= exact * (1 + 1e-12)
    assert loss >= gaussian_wasserstein(x, y, diagonal=True).item() * (1 - 1e-12)


@given(two_sets(least=0), st.booleans(), seeds)
def test_a_mask_picks_samples(problem, diagonal, seed):
    x, y = problem
    mask_x, mask_y = coin(seed, len(x)), coin(seed + 5, len(y))
    dirty = [torch.where(m.unsqueeze(-1), v, float("nan")) for v, m in ((x, mask_x), (y, mask_y))]
    torch.testing.assert_close(
        gaussian_wasserstein(*dirty, mask=(mask_x, mask_y), diagonal=diagonal),
        gaussian_wasserstein(x[mask_x], y[mask_y], diagonal=diagonal),
    )


# ---- gradients


@each_form
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("samples", "features"), [(7, 3), (7, 6)])
def test_derivatives(diagonal, masked, samples, features):
    x, y = normal(0, samples, features).requires_grad_(), normal(1, samples, features).requires_grad_()
    mask = (None, torch.arange(samples) != 2) if masked and features == 3 else None
    torch.autograd.gradcheck(lambda x, y: gaussian_wasserstein(x, y, mask=mask, diagonal=diagonal), (x, y))


@each_form
def test_derivatives_at_equal_sets_and_repeated_singular_values(diagonal):
    """Covariances that are multiples of the identity: derivatives of singular vectors would be infinite."""
    x = torch.cat((torch.eye(3), -torch.eye(3))).double().requires_grad_()
    y = (2 * x.detach() @ torch.linalg.qr(normal(0, 3, 3)).Q + 1).requires_grad_()
    torch.autograd.gradcheck(lambda x, y: gaussian_wasserstein(x, y, diagonal=diagonal), (x, y))
    torch.autograd.gradcheck(lambda x: gaussian_wasserstein(x, x.detach().flip(0), diagonal=diagonal), (x,))


def test_second_derivatives_of_the_diagonal_form():
    x, y = normal(0, 5, 3).requires_grad_(), normal(1, 4, 3).requires_grad_()
    torch.autograd.gradgradcheck(lambda x, y: gaussian_wasserstein(x, y, diagonal=True), (x, y))


@each_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_sets_have_the_distance_and_the_gradient_zero(diagonal, dtype):
    x = normal(0, 9, 4).to(dtype).requires_grad_()
    loss = gaussian_wasserstein(x, x.detach().clone(), diagonal=diagonal)
    loss.backward()
    eps = torch.finfo(dtype).eps
    assert 0 <= loss < 100 * eps**2
    assert x.grad.abs().max() < 10 * eps


def test_near_equality_in_float32():
    """Traces minus a root would have no digit left here."""
    x = normal(0, 40, 4)
    y = x + 1e-4 * normal(1, 40, 4)
    exact = gaussian_wasserstein(x, y)
    assert 1e-9 < exact < 1e-6
    torch.testing.assert_close(gaussian_wasserstein(x.float(), y.float()).double(), exact, rtol=0.02, atol=0)


def test_a_singular_set_moves_by_what_is_matched_only():
    """x lies on a line: its samples move in one pattern only, however they move in space."""
    x = normal(0, 6, 1) * torch.tensor([1.0, 0.0, 0.0]).double()
    x.requires_grad_()
    gaussian_wasserstein(x, normal(1, 9, 3)).backward()
    assert x.grad[:, 0].abs().max() > 1e-3
    pattern = x.detach()[:, :1] - x.detach()[:, :1].mean()
    moves = x.grad - x.grad.mean(0)
    torch.testing.assert_close(pattern @ (pattern.mT @ moves) / pattern.square().sum(), moves)
    steps = torch.linspace(-1e-6, 1e-6, 3).double().tolist()
    losses = [gaussian_wasserstein((1 + step) * x.detach(), normal(1, 9, 3)).item() for step in steps]
    slope = (losses[2] - losses[0]) / (steps[2] - steps[0])
    assert (x.grad * x.detach()).sum().item() == pytest.approx(slope, rel=1e-5)


@each_form
def test_function_transforms(diagonal):
    x, y = normal(0, 4, 6, 3), normal(1, 4, 5, 3)

    def gradient(x, y):
        return torch.func.grad(lambda x: gaussian_wasserstein(x, y, diagonal=diagonal))(x)

    torch.testing.assert_close(torch.func.vmap(gradient)(x, y)[2], gradient(x[2], y[2]))


# ---- edges


@each_form
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 3), (0, 0), (1, 0)])
def test_too_few_samples(diagonal, rows, columns):
    x, y = torch.rand(rows, columns, requires_grad=True), torch.rand(5, columns, requires_grad=True)
    for pair in ((x, y), (y, x), (x, x)):
        loss = gaussian_wasserstein(*pair, diagonal=diagonal)
        loss.backward()
        assert loss == 0
    assert (x.grad == 0).all()
    assert (y.grad == 0).all()


@each_form
def test_constant_codes(diagonal):
    x = torch.full((4, 3), 0.1, requires_grad=True)
    y = torch.full((6, 3), 0.8, requires_grad=True)
    loss = gaussian_wasserstein(x, y, diagonal=diagonal)
    loss.backward()
    assert loss.item() == pytest.approx(3 * 0.49)
    torch.testing.assert_close(x.grad, torch.full((4, 3), -2 * 0.7 / 4))
    assert y.grad.isfinite().all()


@pytest.mark.parametrize("samples", [5, 7, 11, 64])
def test_the_rounding_of_a_mean_is_no_deviation(samples):
    """Constant features have the gradient of their mean, the same in every sample."""
    x = torch.tensor([0.1, 0.3, 0.43]).repeat(samples, 1).requires_grad_()
    gaussian_wasserstein(x, torch.rand(9, 3), diagonal=True).backward()
    torch.testing.assert_close(x.grad, x.grad[:1].expand(samples, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype):
    x, y = normal(0, 20, 3).to(dtype), normal(1, 30, 3).to(dtype)
    assert gaussian_wasserstein(x, y).dtype == torch.float32
    torch.testing.assert_close(gaussian_wasserstein(x, y), gaussian_wasserstein(x.float(), y.float()))


# ---- bad input

X, Y = torch.rand(4, 3), torch.rand(5, 3)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("x must be", "list"), ([[1.0]], Y), {}),
        (ShapeError, ("y must have 3 features", "got 2"), (X, Y[:, :2]), {}),
        (ShapeError, ("mask of y", "[5]", "[4]"), (X, Y), {"mask": torch.ones(4).bool()}),
        (SettingError, ("diagonal", "True or False", "'yes'"), (X, Y), {"diagonal": "yes"}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "gaussian_wasserstein: ", *words):
        gaussian_wasserstein(*arguments, **settings)


def test_oracles_know_each_other():
    """Of one feature, and of Gaussians that commute, the root is that of numbers."""
    x, y = (np.random.default_rng(seed).normal(size=(9, 1)) for seed in (0, 1))
    assert oracle(x, y) == pytest.approx(diagonal_oracle(x, y))
