import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import temporal_graph_attention
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds, uniform
from tests.oracles.graphs import slope, temporal_attention, temporal_neighbours


def problem(seed, batch=2, heads=2, nodes=9, features=3):
    """q, k, v, and times in ascending order."""
    codes = [normal(seed + i, batch, heads, nodes, features) for i in range(3)]
    return codes, (nodes * uniform(seed + 3, batch, nodes)).sort(1).values


def drawn_groups(seed, batch, nodes, count=3):
    return (count * uniform(seed + 4, batch, nodes)).long()


def slow(codes, times, groups, mask, edges):
    q, k, v = codes
    neighbours = [temporal_neighbours(times[b], groups[b], mask[b], **edges) for b in range(len(times))]
    return np.stack([temporal_attention(q[b], k[b], v[b], neighbours[b]) for b in range(len(times))])


# ---- closed form


def test_equal_keys_average_the_neighbours():
    one = torch.ones(1, 1, 5, 1)
    values = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]).reshape(1, 1, 5, 1)
    times = torch.tensor([[0.0, 1.0, 2.0, 3.0, 10.0]])

    def attended(**settings):
        return temporal_graph_attention(one, one, values, times, **settings).flatten().tolist()

    assert attended(window=1.0, max_neighbours=4) == [2.0, 2.5, 5.0, 4.0, 16.0]
    assert attended(window=1.0, max_neighbours=4, self_loops=True) == [
        1.5,
        pytest.approx(7 / 3),
        pytest.approx(14 / 3),
        6.0,
        16.0,
    ]
    assert attended(window=2.0, max_neighbours=1) == [2.0, 2.5, 5.0, 4.0, 16.0]
    assert attended(window=0.0, max_neighbours=4) == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_windows_inside_and_between_groups():
    one = torch.ones(1, 1, 4, 1)
    values = torch.tensor([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, 4, 1)
    times, groups = torch.tensor([[0.0, 1.0, 2.0, 3.0]]), torch.tensor([[0, 0, 7, 7]])
    settings = {"window": 1.0, "max_neighbours": 3}
    apart = temporal_graph_attention(one, one, values, times, groups, cross_window=0.5, **settings)
    assert apart.flatten().tolist() == [2.0, 1.0, 8.0, 4.0]
    wide = temporal_graph_attention(one, one, values, times, groups, cross_window=2.0, **settings)
    assert wide.flatten().tolist() == [3.0, pytest.approx(13 / 3), pytest.approx(11 / 3), 3.0]


# ---- oracle


@given(
    seeds,
    st.integers(0, 2),
    st.integers(1, 2),
    st.integers(0, 12),
    st.sampled_from([0.0, 0.7, 2.0, 100.0]),
    st.sampled_from([None, 0.3, 3.0]),
    st.integers(1, 14),
    st.booleans(),
    st.sampled_from([0.0, 0.6, 1.0]),
)
def test_loops(seed, batch, heads, nodes, window, cross_window, max_neighbours, self_loops, share):
    codes, times = problem(seed, batch, heads, nodes)
    groups, mask = drawn_groups(seed, batch, nodes), coin(seed, batch, nodes, heads=share)
    settings = {"window": window, "max_neighbours": max_neighbours, "self_loops": self_loops}
    edges = {**settings, "cross_window": window if cross_window is None else cross_window}
    settings["cross_window"] = cross_window
    dirty = [torch.where(mask[:, None, :, None], x, math.nan) for x in codes]
    dirty_times = torch.where(mask, times, math.nan)
    for tensors, clock, given_mask in ((dirty, dirty_times, mask), (codes, times, None)):
        real = torch.ones_like(mask) if given_mask is None else mask
        arrays = [x.numpy() for x in (times, groups, real)]
        expected = slow([x.numpy() for x in codes], *arrays, edges) if batch else np.zeros((0, heads, nodes, 3))
        result = temporal_graph_attention(*tensors, clock, groups, mask=given_mask, **settings)
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("nodes", [31, 32, 33, 64, 100])
@pytest.mark.parametrize("max_neighbours", [3, 32, 40])
def test_several_blocks(nodes, max_neighbours):
    """Lengths around the size of a block, neighbours across its ends."""
    codes, times = problem(nodes, batch=1, heads=1, nodes=nodes, features=2)
    groups, mask = drawn_groups(0, 1, nodes), torch.ones(1, nodes, dtype=torch.bool)
    edges = {"window": 4.0, "cross_window": 2.0, "max_neighbours": max_neighbours, "self_loops": False}
    arrays = [x.numpy() for x in (times, groups, mask)]
    expected = slow([x.numpy() for x in codes], *arrays, edges)
    result = temporal_graph_attention(*codes, times, groups, **edges)
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-10)


