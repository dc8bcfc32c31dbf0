import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle._core.numerics import (
    at_least_float32,
    safe_sqrt,
    unit_vectors,
    without_autocast,
    zero_where_invalid,
)
from tests.oracles.draws import normal, seeds


def test_at_least_float32():
    dtypes = {
        torch.float16: torch.float32,
        torch.bfloat16: torch.float32,
        torch.float32: torch.float32,
        torch.float64: torch.float64,
    }
    for given_dtype, expected in dtypes.items():
        assert at_least_float32(torch.ones(1, dtype=given_dtype)).dtype == expected
    x = torch.ones(2)
    assert at_least_float32(x) is x


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_zero_where_invalid_hides_values_and_gradients(garbage):
    x = torch.full((2, 3), garbage, requires_grad=True)
    valid = torch.tensor([True, False])
    with torch.no_grad():
        x[0] = 2.0
    y = zero_where_invalid(x, valid)
    assert y.tolist() == [[2.0] * 3, [0.0] * 3]
    (y * y).sum().backward()
    assert x.grad.tolist() == [[4.0] * 3, [0.0] * 3]


def test_safe_sqrt():
    x = torch.tensor([0.0, 1e-40, 0.25, 4.0], requires_grad=True)
    y = safe_sqrt(x)
    y.sum().backward()
    assert y[0] == 0
    assert y[2:].tolist() == [0.5, 2.0]
    assert x.grad[[0, 2, 3]].tolist() == [0.0, 1.0, 0.25]
    assert torch.isfinite(x.grad).all()


@given(seeds, st.integers(0, 3), st.integers(1, 4), st.sampled_from([1e-12, 1.0, 1e12]))
def test_unit_vectors_have_length_one(seed, rows, width, scale):
    x = normal(seed, rows, width, scale=scale)
    y = unit_vectors(x)
    torch.testing.assert_close(y.norm(dim=-1), torch.ones(rows, dtype=torch.float64))
    torch.testing.assert_close(y * x.norm(dim=-1, keepdim=True), x)


def test_unit_vectors_of_zero():
    x = torch.zeros(2, 3, requires_grad=True)
    y = unit_vectors(x)
    y.sum().backward()
    assert (y == 0).all()
    assert torch.isfinite(x.grad).all()


def test_unit_vectors_with_a_detached_norm():
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    unit_vectors(x, detach_norm=True)[0].backward()
    torch.testing.assert_close(x.grad, torch.tensor([0.2, 0.0]))
    x.grad = None
    unit_vectors(x)[0].backward()
    torch.testing.assert_close(x.grad, torch.tensor([16.0, -12.0]) / 125)


def test_without_autocast():
    x = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ x).dtype == torch.bfloat16
        with without_autocast(x):
            assert (x @ x).dtype == torch.float32
    with without_autocast(x.to("meta")), without_autocast(x):
        assert (x @ x).dtype == torch.float32
