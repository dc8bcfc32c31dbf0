import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import temporal_invariance, total_variation
from tests.oracles import expect
from tests.oracles.distances import total_variation_terms
from tests.oracles.draws import masked_sequences, normal, seeds, sequences

orders = st.integers(1, 3)


# ---- closed form


def test_a_ramp_and_a_jump_cost_the_same():
    ramp = torch.tensor([[[0.0], [1.0], [2.0], [3.0]]])
    jump = torch.tensor([[[0.0], [0.0], [3.0], [3.0]]])
    assert total_variation(ramp) == total_variation(jump) == 1
    assert total_variation(ramp, order=2) == 0
    assert total_variation(jump, order=2) == 3


def test_features_are_averaged():
    x = torch.tensor([[[0.0, 0.0], [1.0, -3.0]]])
    assert total_variation(x) == 2


def test_holes():
    x = torch.tensor([[[5.0], [0.0], [9.0], [1.0], [2.0]]])
    mask = torch.tensor([[False, True, False, True, True]])
    assert total_variation(x, mask, reduction="none").tolist() == [[0, 0, 0, 1]]
    assert total_variation(x, mask) == 1


def test_it_is_not_the_divergence_of_that_name():
    """Drift that all features share changes no softmax."""
    x = torch.arange(4.0).view(1, 4, 1).repeat(1, 1, 3)
    assert temporal_invariance(x, divergence="total_variation") < 1e-6
    assert total_variation(x) == 1


# ---- oracles


@given(masked_sequences(), orders)
def test_loops(problem, order):
    x, mask = problem
    rows = total_variation_terms(x.numpy(), mask.numpy(), order)
    terms = total_variation(x, mask, order=order, reduction="none")
    assert terms.shape == (x.shape[0], max(x.shape[1] - order, 0))
    flat = [term for row in rows for term in row]
    assert terms.flatten().tolist() == pytest.approx([0.0 if term is None else term for term in flat])
    valid = [term for term in flat if term is not None]
    assert total_variation(x, mask, order=order, reduction="sum").item() == pytest.approx(sum(valid))
    expected = sum(valid) / max(len(valid), 1)
    assert total_variation(x, mask, order=order).item() == pytest.approx(expected)


# ---- laws


@given(sequences(least_frames=1, least_batch=1), orders)
def test_shift_scale_and_time_reversal(x, order):
    loss = total_variation(x, order=order)
    for other in (-2 * x + 7, 2 * x.flip(1)):
        torch.testing.assert_close(total_variation(other, order=order), 2 * loss, rtol=1e-9, atol=1e-12)


@given(seeds)
def test_not_below_the_way_from_end_to_end(seed):
    x = normal(seed, 2, 6, 3)
    way = total_variation(x, reduction="none").sum(1)
    assert (way >= (x[:, -1] - x[:, 0]).abs().mean(-1) - 1e-12).all()


@given(masked_sequences(), st.integers(0, 3), st.integers(0, 3), orders)
def test_padding_is_invisible(problem, left, right, order):
    x, mask = problem
    padded = torch.nn.functional.pad(torch.where(mask.unsqueeze(-1), x, float("nan")), (0, 0, left, right), value=9.0)
    padded_mask = torch.nn.functional.pad(mask, (left, right))
    torch.testing.assert_close(total_variation(padded, padded_mask, order=order), total_variation(x, mask, order=order))


# ---- gradients


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("masked", [False, True])
def test_derivatives(order, masked):
    x = normal(0, 2, 5, 3).requires_grad_()
    mask = torch.tensor([[True, True, True, True, False], [False, True, True, True, True]]) if masked else None
    torch.autograd.gradcheck(lambda x: total_variation(x, mask, order=order), (x,))


def test_equal_neighbours_have_the_gradient_zero():
    x = torch.ones(2, 4, 3, requires_grad=True)
    total_variation(x).backward()
    assert (x.grad == 0).all()


# ---- edges


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3), (2, 1, 3), (2, 2, 3), (2, 4, 0)])
@pytest.mark.parametrize("masked", [False, True])
def test_nothing_to_compare(shape, masked):
    x = torch.randn(shape, requires_grad=True)
    mask = torch.ones(shape[:2], dtype=torch.bool) if masked else None
    loss = total_variation(x, mask, order=2)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype):
    x = normal(0, 2, 6, 3).to(dtype)
    assert total_variation(x).dtype == torch.float32
    torch.testing.assert_close(total_variation(x), total_variation(x.float()))


# ---- bad input

X = torch.rand(2, 4, 3)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("x must be", "int64"), (X.long(),), {}),
        (ShapeError, ("x must have shape", "[B, T, D]"), (X[0],), {}),
        (ShapeError, ("mask", "[2, 4]", "[4, 2]"), (X, torch.ones(4, 2).bool()), {}),
        (SettingError, ("order", "at least 1", "0"), (X,), {"order": 0}),
        (SettingError, ("reduction", "'avg'"), (X,), {"reduction": "avg"}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, *words):
        total_variation(*arguments, **settings)