@given(seeds, st.booleans(), st.booleans())
def test_slopes_of_the_loops(seed, self_loops, masked):
    codes, times = problem(seed, nodes=7)
    groups = drawn_groups(seed, 2, 7)
    mask = coin(seed, 2, 7) if masked else torch.ones(2, 7, dtype=torch.bool)
    edges = {"window": 2.0, "cross_window": 1.0, "max_neighbours": 3, "self_loops": self_loops}
    cotangent = normal(seed + 9, *codes[0].shape)
    directions = [normal(seed + 20 + i, *x.shape) for i, x in enumerate(codes)]
    arrays = [x.numpy() for x in (times, groups, mask)]
    expected = slope(
        lambda *x: (slow(x, *arrays, edges) * cotangent.numpy()).sum(),
        [x.numpy() for x in codes],
        [x.numpy() for x in directions],
    )
    leaves = [torch.where(mask[:, None, :, None], x, math.nan).requires_grad_() for x in codes]
    result = temporal_graph_attention(*leaves, times, groups, mask=mask if masked else None, **edges)
    gradients = torch.autograd.grad((result * cotangent).sum(), leaves)
    found = sum((gradient * direction).sum() for gradient, direction in zip(gradients, directions, strict=True))
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-8)


# ---- laws


@given(seeds, st.integers(1, 40), st.booleans())
def test_a_window_that_holds_all_is_plain_attention(seed, nodes, masked):
    codes, times = problem(seed, nodes=nodes)
    mask = torch.arange(nodes) < torch.tensor([[nodes], [(nodes + 1) // 2]])
    result = temporal_graph_attention(
        *codes, times, window=1e9, max_neighbours=nodes, self_loops=True, mask=mask if masked else None
    )
    if masked:
        plain = scaled_dot_product_attention(*codes, attn_mask=mask[:, None, None, :]) * mask[:, None, :, None]
    else:
        plain = scaled_dot_product_attention(*codes)
    torch.testing.assert_close(result, plain)


@given(seeds, st.floats(-50, 50), st.sampled_from([0.5, 2.0]))
def test_the_clock_may_start_anywhere_and_run_in_any_unit(seed, start, unit):
    codes, times = problem(seed)
    groups = drawn_groups(seed, 2, 9)
    # Halves and powers of two are exact: no pair falls out of the window by rounding.
    times, start = (2 * times).round() / 2, round(start)
    expected = temporal_graph_attention(*codes, times, groups, window=1.5, cross_window=0.5, max_neighbours=8)
    result = temporal_graph_attention(
        *codes, unit * times + start, groups, window=1.5 * unit, cross_window=0.5 * unit, max_neighbours=8
    )
    torch.testing.assert_close(result, expected)


@given(seeds, st.booleans())
def test_backwards_in_time(seed, self_loops):
    codes, times = problem(seed, nodes=40)
    settings = {"window": 2.0, "max_neighbours": 5, "self_loops": self_loops}
    expected = temporal_graph_attention(*codes, times, **settings)
    result = temporal_graph_attention(*[x.flip(2) for x in codes], -times.flip(1), **settings)
    torch.testing.assert_close(result.flip(2), expected)


@given(seeds, st.integers(0, 40), st.sampled_from([math.nan, math.inf, 1e30]))
def test_padding_is_invisible_on_both_sides(seed, extra, fill):
    codes, times = problem(seed)
    settings = {"window": 2.0, "max_neighbours": 3}
    expected = temporal_graph_attention(*codes, times, **settings)
    for before, after in ((extra, 0), (0, extra)):
        padded = [torch.nn.functional.pad(x, (0, 0, before, after), value=fill).requires_grad_() for x in codes]
        clock = torch.nn.functional.pad(times, (before, after), value=fill)
        mask = torch.zeros(2, before + 9 + after, dtype=torch.bool)
        mask[:, before : before + 9] = True
        result = temporal_graph_attention(*padded, clock, mask=mask, **settings)
        torch.testing.assert_close(result[:, :, before : before + 9], expected)
        assert (result[:, :, ~mask[0]] == 0).all()
        for gradient in torch.autograd.grad(result.sum(), padded):
            assert (gradient[:, :, ~mask[0]] == 0).all()
            assert torch.isfinite(gradient).all()


# ---- gradients


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("mask", [None, [[True] * 4 + [False], [False] * 5]])
def test_derivatives(self_loops, mask):
    codes, times = problem(0, nodes=5, features=2)
    mask = None if mask is None else torch.tensor(mask)

    def attend(*codes):
        return temporal_graph_attention(*codes, times, window=1.5, max_neighbours=2, self_loops=self_loops, mask=mask)

    torch.autograd.gradcheck(attend, [x.requires_grad_() for x in codes])


# ---- edges


def test_memory_grows_with_the_length_and_not_with_its_square():
    """A dense map of this length would take 40 GB."""
    codes = [torch.randn(1, 1, 100_000, 2) for _ in range(3)]
    times = torch.arange(100_000.0).unsqueeze(0)
    result = temporal_graph_attention(*codes, times, window=2.0, max_neighbours=2)
    some = temporal_graph_attention(
        *[x[:, :, 50_000:50_100] for x in codes], times[:, :100], window=2.0, max_neighbours=2
    )
    torch.testing.assert_close(result[:, :, 50_010:50_090], some[:, :, 10:90])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    codes, times = problem(0)
    codes = [x.to(dtype) for x in codes]
    result = temporal_graph_attention(*codes, times, window=2.0, max_neighbours=4)
    assert result.dtype == dtype
    expected = temporal_graph_attention(*[x.double() for x in codes], times, window=2.0, max_neighbours=4)
    torch.testing.assert_close(result.double(), expected, rtol=2e-2, atol=2e-2)


# ---- bad input

Q, TIMES = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4)


@pytest.mark.parametrize(
    ("exception", "words", "changes"),
    [
        (DtypeError, ("q must be", "list"), {"q": [1.0]}),
        (ShapeError, ("k and q", "[2, 3, 2, 5]"), {"k": Q[:, :, :2]}),
        (ShapeError, ("v must have shape", "[2, 3, 4]"), {"v": Q[..., 0]}),
        (DtypeError, ("times must be", "int64"), {"times": TIMES.long()}),
        (ShapeError, ("times must have shape [2, 4]", "[2, 3]"), {"times": TIMES[:, :3]}),
        (DtypeError, ("groups must be an integer", "float32"), {"groups": TIMES}),
        (DtypeError, ("groups must be an integer", "bool"), {"groups": TIMES.bool()}),
        (DtypeError, ("groups must be", "list"), {"groups": [0]}),
        (ShapeError, ("groups must have shape [2, 4]", "[4]"), {"groups": TIMES[0].long()}),
        (SettingError, ("window", "-1"), {"window": -1.0}),
        (SettingError, ("window", "inf"), {"window": math.inf}),
        (SettingError, ("cross_window", "-1"), {"cross_window": -1.0}),
        (SettingError, ("max_neighbours", "at least 1", "0"), {"max_neighbours": 0}),
        (SettingError, ("self_loops", "1"), {"self_loops": 1}),
        (DtypeError, ("mask must be a boolean", "float32"), {"mask": TIMES}),
        (ShapeError, ("mask must have shape [2, 4]", "[2, 3]"), {"mask": TIMES[:, :3].bool()}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, changes):
    arguments = {"q": Q, "k": Q, "v": Q, "times": TIMES, "window": 1.0, "max_neighbours": 2}
    with expect.error(exception, "temporal_graph_attention: ", *words):
        temporal_graph_attention(**{**arguments, **changes})
