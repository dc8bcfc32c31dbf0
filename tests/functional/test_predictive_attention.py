import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import gelu, scaled_dot_product_attention

from benchmarks._measure import peak_bytes
from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import predictive_attention
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.mea import predictive_attention as oracle

MODES = ("paper", "convex", "logit")
MUS = (0.0, 0.25, 1.0)


def problem(seed, batch=2, heads=2, frames=4, features=3):
    """q, k, v, previous, conv_weight, conv_bias."""
    codes = [normal(seed + i, batch, heads, frames, features) for i in range(3)]
    maps = normal(seed + 3, batch, heads, frames, frames)
    return [*codes, maps, normal(seed + 4, heads, heads, 3, 3), normal(seed + 5, heads)]


def poisoned(tensors, mask, fill=math.nan):
    """The same problem with ``fill`` at padded frames, rows and columns."""
    frames = mask[:, None, :, None]
    *codes, maps, weight, bias = tensors
    codes = [torch.where(frames, x, fill) for x in codes]
    return [*codes, torch.where(frames & mask[:, None, None, :], maps, fill), weight, bias]


# ---- closed form


def peaked_row(mode, mu, frames=500):
    """Row 7 of the map where every query finds its own key alone, and the prediction is 0."""
    eye = torch.eye(frames, dtype=torch.float64)[None, None]
    zeros = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    return predictive_attention(1e3 * eye, 1e3 * eye, eye, eye, zeros, mu=mu, mode=mode).output[0, 0, 7]


def test_softmax_of_a_softmax_is_nearly_uniform_on_long_sequences():
    row = peaked_row("paper", 0.25)
    assert row[7].item() == pytest.approx(0.0042, abs=5e-5)
    assert row[6].item() == pytest.approx(0.0020, abs=5e-5)
    assert row[7].item() == pytest.approx(math.exp(0.75) / (math.exp(0.75) + 499), rel=1e-12)
    assert peaked_row("convex", 0.25)[7].item() == pytest.approx(0.75 + 0.25 / 500)
    assert peaked_row("logit", 0.25)[7].item() == pytest.approx(1.0)


def test_a_map_moved_along_its_rows():
    frames, kernel = 4, torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    # The tap left of the middle: whoever looked at frame j before looks at frame j + 1 now.
    kernel[0, 0, 1, 0] = 1.0
    eye = torch.eye(frames, dtype=torch.float64)[None, None]
    output = predictive_attention(eye, eye, eye, 1e3 * eye, kernel, mu=1.0).output[0, 0]
    expected = torch.zeros(frames, frames, dtype=torch.float64)
    expected[:3, 1:] = torch.eye(3)
    expected[3] = 0.25
    torch.testing.assert_close(output, expected)


# ---- oracle


@given(
    seeds,
    st.integers(0, 2),
    st.integers(1, 3),
    st.integers(0, 5),
    st.integers(1, 3),
    st.sampled_from(MODES),
    st.sampled_from(MUS),
    st.booleans(),
    st.sampled_from([0.0, 0.6, 1.0]),
)
def test_loops(seed, batch, heads, frames, features, mode, mu, bias, share):
    tensors, mask = problem(seed, batch, heads, frames, features), coin(seed, batch, frames, heads=share)
    tensors[-1] = tensors[-1] if bias else torch.zeros(heads, dtype=torch.float64)
    options = {"mu": mu, "mode": mode}
    for given_tensors, given_mask in ((poisoned(tensors, mask), mask), (tensors, None)):
        real = torch.ones_like(mask) if given_mask is None else mask
        expected = oracle(*[x.numpy() for x in tensors], mu, mode, real.numpy())
        arguments = given_tensors if bias else given_tensors[:-1]
        result = predictive_attention(*arguments, **options, mask=given_mask)
        np.testing.assert_allclose(result.output.numpy(), expected[0], atol=1e-10)
        np.testing.assert_allclose(result.logits.numpy(), expected[1], atol=1e-10)


