import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import gradient_reversal
from tests.oracles import expect
from tests.oracles.draws import normal, seeds

strengths = st.floats(-10, 10)
dtypes = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
each_dtype = pytest.mark.parametrize("dtype", dtypes)


def gradient(x, strength, function=lambda y: y.square().sum()):
    leaf = x.clone().requires_grad_()
    function(gradient_reversal(leaf, strength)).backward()
    return leaf.grad


# ---- closed form, and its surrogate gradient


@given(seeds, strengths, st.sampled_from([1e-30, 1.0, 1e30]))
def test_identity_forward(seed, strength, scale):
    x = normal(seed, 3, 4, scale=scale)
    for dtype in dtypes:
        y = gradient_reversal(x.to(dtype).clamp(-6e4, 6e4), strength)
        assert y.dtype == dtype
        assert torch.equal(y, x.to(dtype).clamp(-6e4, 6e4))


@given(seeds, strengths)
def test_minus_strength_backward(seed, strength):
    x = normal(seed, 3, 4)
    torch.testing.assert_close(gradient(x, strength), -strength * 2 * x, rtol=1e-12, atol=1e-12)


@given(seeds, strengths, strengths)
def test_strengths_multiply(seed, one, other):
    x = normal(seed, 5).requires_grad_()
    gradient_reversal(gradient_reversal(x, one), other).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, one * other))


@each_dtype
@pytest.mark.parametrize("strength", [0.0, 1.0, 0.25, -2.0])
def test_a_tensor_is_as_good_as_a_number(dtype, strength):
    x = torch.randn(4).to(dtype)
    y = gradient_reversal(x, torch.tensor(strength))
    assert y.dtype == dtype
    assert torch.equal(y, x)
    number, tensor = gradient(x, strength), gradient(x, torch.tensor(strength))
    assert number.dtype == tensor.dtype == dtype
    torch.testing.assert_close(number, tensor)


def test_strength_zero_cuts_and_one_reverses():
    x = torch.randn(4)
    assert (gradient(x, 0.0) == 0).all()
    torch.testing.assert_close(gradient(x, 1.0), -2 * x)


# ---- transforms


def test_function_transforms_reverse_too():
    x = normal(0, 5, 3)

    def loss(x, strength):
        return gradient_reversal(x, strength).square().sum()

    torch.testing.assert_close(torch.func.grad(loss)(x, 0.5), -x)
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(loss), (0, None))(x, 0.5), -x)
    rates = torch.linspace(0, 1, 5, dtype=torch.float64)
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(loss))(x, rates), -2 * rates.unsqueeze(-1) * x)
    value, tangent = torch.func.jvp(lambda y: gradient_reversal(y, 0.5), (x,), (torch.ones_like(x),))
    assert torch.equal(value, x)
    torch.testing.assert_close(tangent, -0.5 * torch.ones_like(x))


@pytest.mark.compile
def test_compiled_function_transforms_reverse_too():
    x = normal(0, 5, 3)
    compiled = torch.compile(
        torch.func.grad(lambda y: gradient_reversal(y, torch.tensor(0.5, dtype=torch.float64)).square().sum()),
        fullgraph=True,
        backend="aot_eager",
    )
    torch.testing.assert_close(compiled(x), -x)


def test_second_derivative_is_that_of_the_surrogate():
    x = normal(0, 3).requires_grad_()
    (first,) = torch.autograd.grad(gradient_reversal(x, 0.5).pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    # The loss sees y = x, its gradient 3 y^2 is reversed, and so is the gradient of that.
    torch.testing.assert_close(second, 0.25 * 6 * x)


# ---- edges


@each_dtype
def test_changing_the_strength_before_the_backward_raises(dtype):
    x, strength = torch.randn(3).to(dtype).requires_grad_(), torch.tensor(1.0)
    y = gradient_reversal(x, strength)
    strength.fill_(0.5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_changing_the_strength_between_steps_is_seen():
    strength = torch.tensor(1.0)
    x = torch.ones(1)
    assert gradient(x, strength) == -2
    strength.fill_(0.5)
    assert gradient(x, strength) == -1


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 2, 3, 4)])
def test_any_shape(shape):
    x = torch.randn(shape)
    assert gradient_reversal(x).shape == shape
    assert gradient(x, 1.0).shape == shape


def test_infinity_becomes_nan_as_documented():
    assert gradient_reversal(torch.tensor([math.inf, 1.0])).isnan().tolist() == [True, False]


# ---- bad input


@pytest.mark.parametrize(
    ("exception", "words", "arguments"),
    [
        (DtypeError, ("x must be", "list"), ([1.0],)),
        (DtypeError, ("x must be", "floating", "int64"), (torch.ones(2).long(),)),
        (ShapeError, ("strength", "0-dim", "[1]"), (torch.ones(2), torch.ones(1))),
        (SettingError, ("strength", "finite", "nan"), (torch.ones(2), math.nan)),
        (SettingError, ("strength", "finite", "'1'"), (torch.ones(2), "1")),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments):
    with expect.error(exception, "gradient_reversal: ", *words):
        gradient_reversal(*arguments)
