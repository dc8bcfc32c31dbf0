import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ShapeError
from mmdisentangle.functional import lengths_to_mask, masked_max, masked_mean, masked_mean_square
from tests.oracles import expect
from tests.oracles.draws import coin, masked_sequences, normal, right_padded, seeds, sequences

# ---- closed form


def test_mean_of_three():
    x = torch.tensor([[[1.0], [3.0], [float("nan")]]])
    assert masked_mean(x, torch.tensor([[True, True, False]])).tolist() == [[2.0]]


def test_mean_square_of_rows():
    x = torch.tensor([[1.0, 3.0], [float("nan"), 9.0]])
    assert masked_mean_square(x, torch.tensor([True, False])) == 5
    assert masked_mean_square(x[:1]) == 5


def test_largest_of_three():
    x = torch.tensor([[[1.0], [-3.0], [float("nan")]], [[9.0], [9.0], [9.0]]])
    mask = torch.tensor([[True, True, False], [False] * 3])
    assert masked_max(x, mask).tolist() == [[1.0], [0.0]]
    assert masked_max(x[:, :2], None).tolist() == [[1.0], [9.0]]
    assert masked_max(x[:, :0], None).tolist() == [[0.0], [0.0]]
    assert masked_max(-x[:1, :2], mask[:1, :2]).tolist() == [[3.0]]


# ---- oracle


@given(masked_sequences())
def test_largest_as_loops(problem):
    x, mask = problem
    expected = torch.zeros(x.shape[0], x.shape[2], dtype=x.dtype)
    for b in range(x.shape[0]):
        real = [x[b, t] for t in range(x.shape[1]) if mask[b, t]]
        for d in range(x.shape[2] if real else 0):
            expected[b, d] = max(frame[d].item() for frame in real)
    dirty = torch.where(mask.unsqueeze(-1), x, float("nan"))
    torch.testing.assert_close(masked_max(dirty, mask), expected)


@given(masked_sequences())
def test_loops(problem):
    x, mask = problem
    expected = np.zeros((x.shape[0], x.shape[2]))
    squares = []
    for b in range(x.shape[0]):
        real = [t for t in range(x.shape[1]) if mask[b, t]]
        for d in range(x.shape[2]):
            expected[b, d] = sum(x[b, t, d].item() for t in real) / max(len(real), 1)
            squares += [x[b, t, d].item() ** 2 for t in real]
    dirty = torch.where(mask.unsqueeze(-1), x, float("nan"))
    torch.testing.assert_close(masked_mean(dirty, mask, 1), torch.from_numpy(expected))
    mean_square = sum(squares) / max(len(squares), 1)
    assert masked_mean_square(dirty, mask).item() == pytest.approx(mean_square, rel=1e-9)


@given(sequences(least_batch=1, least_frames=1))
def test_without_a_mask_it_is_the_mean(x):
    for dim in (0, 1, 2, -1, -2):
        torch.testing.assert_close(masked_mean(x, None, dim), x.mean(dim))
    torch.testing.assert_close(masked_mean_square(x), x.square().mean())


# ---- laws


