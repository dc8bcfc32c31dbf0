import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import similarity_preserving
from tests.oracles import expect
from tests.oracles.agreement import similarity_preserving as slow
from tests.oracles.draws import coin, normal, paired_sets, seeds


def test_all_alike_against_all_different():
    """Rows of ones over sqrt(n) against rows of the identity: 2 - 2 / sqrt(n)."""
    x, y = torch.eye(4, dtype=torch.float64), torch.ones(4, 2, dtype=torch.float64)
    assert similarity_preserving(x, y).item() == pytest.approx(2 - 2 / math.sqrt(4))
    assert similarity_preserving(x, y, published=True).item() == pytest.approx((2 - 2 / math.sqrt(4)) / 4)


@given(paired_sets())
def test_gram_matrices(problem):
    x, y = problem
    expected = slow(x.numpy(), y.numpy())
    assert similarity_preserving(x, y).item() == pytest.approx(expected / len(x), rel=1e-7, abs=1e-12)
    assert similarity_preserving(x, y, published=True).item() == pytest.approx(
        expected / len(x) ** 2, rel=1e-7, abs=1e-12
    )


@given(paired_sets(), st.sampled_from([1e-9, 1e-3, 1e9]), seeds)
def test_scales_and_turns_change_nothing(problem, scale, seed):
    x, y = problem
    turn = torch.linalg.qr(normal(seed, x.shape[1], x.shape[1])).Q
    expected = similarity_preserving(x, y)
    torch.testing.assert_close(similarity_preserving(scale * x @ turn, y), expected)
    torch.testing.assert_close(similarity_preserving(y, x), expected)
    torch.testing.assert_close(similarity_preserving(scale * x, x), torch.zeros_like(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_scales_in_float32(scale):
    x, y = normal(0, 8, 3).float(), normal(1, 8, 4).float()
    x = (scale * x).requires_grad_()
    loss = similarity_preserving(x, y)
    loss.backward()
    torch.testing.assert_close(loss.detach(), similarity_preserving(x.detach() / scale, y))
    assert x.grad.isfinite().all()


@given(paired_sets(), seeds)
def test_a_mask_picks_samples(problem, seed):
    x, y = problem
    mask = coin(seed, len(x))
    dirty = [torch.where(mask.unsqueeze(1), codes, float("nan")) for codes in (x, y)]
    for published in (False, True):
        found = similarity_preserving(*dirty, mask=mask, published=published)
        torch.testing.assert_close(found, similarity_preserving(x[mask], y[mask], published=published))


def test_the_value_does_not_depend_on_the_batch_size():
    """Independent codes: every row of one has the same angle with that of the other, whatever n."""
    small, large = (similarity_preserving(normal(0, n, 4), normal(1, n, 4)).item() for n in (500, 8_000))
    assert small == pytest.approx(large, rel=0.05)
    published = [similarity_preserving(normal(0, n, 4), normal(1, n, 4), published=True).item() for n in (500, 8_000)]
    assert published[0] > 10 * published[1]


def test_no_gram_matrix():
    """A million samples: their Gram matrix would take 4 TB."""
    x = torch.randn(1_000_000, 2)
    torch.testing.assert_close(similarity_preserving(x, -x).item(), 0.0, rtol=0, atol=1e-5)


def test_derivatives():
    x, y = normal(0, 5, 3).requires_grad_(), normal(1, 5, 4).requires_grad_()
    for mask in (None, torch.tensor([True, False, True, True, True])):
        torch.autograd.gradcheck(lambda x, y, m=mask: similarity_preserving(x, y, mask=m), (x, y))


def test_zero_codes():
    """A row of zeros against a row of length one is 1 away."""
    x = torch.zeros(4, 3, requires_grad=True)
    loss = similarity_preserving(x, torch.randn(4, 3))
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert x.grad.isfinite().all()
    assert similarity_preserving(x, x) == 0


@pytest.mark.parametrize("samples", [0, 1])
def test_fewer_than_two_samples(samples):
    x = torch.randn(samples, 3, requires_grad=True)
    loss = similarity_preserving(x, torch.randn(samples, 2))
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


X = torch.rand(4, 3)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("x must be", "floating", "int64"), (X.long(), X), {}),
        (ShapeError, ("number of samples", "4 and 2"), (X, X[:2]), {}),
        (SettingError, ("published", "True or False", "'yes'"), (X, X), {"published": "yes"}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "similarity_preserving: ", *words):
        similarity_preserving(*arguments, **settings)
