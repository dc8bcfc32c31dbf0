"""Dropout on the CPU: the distribution of torch's, fewer random numbers, no mask kept."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import grad, vmap

from mmdisentangle._core import dropout as module
from mmdisentangle._core.dropout import dropout, relu_dropout


@pytest.fixture(autouse=True)
def small_tensors_too(monkeypatch):
    """torch's own dropout would take them."""
    monkeypatch.setattr(module, "_LEAST", 0)


BOTH = pytest.mark.parametrize("function", [dropout, relu_dropout])


@BOTH
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_share_and_expectation(function, p):
    torch.manual_seed(0)
    y = function(torch.ones(1000, 300), p, True)
    kept = y != 0
    # Six standard deviations of a binomial share.
    assert abs(kept.double().mean() - (1 - p)) < 6 * (p * (1 - p) / y.numel()) ** 0.5 + 1 / 65536
    assert y.unique().numel() == 2
    torch.testing.assert_close(y.max(), torch.tensor(1 / (1 - p)), rtol=1e-4, atol=0)
    # Rows and columns are not favoured: the shares of 1,000 rows scatter as independent ones do.
    scatter = kept.double().mean(1).std() / (p * (1 - p) / 300) ** 0.5
    assert 0.9 < scatter < 1.1


def test_neighbours_are_independent():
    torch.manual_seed(1)
    kept = (dropout(torch.ones(1 << 20), 0.5, True) > 0).double() - 0.5
    for lag in (1, 2, 3, 4, module._CHUNK):
        assert abs((kept[:-lag] * kept[lag:]).mean() * 4) < 6 / (1 << 10)


@BOTH
def test_evaluation_and_limits(function):
    x = torch.rand(50)
    assert torch.equal(function(x, 0.4, False), x)
    assert torch.equal(function(x, 0.0, True), x)
    assert function(x, 1.0, True).count_nonzero() == 0
    assert function(torch.rand(0, 3), 0.5, True).shape == (0, 3)


@BOTH
def test_seeded_by_torch(function):
    x = torch.rand(1000)
    torch.manual_seed(5)
    first, second = function(x, 0.5, True), function(x, 0.5, True)
    torch.manual_seed(5)
    assert torch.equal(function(x, 0.5, True), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, module._CHUNK // 2 + 3), (0,)])
def test_gradient_has_the_mask_of_the_result(shape):
    x = torch.randn(shape, requires_grad=True)
    y = dropout(x, 0.3, True)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient * x, y)
    y = relu_dropout(x, 0.3, True)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient * x, y)


@BOTH
def test_derivatives(function):
    x = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)

    def seeded(x):
        torch.manual_seed(3)
        return (function(x, 0.5, True) * x).square().sum()

    assert torch.autograd.gradcheck(seeded, x)
    assert torch.autograd.gradgradcheck(seeded, x)


@BOTH
def test_not_contiguous(function):
    x = torch.rand(4, 6).T
    torch.manual_seed(0)
    y = function(x, 0.5, True)
    torch.manual_seed(0)
    assert torch.equal(y, function(x.contiguous(), 0.5, True))


@BOTH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes(function, dtype):
    y = function(torch.full((2000,), 3.0, dtype=dtype), 0.3, True)
    assert y.dtype == dtype
    expected = torch.tensor(3 / (1 - 0.3), dtype=torch.float64)
    torch.testing.assert_close(y.max().double(), expected, rtol=max(torch.finfo(dtype).eps, 2e-5), atol=0)


@BOTH
def test_vmap_decides_about_randomness(function):
    x = torch.ones(4, 200)

    def drop(row):
        return function(row, 0.5, True)

    same = vmap(drop, randomness="same")(x)
    assert (same == same[0]).all()
    different = vmap(drop, randomness="different")(x)
    assert 0.3 < (different[0] == different[1]).double().mean() < 0.7
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(drop)(x)
    gradients = vmap(grad(lambda row: drop(row).sum()), randomness="different")(x)
    assert set(gradients.unique().tolist()) == {0.0, 2.0}


@BOTH
def test_forward_mode(function):
    x, tangent = torch.randn(20), torch.randn(20)

    def seeded(x):
        torch.manual_seed(1)
        return function(x, 0.5, True)

    value, change = torch.func.jvp(seeded, (x,), (tangent,))
    _, backward = torch.func.vjp(seeded, x)
    torch.testing.assert_close(value, seeded(x))
    torch.testing.assert_close(change, tangent * backward(torch.ones(20))[0])


@BOTH
def test_tensors_without_numbers_are_left_to_torch(function):
    with FakeTensorMode():
        assert function(torch.randn(4, 5), 0.5, True).shape == (4, 5)


def test_small_tensors_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(module, "_LEAST", 101)
    x = torch.rand(100)
    torch.manual_seed(0)
    expected = torch.nn.functional.dropout(x, 0.5)
    torch.manual_seed(0)
    assert torch.equal(dropout(x, 0.5, True), expected)


def test_keeps_no_mask():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        y = dropout(torch.randn(1000, requires_grad=True), 0.5, True)
    assert sum(kept) == 1
    y.sum().backward()
