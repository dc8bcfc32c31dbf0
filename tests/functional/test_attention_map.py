"""Predictive attention within a window: maps in the form of a band."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import conv2d, pad

from mmdisentangle.errors import SettingError, ShapeError
from mmdisentangle.functional import predictive_attention
from mmdisentangle.functional._attention_map import columns, kernel, open_keys, products, real_pairs, sums
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.mea import predictive_attention as oracle

MODES = ("paper", "convex", "logit")
MASKS = {
    "none": None,
    "left": [[False, False, True, True, True, True], [True] * 6],
    "right": [[True, True, True, False, False, False], [True] * 5 + [False]],
    "holes": [[True, False, True, True, False, True], [False] * 6],
}


def problem(seed, batch=2, heads=2, frames=6, features=3):
    """q, k, v, a whole map, conv_weight, conv_bias."""
    codes = [normal(seed + i, batch, heads, frames, features) for i in range(3)]
    maps = normal(seed + 3, batch, heads, frames, frames)
    return [*codes, maps, normal(seed + 4, heads, heads, 3, 3), normal(seed + 5, heads)]


def band(full, window, fill=0.0):
    """Entries of a whole map ``[..., T, T]`` where a band has them, ``fill`` where the band leaves the sequence."""
    frames = full.shape[-1]
    place = torch.arange(frames)[:, None] + torch.arange(2 * window + 1) - window
    inside = (place >= 0) & (place < frames)
    found = full.gather(-1, place.clamp(0, max(frames - 1, 0)).expand(*full.shape[:-1], -1)) if frames else full
    return torch.where(inside, found, fill) if frames else full.new_zeros(*full.shape[:-1], 2 * window + 1)


# ---- closed form


def test_layout():
    codes = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    ones = torch.ones_like(codes)
    expected = torch.tensor([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 0.0]])
    torch.testing.assert_close(predictive_attention(ones, codes, ones, window=1).logits[0, 0], expected)


def test_equal_keys_give_the_mean_over_the_window():
    values = torch.tensor([1.0, 2.0, 6.0, 10.0]).reshape(1, 1, 4, 1)
    output = predictive_attention(torch.zeros_like(values), values, values, window=1).output.flatten()
    torch.testing.assert_close(output, torch.tensor([1.5, 3.0, 6.0, 8.0]))


def test_no_window_at_all():
    q, k, v, *_ = problem(0)
    torch.testing.assert_close(predictive_attention(q, k, v, window=0).output, v)


@pytest.mark.parametrize(("row", "column"), [(-1, -1), (-1, 1), (0, 1), (1, -1), (1, 0), (1, 1)])
def test_every_tap_of_the_convolution(row, column):
    weight = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    weight[0, 0, 1 + row, 1 + column] = 1.0
    frames, window = 7, 3
    full = normal(0, 1, 1, frames, frames)
    full = torch.where((torch.arange(frames)[:, None] - torch.arange(frames)).abs() <= window, full, 0.0)
    moved = conv2d(band(full, window), kernel(weight, window), padding=(1, 2))
    inside = band(torch.ones(frames, frames), window) == 1
    torch.testing.assert_close(moved * inside, band(conv2d(full, weight, padding=1), window))


# ---- oracle


@given(
    seeds,
    st.integers(0, 2),
    st.integers(1, 3),
    st.integers(0, 6),
    st.integers(0, 7),
    st.sampled_from(MODES),
    st.sampled_from([0.0, 0.25, 1.0]),
    st.booleans(),
    st.sampled_from([0.0, 0.6, 1.0]),
)
def test_loops(seed, batch, heads, frames, window, mode, mu, first, share):
    tensors, mask = problem(seed, batch, heads, frames), coin(seed, batch, frames, heads=share)
    pairs = mask[:, None, :, None] & mask[:, None, None, :]
    for given_mask in (mask, None):
        real = torch.ones_like(mask) if given_mask is None else mask
        q, k, v, maps, *convolution = tensors
        if given_mask is not None:
            q, k, v = (torch.where(mask[:, None, :, None], x, math.nan) for x in (q, k, v))
            maps = torch.where(pairs, maps, math.nan)
        # What stands outside the sequence is seen as little as what stands at padding.
        previous = [] if first else [band(maps, window, math.nan), *convolution]
        whole = [x.numpy() for x in tensors]
        whole = [*whole[:3], None, None, None] if first else whole
        output, logits = oracle(*whole, mu, mode, real.numpy(), window=window)
        result = predictive_attention(q, k, v, *previous, mu=mu, mode=mode, window=window, mask=given_mask)
        np.testing.assert_allclose(result.output.numpy(), output, atol=1e-10)
        np.testing.assert_allclose(result.logits.numpy(), band(torch.from_numpy(logits), window).numpy(), atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("frames", "window"), [(31, 2), (32, 2), (33, 2), (70, 5), (64, 32), (75, 33), (100, 40)])
def test_several_blocks(mode, frames, window):
    """Against the whole map with all that is outside the band closed by hand."""
    q, k, v, maps, weight, bias = problem(0, 1, 2, frames)
    seen = (torch.arange(frames)[:, None] - torch.arange(frames)).abs() <= window
    maps = torch.where(seen, maps, 0.0)
    logits = torch.where(seen, q @ k.mT / math.sqrt(3), 0.0)
    predicted = torch.nn.functional.gelu(conv2d(maps, weight, bias, padding=1))

    def softmax(x):
        return x.masked_fill(~seen, -math.inf).softmax(-1)

    expected = {
        "paper": lambda: softmax(0.25 * predicted + 0.75 * softmax(logits)),
        "convex": lambda: 0.25 * softmax(predicted) + 0.75 * softmax(logits),
        "logit": lambda: softmax(0.25 * predicted + 0.75 * logits),
    }[mode]()
    result = predictive_attention(q, k, v, band(maps, window), weight, bias, mode=mode, window=window)
    torch.testing.assert_close(result.output, expected @ v)
    torch.testing.assert_close(result.logits, band(logits, window))


# ---- laws


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("window", [5, 6, 40])
@pytest.mark.parametrize("mu", [0.25, 1.0])
def test_a_window_over_everything_is_the_whole_map(mode, masked, window, mu):
    mask = None if MASKS[masked] is None else torch.tensor(MASKS[masked])
    leaves = [x.requires_grad_() for x in problem(0)]
    weights = normal(9, 2, 2, 6, 3), normal(10, 2, 2, 6, 6)

    def run(whole):
        q, k, v, maps, *convolution = leaves
        options = {"mode": mode, "mu": mu, "mask": mask, "window": None if whole else window}
        result = predictive_attention(q, k, v, maps if whole else band(maps, window), *convolution, **options)
        logits = weights[1] if whole else band(weights[1], window)
        value = (result.output * weights[0]).sum() + (result.logits * logits).sum()
        return result, torch.autograd.grad(value, leaves)

    (full, gradients), (ours, found) = run(True), run(False)
    torch.testing.assert_close(ours.output, full.output)
    torch.testing.assert_close(ours.logits, band(full.logits, window))
    for own, other in zip(found, gradients, strict=True):
        torch.testing.assert_close(own, other)


@given(seeds, st.sampled_from(MODES), st.integers(0, 40), st.integers(0, 4), st.sampled_from([math.nan, math.inf, 1e3]))
def test_padding_is_invisible_on_both_sides(seed, mode, extra, window, fill):
    q, k, v, maps, *convolution = problem(seed)
    expected = predictive_attention(q, k, v, band(maps, window), *convolution, mode=mode, window=window)
    for before, after in ((extra, 0), (0, extra), (extra, 2)):
        ends = (0, 0, before, after)
        padded = [pad(x, ends, value=fill).requires_grad_() for x in (q, k, v, band(maps, window, fill))]
        mask = pad(torch.ones(2, 6), ends[2:]).bool()
        result = predictive_attention(*padded, *convolution, mode=mode, window=window, mask=mask)
        torch.testing.assert_close(result.output[:, :, mask[0]], expected.output)
        torch.testing.assert_close(result.logits[:, :, mask[0]], expected.logits)
        assert (result.output[:, :, ~mask[0]] == 0).all()
        assert (result.logits[:, :, ~mask[0]] == 0).all()
        for gradient in torch.autograd.grad(result.output.sum() + result.logits.sum(), padded):
            assert torch.isfinite(gradient).all()
            assert (gradient[:, :, ~mask[0]] == 0).all()


@given(seeds, st.integers(0, 70), st.integers(0, 40))
def test_sums_are_the_adjoint_of_products(seed, frames, window):
    q, k, maps = (normal(seed + i, 1, 2, frames, n) for i, n in enumerate((3, 3, 2 * window + 1)))
    assert products(q, k, window).shape == maps.shape
    assert columns(frames, window) == maps.shape[-1]
    torch.testing.assert_close((products(q, k, window) * maps).sum(), (sums(maps, k, window) * q).sum())


def test_frames_far_apart_do_not_meet():
    q, k, v, *_ = (x.requires_grad_() for x in problem(0, 1, 1, 50))
    output = predictive_attention(q, k, v, window=3).output
    for gradient in torch.autograd.grad(output[0, 0, 20].sum(), (k, v)):
        assert (gradient[0, 0, 17:24] != 0).any(-1).all()
        assert (gradient[0, 0, :17] == 0).all()
        assert (gradient[0, 0, 24:] == 0).all()


# ---- gradients


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mask", [None, [[True, True, False, True], [False] * 4]])
def test_first_and_second_derivatives(mode, mask):
    q, k, v, maps, *convolution = problem(0, frames=4, features=2)
    tensors = [x.requires_grad_() for x in (q, k, v, band(maps, 1).detach(), *convolution)]
    mask = None if mask is None else torch.tensor(mask)

    def attend(*tensors):
        return predictive_attention(*tensors, mode=mode, window=1, mask=mask)

    torch.autograd.gradcheck(attend, tensors, fast_mode=True)
    torch.autograd.gradgradcheck(lambda *tensors: attend(*tensors).output, tensors, fast_mode=True)


# ---- edges


def test_which_entries_a_softmax_may_choose():
    mask = torch.tensor([[True, False, True], [False, False, False]])
    expected = torch.tensor([[[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[0, 1, 0]] * 3]).bool()
    assert torch.equal(open_keys(mask, 1)[:, 0], expected)
    expected = torch.tensor([[[0, 1, 0], [0, 0, 0], [0, 1, 0]], [[0, 0, 0]] * 3]).bool()
    assert torch.equal(real_pairs(mask, 1)[:, 0], expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("frames", [0, 1])
def test_one_frame_and_none(mode, frames):
    q, k, v, maps, *convolution = (x.requires_grad_() for x in problem(0, frames=frames))
    for mask in (None, torch.zeros(2, frames).bool()):
        result = predictive_attention(q, k, v, band(maps, 2), *convolution, mode=mode, window=2, mask=mask)
        assert result.logits.shape == (2, 2, frames, 5)
        torch.testing.assert_close(result.output, v if mask is None else torch.zeros_like(v))
        result.output.sum().backward()
    empty = predictive_attention(q[:0], k[:0], v[:0], band(maps[:0], 2), *convolution, mode=mode, window=2)
    assert empty.output.shape == (0, 2, frames, 3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(mode, dtype):
    q, k, v, maps, *convolution = (x.to(dtype) for x in problem(0))
    result = predictive_attention(q, k, v, band(maps, 2), *convolution, mode=mode, window=2)
    assert result.output.dtype == result.logits.dtype == dtype
    tensors = [x.double() for x in (q, k, v, band(maps, 2), *convolution)]
    expected = predictive_attention(*tensors, mode=mode, window=2)
    torch.testing.assert_close(result.output.double(), expected.output, rtol=3e-2, atol=3e-2)


# ---- bad input


@pytest.mark.bad_input
def test_bad_input():
    q, k, v, maps, *convolution = problem(0)
    for window in (-1, 1.5, True, "2"):
        with expect.error(SettingError, "predictive_attention: window", repr(window)):
            predictive_attention(q, k, v, window=window)
    with expect.error(ShapeError, "previous must have shape [2, 2, 6, 5]", "[2, 2, 6, 6]", "same window"):
        predictive_attention(q, k, v, maps, *convolution, window=2)
    with expect.error(ShapeError, "previous must have shape [2, 2, 6, 6]", "[2, 2, 6, 5]"):
        predictive_attention(q, k, v, band(maps, 2), *convolution)


def test_a_window_far_beyond_the_sequence_costs_no_more_than_its_map():
    q = normal(0, 1, 2, 5, 3)
    output = predictive_attention(q, q, q, window=100_000).output
    torch.testing.assert_close(output, predictive_attention(q, q, q).output)
