import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import orthogonality
from mmdisentangle.functional.orthogonality import ORTHOGONALITY_FORMS
from tests.oracles import expect
from tests.oracles.codes import orthogonality_rows
from tests.oracles.draws import coin, normal, paired_sets, seeds

forms = st.sampled_from(ORTHOGONALITY_FORMS)
each_form = pytest.mark.parametrize("form", ORTHOGONALITY_FORMS)


# ---- closed form


def test_one_feature():
    x = torch.tensor([[1.0], [-1.0], [3.0], [-3.0]], dtype=torch.float64)
    # Every centred row has length one: the sum over samples is N, its square N^2.
    assert orthogonality(x, 2 * x).item() == pytest.approx(16.0)
    assert orthogonality(x, 2 * x, form="correlation").item() == pytest.approx(1.0)


@each_form
def test_uncorrelated_designs_cost_nothing(form):
    x = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    y = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    assert orthogonality(x, y, form=form) == 0


def test_correlation_of_known_strength():
    x = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]], dtype=torch.float64)
    y = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=torch.float64)
    mixed = 0.6 * x + 0.8 * y
    assert orthogonality(x, mixed, form="correlation").item() == pytest.approx(0.36)


# ---- oracles


@given(paired_sets())
def test_rows_loops(problem):
    x, y = problem
    assert orthogonality(x, y).item() == pytest.approx(orthogonality_rows(x.numpy(), y.numpy()), rel=1e-8)


@given(paired_sets(least=3))
def test_correlation_is_that_of_numpy(problem):
    x, y = problem
    whole = np.corrcoef(x.numpy(), y.numpy(), rowvar=False)
    between = whole[: x.shape[1], x.shape[1] :]
    loss = orthogonality(x, y, form="correlation")
    assert loss.item() == pytest.approx((between**2).mean(), rel=1e-8)


@pytest.mark.parametrize("samples", [2, 3, 4, 5, 6, 12])
@each_form
def test_both_ways_to_multiply(samples, form):
    """The Gram form below four samples, the product of features above: both are the same sum."""
    x, y = normal(0, samples, 4), normal(1, samples, 5)

    def slow(x, y):
        x, y = x - x.mean(0), y - y.mean(0)
        axis = 1 if form == "rows" else 0
        x, y = x / x.norm(dim=axis, keepdim=True), y / y.norm(dim=axis, keepdim=True)
        return (x.T @ y).square().mean()

    torch.testing.assert_close(orthogonality(x, y, form=form), slow(x, y))


# ---- laws


@given(paired_sets(), forms, st.randoms(use_true_random=False))
def test_symmetry_and_order(problem, form, random):
    x, y = problem
    loss = orthogonality(x, y, form=form)
    order = list(range(len(x)))
    random.shuffle(order)
    torch.testing.assert_close(orthogonality(y, x, form=form), loss)
    torch.testing.assert_close(orthogonality(x[order], y[order], form=form), loss)
    torch.testing.assert_close(orthogonality(x.flip(1), y, form=form), loss)