@given(seeds, st.integers(1, 3), st.integers(1, 5), st.sampled_from([0.0, 0.6, 1.0]))
def test_loops_of_the_first_layer(seed, heads, frames, share):
    tensors, mask = problem(seed, 2, heads, frames), coin(seed, 2, frames, heads=share)
    expected = oracle(*[x.numpy() for x in tensors[:3]], None, None, None, 0.5, "paper", mask.numpy())
    result = predictive_attention(*poisoned(tensors, mask)[:3], mu=0.5, mode="paper", mask=mask)
    np.testing.assert_allclose(result.output.numpy(), expected[0], atol=1e-10)
    np.testing.assert_allclose(result.logits.numpy(), expected[1], atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mask", [[True] * 4, [False, False, True, True], [True, False, True, True]])
def test_left_padding_and_holes(mode, mask):
    tensors, mask = problem(0, batch=1), torch.tensor([mask])
    expected = oracle(*[x.numpy() for x in tensors], 0.25, mode, mask.numpy())
    result = predictive_attention(*poisoned(tensors, mask, math.inf), mode=mode, mask=mask)
    np.testing.assert_allclose(result.output.numpy(), expected[0], atol=1e-10)


# ---- laws


@given(seeds, st.integers(1, 3), st.integers(1, 6), st.sampled_from(MODES), st.booleans())
def test_without_prediction_it_is_plain_attention(seed, heads, frames, mode, first):
    q, k, v, previous, weight, bias = problem(seed, 2, heads, frames)
    mask = coin(seed, 2, frames)
    mask[:, 0] = True
    plain = scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :]) * mask[:, None, :, None]
    if first:
        output = predictive_attention(q, k, v, mode=mode, mu=1.0, mask=mask).output
    else:
        output = predictive_attention(q, k, v, previous, weight, bias, mode=mode, mu=0.0, mask=mask).output
    if first or mode != "paper":
        torch.testing.assert_close(output, plain)


def test_the_printed_form_without_prediction_is_not_plain_attention():
    q, k, v, previous, weight, bias = problem(0)
    plain = scaled_dot_product_attention(q, k, v)
    twice = (q @ k.mT / math.sqrt(3)).softmax(-1).softmax(-1) @ v
    output = predictive_attention(q, k, v, previous, weight, bias, mode="paper", mu=0.0).output
    torch.testing.assert_close(output, twice)
    assert (output - plain).abs().max() > 0.1


@given(seeds, st.sampled_from(MODES), st.integers(1, 5))
def test_with_prediction_alone_the_own_map_plays_no_part(seed, mode, frames):
    q, k, v, previous, weight, bias = problem(seed, frames=frames)
    predicted = gelu(torch.nn.functional.conv2d(previous, weight, bias, padding=1)).softmax(-1) @ v
    output = predictive_attention(q, k, v, previous, weight, bias, mode=mode, mu=1.0).output
    torch.testing.assert_close(output, predicted)
    torch.testing.assert_close(predictive_attention(k, q, v, previous, weight, bias, mode=mode, mu=1.0).output, output)


@given(seeds, st.floats(0, 1))
def test_convex_mixes_the_outputs(seed, mu):
    tensors = problem(seed)
    own, predicted, mixed = (predictive_attention(*tensors, mode="convex", mu=share).output for share in (0.0, 1.0, mu))
    torch.testing.assert_close(mixed, mu * predicted + (1 - mu) * own)


@given(seeds, st.sampled_from(MODES), st.sampled_from(MUS), st.booleans())
def test_outputs_are_averages_of_real_values(seed, mode, mu, masked):
    q, k, v, previous, weight, bias = problem(seed)
    mask = coin(seed, 2, 4) if masked else None
    options = {"mode": mode, "mu": mu, "mask": mask}
    output = predictive_attention(q, k, torch.ones_like(v), previous, weight, bias, **options).output
    expected = torch.ones_like(v) if mask is None else mask[:, None, :, None].expand_as(v).double()
    torch.testing.assert_close(output, expected)


@given(seeds, st.sampled_from(MODES))
def test_heads_are_permuted_with_the_convolution(seed, mode):
    q, k, v, previous, weight, bias = problem(seed, heads=3)
    order = [2, 0, 1]
    expected = predictive_attention(q, k, v, previous, weight, bias, mode=mode)
    weight, bias = weight[order][:, order], bias[order]
    permuted = predictive_attention(*(x[:, order] for x in (q, k, v, previous)), weight, bias, mode=mode)
    torch.testing.assert_close(permuted.output, expected.output[:, order])
    torch.testing.assert_close(permuted.logits, expected.logits[:, order])