@given(seeds, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_every_axis(seed, a, b, c):
    x, mask = normal(seed, a, b, c), coin(seed, a, b, c)
    for dim in (0, 1, 2, -1):
        expected = (x * mask).sum(dim) / mask.sum(dim).clamp(min=1)
        torch.testing.assert_close(masked_mean(x, mask, dim), expected)
    torch.testing.assert_close(masked_mean(x, mask[:, :, 0], 0), masked_mean(x, mask[:, :, :1].expand_as(x), 0))
    torch.testing.assert_close(masked_mean(x, mask[:, 0, 0], 0), masked_mean(x, mask[:, :1, :1].expand_as(x), 0))


@given(right_padded(least_frames=1))
def test_a_mask_cuts_the_sequence(problem):
    x, lengths = problem
    mask = lengths_to_mask(torch.tensor(lengths, dtype=torch.int64), x.shape[1])
    pooled = masked_mean(x, mask)
    for b, length in enumerate(lengths):
        torch.testing.assert_close(pooled[b], x[b, :length].mean(0) if length else torch.zeros_like(pooled[b]))


# ---- gradients


def test_first_and_second_derivatives():
    x, mask = normal(0, 2, 3, 2).requires_grad_(), torch.tensor([[True, False, True], [False] * 3])
    for m in (mask, None):
        torch.autograd.gradcheck(lambda y, m=m: masked_mean(y, m), x)
        torch.autograd.gradcheck(lambda y, m=m: masked_mean_square(y, m), x)
        torch.autograd.gradgradcheck(lambda y, m=m: masked_mean_square(y, m), x)


def test_function_transforms():
    x, mask = normal(0, 4, 2, 3, 2), coin(0, 4, 2, 3)
    gradients = torch.func.vmap(torch.func.grad(masked_mean_square))(x, mask)
    for k in range(4):
        torch.testing.assert_close(gradients[k], torch.func.grad(masked_mean_square)(x[k], mask[k]))


# ---- edges


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2), (2, 3, 0)])
@pytest.mark.parametrize("masked", [False, True])
def test_nothing_to_average(shape, masked):
    x = torch.randn(shape, requires_grad=True)
    mask = torch.ones(shape[:2], dtype=torch.bool) if masked else None
    pooled, square = masked_mean(x, mask), masked_mean_square(x, mask)
    assert pooled.shape == (shape[0], shape[2])
    assert (pooled == 0).all()
    assert square == 0
    (pooled.sum() + square).backward()
    assert x.grad.shape == shape


def test_padding_gets_no_gradient():
    x = torch.full((1, 2, 2), float("inf"), requires_grad=True)
    mask = torch.zeros(1, 2, dtype=torch.bool)
    (masked_mean(x, mask).sum() + masked_mean_square(x, mask)).backward()
    assert (x.grad == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
def test_half_precision_sums_in_float32(dtype, masked):
    x = torch.full((1, 5000, 1), 20.0, dtype=dtype)
    mask = torch.ones(1, 5000, dtype=torch.bool) if masked else None
    pooled = masked_mean(x, mask)
    assert pooled.dtype == dtype
    assert pooled == 20
    assert masked_mean_square(x, mask).dtype == torch.float32
    assert masked_mean_square(x, mask) == 400


# ---- bad input

X = torch.randn(2, 3, 4)


@pytest.mark.parametrize(
    ("exception", "words", "arguments"),
    [
        (DtypeError, ("x must be", "list"), ([1.0], None, 0)),
        (DtypeError, ("x must be", "floating", "int64"), (X.long(), None)),
        (ShapeError, ("dim", "[2, 3, 4]", "got 3"), (X, None, 3)),
        (ShapeError, ("dim", "[2, 3, 4]", "got -4"), (X, None, -4)),
        (DtypeError, ("mask must be", "list"), (X, [True])),
        (DtypeError, ("mask must be", "boolean", "float32"), (X, torch.ones(2, 3))),
        (ShapeError, ("mask", "[2, 3]", "[2, 4]"), (X, torch.ones(2, 4).bool())),
        (ShapeError, ("mask", "dim=1", "[2]"), (X, torch.ones(2).bool())),
        (ShapeError, ("mask", "[2, 3, 4, 1]"), (X, torch.ones(2, 3, 4, 1).bool())),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments):
    with expect.error(exception, "masked_mean: ", *words):
        masked_mean(*arguments)


@pytest.mark.bad_input
def test_bad_squares():
    with expect.error(DtypeError, "masked_mean_square: x", "int64"):
        masked_mean_square(X.long())
    with expect.error(DtypeError, "masked_mean_square: x", "list"):
        masked_mean_square([1.0])
    with expect.error(ShapeError, "masked_mean_square: mask", "[2, 3]", "[2]"):
        masked_mean_square(X, torch.ones(2).bool())