@given(paired_sets(), seeds)
def test_correlation_has_no_units(problem, seed):
    x, y = problem
    loss = orthogonality(x, y, form="correlation")
    assert 0 <= loss <= 1 + 1e-9
    scales, shifts = normal(seed, x.shape[1]).exp(), normal(seed + 1, x.shape[1])
    torch.testing.assert_close(orthogonality(x * scales + shifts, y, form="correlation"), loss, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(orthogonality(-x, y, form="correlation"), loss)


@given(paired_sets(), st.sampled_from([0.01, 3.0]))
def test_rows_do_not_see_a_common_scale_or_shift(problem, scale):
    x, y = problem
    torch.testing.assert_close(orthogonality(scale * x + 2, y), orthogonality(x, y), rtol=1e-6, atol=1e-9)


def test_growth_with_the_batch():
    """On independent data the row form grows with N, the correlation shrinks like 1 / (N - 1)."""
    small, large = 32, 512
    values = {
        (form, n): torch.stack(
            [orthogonality(normal(i, n, 6), normal(i + 999, n, 6), form=form) for i in range(40)]
        ).mean()
        for form in ORTHOGONALITY_FORMS
        for n in (small, large)
    }
    growth = values["rows", large] / values["rows", small]
    assert large / small * 0.7 < growth < large / small * 1.4
    for n in (small, large):
        assert values["correlation", n].item() * (n - 1) == pytest.approx(1.0, rel=0.15)


@given(paired_sets(), forms, seeds)
def test_a_mask_picks_samples(problem, form, seed):
    x, y = problem
    mask = coin(seed, len(x))
    dirty = [torch.where(mask.unsqueeze(-1), part, float("nan")) for part in (x, y)]
    picked = orthogonality(x[mask], y[mask], form=form)
    torch.testing.assert_close(orthogonality(*dirty, form=form, mask=mask), picked)


# ---- gradients


@pytest.mark.parametrize("samples", [3, 7])
@pytest.mark.parametrize("masked", [False, True])
def test_derivatives_of_the_correlation(samples, masked):
    x, y = normal(0, samples, 4).requires_grad_(), normal(1, samples, 5).requires_grad_()
    mask = torch.arange(samples) != 1 if masked else None

    def loss(x, y):
        return orthogonality(x, y, form="correlation", mask=mask)

    torch.autograd.gradcheck(loss, (x, y))
    torch.autograd.gradgradcheck(loss, (x, y))


def test_a_feature_that_has_its_mean_as_a_value():
    """What centring makes exactly zero is still a number that may move."""
    x = torch.tensor([[-2.0], [-1.0], [0.0], [1.0], [2.0]], dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda x: orthogonality(x, normal(1, 5, 2), form="correlation"), (x,))


@pytest.mark.parametrize("samples", [3, 7])
def test_derivative_of_rows_is_the_one_with_constant_norms(samples):
    x, y = normal(0, samples, 4), normal(1, samples, 5)
    norms = [(part - part.mean(0)).norm(dim=1, keepdim=True) for part in (x, y)]

    def with_constant_norms(x, y):
        x, y = ((part - part.mean(0)) / norm for part, norm in zip((x, y), norms, strict=True))
        return (x.T @ y).square().mean()

    for ours, theirs in zip(
        torch.func.grad(orthogonality, (0, 1))(x, y), torch.func.grad(with_constant_norms, (0, 1))(x, y), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@each_form
def test_function_transforms(form):
    x, y = normal(0, 4, 6, 3), normal(1, 4, 6, 2)

    def loss(x, y):
        return orthogonality(x, y, form=form)

    gradients = torch.func.vmap(torch.func.grad(loss))(x, y)
    for k in range(4):
        torch.testing.assert_close(gradients[k], torch.func.grad(loss)(x[k], y[k]))


# ---- edges


@each_form
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 3), (4, 0), (0, 0)])
@pytest.mark.parametrize("masked", [False, True])
def test_fewer_than_two_samples(form, rows, columns, masked):
    x = torch.randn(rows, columns, requires_grad=True)
    mask = torch.ones(rows, dtype=torch.bool) if masked else None
    loss = orthogonality(x, torch.randn(rows, 2), form=form, mask=mask)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


@each_form
@pytest.mark.parametrize("left", [0, 1])
def test_masks_that_leave_fewer_than_two(form, left):
    x = torch.randn(5, 3, requires_grad=True)
    loss = orthogonality(x, torch.randn(5, 2), form=form, mask=torch.arange(5) < left)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


@each_form
@pytest.mark.parametrize("samples", [2, 3, 5, 7, 11, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_features_are_not_rounding_noise(form, samples, dtype):
    """The mean of equal numbers is off by a bit; scaled to length one, that bit would be everything."""
    x = torch.tensor([0.1, 0.3, 0.43], dtype=dtype).repeat(samples, 1).requires_grad_()
    constant = torch.tensor([0.7, 0.8, 0.9, 1.1], dtype=dtype).repeat(samples, 1)
    for y in (constant, torch.rand(samples, 4, dtype=dtype)):
        x.grad = None
        loss = orthogonality(x, y, form=form)
        loss.backward()
        assert loss == 0
        assert x.grad.abs().max() < 10


@each_form
def test_a_small_spread_is_not_taken_for_rounding(form):
    """Codes near 0.5 with a spread of 1e-3 in float32 keep their value."""
    x, y = normal(0, 256, 4), normal(1, 256, 4)
    y = y + x
    narrow = (0.5 + 1e-3 * x).float()
    torch.testing.assert_close(
        orthogonality(narrow, y.float(), form=form).double(), orthogonality(x, y, form=form), rtol=1e-3, atol=0
    )


@each_form
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(form, dtype):
    x, y = normal(0, 20, 3).to(dtype), normal(1, 20, 4).to(dtype)
    loss = orthogonality(x, y, form=form)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, orthogonality(x.float(), y.float(), form=form))


# ---- bad input

X, Y = torch.rand(4, 3), torch.rand(4, 2)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("x must be", "list"), ([[1.0]], Y), {}),
        (DtypeError, ("y must be", "floating", "int64"), (X, Y.long()), {}),
        (ShapeError, ("x must have shape", "[N, D1]", "[4]"), (X[:, 0], Y), {}),
        (ShapeError, ("number of samples", "4 and 3"), (X, Y[:3]), {}),
        (ShapeError, ("mask", "[4]", "[5]"), (X, Y), {"mask": torch.ones(5).bool()}),
        (DtypeError, ("mask", "boolean", "float32"), (X, Y), {"mask": torch.ones(4)}),
        (SettingError, ("form", "'rows', 'correlation'", "'row'", "did you mean 'rows'"), (X, Y), {"form": "row"}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "orthogonality: ", *words):
        orthogonality(*arguments, **settings)