@given(seeds, st.sampled_from(MODES), st.integers(0, 3), st.sampled_from([math.nan, math.inf, -math.inf, 1e3]))
def test_padding_is_invisible_on_both_sides(seed, mode, extra, fill):
    tensors, frames = problem(seed), 4
    expected = predictive_attention(*tensors, mode=mode)
    for before, after in ((extra, 0), (0, extra), (extra, 2)):
        padded = [torch.nn.functional.pad(x, (0, 0, before, after), value=fill) for x in tensors[:3]]
        maps = torch.nn.functional.pad(tensors[3], (before, after, before, after), value=fill)
        mask = torch.zeros(2, before + frames + after, dtype=torch.bool)
        mask[:, before : before + frames] = True
        leaves = [x.requires_grad_() for x in (*padded, maps)]
        result = predictive_attention(*leaves, *tensors[4:], mode=mode, mask=mask)
        inside = slice(before, before + frames)
        torch.testing.assert_close(result.output[:, :, inside], expected.output)
        torch.testing.assert_close(result.logits[:, :, inside, inside], expected.logits)
        assert (result.output[:, :, ~mask[0]] == 0).all()
        assert (result.logits[:, :, ~mask[0]] == 0).all()
        assert (result.logits[..., ~mask[0]] == 0).all()
        gradients = torch.autograd.grad(result.output.sum() + result.logits.sum(), leaves)
        originals = [x.detach().requires_grad_() for x in tensors[:4]]
        plain = predictive_attention(*originals, *tensors[4:], mode=mode)
        theirs = torch.autograd.grad(plain.output.sum() + plain.logits.sum(), originals)
        for ours, other in zip(gradients[:3], theirs[:3], strict=True):
            torch.testing.assert_close(ours[:, :, inside], other)
            assert (ours[:, :, ~mask[0]] == 0).all()
        torch.testing.assert_close(gradients[3][:, :, inside, inside], theirs[3])
        assert (gradients[3][:, :, ~mask[0]] == 0).all()
        assert (gradients[3][..., ~mask[0]] == 0).all()


# ---- gradients


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mask", [None, [[True, True, False], [False] * 3]])
def test_first_and_second_derivatives(mode, mask):
    tensors = [x.requires_grad_() for x in problem(0, frames=3, features=2)]
    mask = None if mask is None else torch.tensor(mask)

    def attend(*tensors):
        return predictive_attention(*tensors, mode=mode, mask=mask)

    torch.autograd.gradcheck(attend, tensors)
    torch.autograd.gradgradcheck(lambda *tensors: attend(*tensors).output, tensors)


def test_the_convolution_gets_no_gradient_where_there_is_no_prediction():
    tensors = [x.requires_grad_() for x in problem(0)]
    output = predictive_attention(*tensors, mu=0.0).output
    assert all((g == 0).all() for g in torch.autograd.grad(output.sum(), tensors[3:]))
    tensors[2].requires_grad_(False)
    output = predictive_attention(*tensors, mu=1.0).output
    assert all((g == 0).all() for g in torch.autograd.grad(output.square().sum(), tensors[:2]))


# ---- edges


@pytest.mark.parametrize("mode", MODES)
def test_samples_without_real_frames_give_exactly_zero(mode):
    tensors, mask = problem(0), torch.tensor([[False] * 4, [True] * 4])
    leaves = [x.requires_grad_() for x in poisoned(tensors, mask)]
    result = predictive_attention(*leaves, mode=mode, mask=mask)
    assert (result.output[0] == 0).all()
    assert (result.logits[0] == 0).all()
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(result.output.sum(), leaves))
    alone = predictive_attention(*[x[1:] for x in tensors[:4]], *tensors[4:], mode=mode)
    torch.testing.assert_close(result.output[1:], alone.output)


