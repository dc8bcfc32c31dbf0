import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import factorized_bilinear
from tests.oracles import expect
from tests.oracles.codes import factorized_bilinear as oracle
from tests.oracles.draws import normal, seeds


@st.composite
def problems(draw):
    factors, outputs, widths = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, 4)),
        draw(st.tuples(*[st.integers(1, 4)] * 2)),
    )
    leading, seed = draw(st.lists(st.integers(0, 3), max_size=2)), draw(seeds)
    codes = [normal(seed + i, *leading, width) for i, width in enumerate(widths)]
    weights = [normal(seed + 2 + i, outputs * factors, width) for i, width in enumerate(widths)]
    return (*codes, *weights), factors


# ---- closed form


def test_inner_products():
    x, y = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.0, 1.0, 10.0, 10.0])
    identity = torch.eye(4)
    assert factorized_bilinear(x, y, identity, identity, num_factors=4, normalize=False).tolist() == [73.0]
    assert factorized_bilinear(x, y, identity, identity, num_factors=2, normalize=False).tolist() == [3.0, 70.0]
    assert factorized_bilinear(x, y, identity, identity, num_factors=1, normalize=False).tolist() == [
        1.0,
        2.0,
        30.0,
        40.0,
    ]


# ---- oracle


@given(problems(), st.booleans())
def test_explicit_bilinear_forms(problem, normalize):
    (x, y, u, v), factors = problem
    pooled = factorized_bilinear(x, y, u, v, num_factors=factors, normalize=normalize)
    assert pooled.shape == (*x.shape[:-1], len(u) // factors)
    rows = [part.reshape(-1, part.shape[-1]).numpy() for part in (x, y)]
    for ours, a, b in zip(pooled.reshape(-1, pooled.shape[-1]), *rows, strict=True):
        expected = torch.from_numpy(oracle(a, b, u.numpy(), v.numpy(), factors, normalize))
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-10)


# ---- laws


@given(problems(), st.sampled_from([-2.0, 0.5, 3.0]))
def test_bilinear(problem, factor):
    (x, y, u, v), factors = problem

    def pool(x, y):
        return factorized_bilinear(x, y, u, v, num_factors=factors, normalize=False)

    torch.testing.assert_close(pool(factor * x, y), factor * pool(x, y))
    torch.testing.assert_close(pool(x, factor * y), factor * pool(x, y))
    torch.testing.assert_close(pool(x + 1, y), pool(x, y) + pool(torch.ones_like(x), y), rtol=1e-9, atol=1e-9)


@given(problems())
def test_swapped_sides(problem):
    (x, y, u, v), factors = problem
    torch.testing.assert_close(
        factorized_bilinear(x, y, u, v, num_factors=factors), factorized_bilinear(y, x, v, u, num_factors=factors)
    )


@given(problems(), st.sampled_from([1e-3, 50.0]))
def test_unit_length_without_units(problem, scale):
    (x, y, u, v), factors = problem
    pooled = factorized_bilinear(x, y, u, v, num_factors=factors)
    lengths = pooled.norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
    torch.testing.assert_close(factorized_bilinear(scale * x, y, u, v, num_factors=factors), pooled)


def test_dropout_acts_on_products_before_they_are_pooled():
    x, weights = torch.ones(2000, 2), torch.eye(2)
    options = {"num_factors": 2, "dropout": 0.25, "normalize": False}
    values = factorized_bilinear(x, x, weights, weights, training=True, **options).squeeze(-1)
    assert (values * 3).round().unique().tolist() == [0.0, 4.0, 8.0]
    assert values.mean().item() == pytest.approx(2.0, rel=0.05)
    assert (factorized_bilinear(x, x, weights, weights, training=False, **options) == 2).all()


# ---- gradients


@pytest.mark.parametrize("normalize", [False, True])
def test_first_and_second_derivatives(normalize):
    tensors = [normal(i, *shape).requires_grad_() for i, shape in enumerate([(2, 3), (2, 4), (6, 3), (6, 4)])]

    def pool(*tensors):
        return factorized_bilinear(*tensors, normalize=normalize)

    torch.autograd.gradcheck(pool, tensors)
    torch.autograd.gradgradcheck(pool, tensors)


def test_function_transforms():
    x, y, u, v = normal(0, 5, 3), normal(1, 5, 4), normal(2, 6, 3), normal(3, 6, 4)

    def total(x, y):
        return factorized_bilinear(x, y, u, v).sum()

    gradients = torch.func.vmap(torch.func.grad(total))(x, y)
    leaf = x.clone().requires_grad_()
    total(leaf, y).backward()
    torch.testing.assert_close(gradients, leaf.grad)


# ---- edges


def test_a_zero_product_stays_zero():
    x, y = torch.zeros(2, 3, requires_grad=True), torch.randn(2, 3)
    weights = torch.randn(4, 3, requires_grad=True)
    pooled = factorized_bilinear(x, y, weights, torch.randn(4, 3))
    pooled.sum().backward()
    assert (pooled == 0).all()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(weights.grad).all()


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_limits_of_dropout(dropout):
    x, w = torch.ones(3, 2), torch.eye(2)
    pooled = factorized_bilinear(x, x, w, w, dropout=dropout, training=True, normalize=False)
    assert (pooled == 2 * (1 - dropout)).all()


# ---- bad input

X, Y, U, V = torch.randn(2, 3), torch.randn(2, 4), torch.randn(6, 3), torch.randn(6, 4)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("x must be", "list"), ([1.0], Y, U, V), {}),
        (DtypeError, ("y must be", "floating", "int64"), (X, Y.long(), U, V), {}),
        (DtypeError, ("weight_x must be", "floating", "int64"), (X, Y, U.long(), V), {}),
        (ShapeError, ("weight_y must have shape", "[4]"), (X, Y, U, V[0]), {}),
        (ShapeError, ("x and y", "leading axes", "[2, 3]", "[1, 4]"), (X, Y[:1], U, V), {}),
        (ShapeError, ("weight_x", "columns", "4 and 3"), (X, Y, V, V), {}),
        (ShapeError, ("weight_y", "columns", "3 and 4"), (X, Y, U, U), {}),
        (ShapeError, ("rows", "num_factors=4", "6 and 6"), (X, Y, U, V), {"num_factors": 4}),
        (ShapeError, ("rows", "6 and 4"), (X, Y, U, V[:4]), {}),
        (SettingError, ("num_factors", "at least 1", "0"), (X, Y, U, V), {"num_factors": 0}),
        (SettingError, ("dropout", "0 <= dropout <= 1", "1.5"), (X, Y, U, V), {"dropout": 1.5}),
        (SettingError, ("dropout", "nan"), (X, Y, U, V), {"dropout": math.nan}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "factorized_bilinear: ", *words):
        factorized_bilinear(*arguments, **settings)