@pytest.mark.parametrize("mode", MODES)
def test_one_frame_and_none(mode):
    tensors = problem(0, frames=1)
    result = predictive_attention(*tensors, mode=mode)
    torch.testing.assert_close(result.output, tensors[2])
    empty = problem(0, frames=0)
    result = predictive_attention(*[x.requires_grad_() for x in empty], mode=mode, mask=torch.zeros(2, 0).bool())
    assert result.output.shape == (2, 2, 0, 3)
    assert result.logits.shape == (2, 2, 0, 0)
    result.output.sum().backward()
    assert predictive_attention(*problem(0, batch=0), mode=mode).output.shape == (0, 2, 4, 3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(mode, dtype):
    tensors = [x.to(dtype) for x in problem(0)]
    result = predictive_attention(*tensors, mode=mode)
    assert result.output.dtype == result.logits.dtype == dtype
    expected = predictive_attention(*[x.double() for x in tensors], mode=mode)
    torch.testing.assert_close(result.output.double(), expected.output, rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize("mode", MODES)
def test_large_logits_stay_finite(mode):
    tensors = [x.float() for x in problem(0)]
    result = predictive_attention(*[1e3 * x for x in tensors[:2]], *tensors[2:], mode=mode)
    assert torch.isfinite(result.output).all()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("mode", "stored", "peak"), [("convex", 4, 7), ("logit", 3, 6), ("paper", 4, 7)])
def test_how_many_maps_a_layer_holds(mode, stored, peak, masked):
    frames = 256
    leaves = [x.float().requires_grad_() for x in problem(0, batch=1, frames=frames)]
    mask = torch.arange(frames)[None] < frames - 3 if masked else None
    one, found = leaves[3].nbytes, {}

    def attend(*tensors):
        return predictive_attention(*tensors, mode=mode, mask=mask)

    def pack(x):
        found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        result = attend(*leaves)
    # Which no part of the arithmetic needs again, but the next layer does.
    assert result.logits.untyped_storage().data_ptr() not in found
    # A boolean mask of the pairs is a quarter of a map, and one for all heads.
    assert stored <= sum(found.values()) / one < stored + 0.5

    def step():
        result = attend(*leaves)
        torch.autograd.backward((result.output, result.logits), (leaves[0].detach(), leaves[3].detach()))

    step()
    for x in leaves:
        x.grad = None
    assert peak <= peak_bytes(step) / one < peak + 0.5


# ---- bad input

Q, MAP, KERNEL = torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 4), torch.zeros(3, 3, 3, 3)


@pytest.mark.parametrize(
    ("exception", "words", "changes"),
    [
        (DtypeError, ("q must be", "list"), {"q": [1.0]}),
        (DtypeError, ("k must be", "int64"), {"k": Q.long()}),
        (ShapeError, ("q must have shape", "[2, 3, 4]"), {"q": Q[..., 0]}),
        (ShapeError, ("k and q", "[2, 3, 2, 5]"), {"k": Q[:, :, :2]}),
        (ShapeError, ("v must", "[2, 3, 2, 5]"), {"v": Q[:, :, :2]}),
        (DtypeError, ("previous must be", "int64"), {"previous": MAP.long()}),
        (ShapeError, ("previous must have shape [2, 3, 4, 4]", "[2, 3, 4, 3]"), {"previous": MAP[..., :3]}),
        (SettingError, ("previous needs conv_weight",), {"conv_weight": None, "conv_bias": None}),
        (ShapeError, ("conv_weight must have shape [3, 3, 3, 3]", "3, 5]"), {"conv_weight": torch.zeros(3, 3, 3, 5)}),
        (ShapeError, ("conv_bias must have shape [3]", "[2]"), {"conv_bias": torch.zeros(2)}),
        (DtypeError, ("conv_bias must be", "int64"), {"conv_bias": torch.zeros(3).long()}),
        (DtypeError, ("conv_bias must be", "list"), {"conv_bias": [0.0] * 3}),
        (SettingError, ("mu", "0 <= mu <= 1", "1.5"), {"mu": 1.5}),
        (SettingError, ("mu", "nan"), {"mu": math.nan}),
        (SettingError, ("mode must be one of 'paper', 'convex', 'logit'", "'printed'"), {"mode": "printed"}),
        (DtypeError, ("mask must be a boolean", "float32"), {"mask": torch.ones(2, 4)}),
        (ShapeError, ("mask must have shape [2, 4]", "[2, 3]"), {"mask": torch.ones(2, 3).bool()}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, changes):
    arguments = {"q": Q, "k": Q, "v": Q, "previous": MAP, "conv_weight": KERNEL, "conv_bias": torch.zeros(3)}
    with expect.error(exception, "predictive_attention: ", *words):
        predictive_attention(**{**arguments, **changes})
