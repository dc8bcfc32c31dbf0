import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.nn import PredictiveSelfAttention
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import state
from tests.oracles.mea import predictive_self_attention as oracle

MODES = ("paper", "convex", "logit")


def attention(num_heads=2, **settings):
    torch.manual_seed(0)
    settings = {"feedforward_features": 5, **settings}
    layer = PredictiveSelfAttention(6, num_heads=num_heads, **settings).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) / 5)
    return layer


def problem(seed, batch=2, frames=4, heads=2):
    """x and previous."""
    return normal(seed, batch, frames, 6), normal(seed + 1, batch, heads, frames, frames)


def poisoned(x, previous, mask, fill=math.nan):
    pairs = mask[:, None, :, None] & mask[:, None, None, :]
    return torch.where(mask.unsqueeze(-1), x, fill), torch.where(pairs, previous, fill)


# ---- closed form


def test_residual_is_taken_from_the_norm():
    layer, x = attention(predict=False), normal(0, 2, 4, 6)
    with torch.no_grad():
        layer.value.weight.zero_()
        layer.feedforward[2].weight.zero_()
        layer.feedforward[2].bias.zero_()
    expected = layer_norm(x, (6,), layer.norm.weight, layer.norm.bias)
    torch.testing.assert_close(layer(x).sequence, expected)


def test_plain_attention_without_prediction():
    layer, x = attention(predict=False), normal(0, 2, 4, 6)
    normed = layer.norm(x)
    q, k, v = (part(normed).unflatten(-1, (2, 3)).transpose(1, 2) for part in (layer.query, layer.key, layer.value))
    attended = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    after = normed + attended
    expected = after + layer.feedforward(layer.norm_feedforward(after))
    output = layer(x)
    torch.testing.assert_close(output.sequence, expected)
    torch.testing.assert_close(output.logits, q @ k.mT / math.sqrt(3))


# ---- oracle


@given(
    seeds,
    st.integers(0, 2),
    st.integers(0, 4),
    st.sampled_from([1, 2, 3]),
    st.sampled_from(MODES),
    st.sampled_from([0.0, 0.25, 1.0]),
    st.sampled_from(["head", "model"]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.sampled_from([0.0, 0.6, 1.0]),
)
def test_loops(seed, batch, frames, heads, mode, mu, scale, flags, share):
    predict, output_projection, bias = flags
    layer = attention(
        heads, mode=mode, mu=mu, scale=scale, predict=predict, output_projection=output_projection, bias=bias
    )
    x, previous = problem(seed, batch, frames, heads)
    mask = coin(seed, batch, frames, heads=share)
    for given_mask in (mask, None):
        real = torch.ones_like(mask) if given_mask is None else mask
        given_x, given_previous = poisoned(x, previous, real)
        expected = oracle(
            x.numpy(), previous.numpy() if predict else None, real.numpy(), state(layer), heads, mu, mode, scale
        )
        output = layer(given_x, given_previous if predict else None, given_mask)
        np.testing.assert_allclose(output.sequence.detach().numpy(), expected[0], atol=1e-9)
        np.testing.assert_allclose(output.logits.detach().numpy(), expected[1], atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_a_stack_of_three(mode):
    layers = [attention(predict=number > 0, mode=mode) for number in range(3)]
    x, mask = normal(0, 2, 4, 6), torch.tensor([[False, True, True, True], [True, True, False, False]])
    ours, logits = torch.where(mask.unsqueeze(-1), x, math.inf), None
    theirs, maps = x.numpy(), None
    for layer in layers:
        ours, logits = layer(ours, logits, mask)
        theirs, maps = oracle(theirs, maps, mask.numpy(), state(layer), 2, 0.25, mode)
    np.testing.assert_allclose(ours.detach().numpy(), theirs, atol=1e-9)
    np.testing.assert_allclose(logits.detach().numpy(), maps, atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_a_window_over_the_whole_sequence_cuts_nothing(mode):
    x, mask = normal(0, 2, 4, 6), torch.tensor([[False, True, True, True], [True] * 4])
    expected, logits, banded = x, None, None
    for number in range(3):
        whole, wide = (attention(predict=number > 0, mode=mode, window=window) for window in (None, 3))
        x, banded = wide(x, banded, mask)
        expected, logits = whole(expected, logits, mask)
        torch.testing.assert_close(x, expected)
        assert banded.shape == (2, 2, 4, 7)


def test_reach_of_a_stack_within_a_window():
    layers = [attention(predict=number > 0, window=2) for number in range(3)]
    x = normal(0, 1, 20, 6).requires_grad_()
    sequence, logits = x, None
    for layer in layers:
        sequence, logits = layer(sequence, logits)
    reached = torch.autograd.grad(sequence[0, 10].square().sum(), x)[0][0].abs().sum(-1) > 0
    # Two places a layer. The map of a layer is predicted from pairs of frames no further away than that.
    assert reached.nonzero().flatten().tolist() == list(range(4, 17))


# ---- laws


@given(seeds, st.sampled_from([0.1, 3.0, 1e3]))
def test_a_positive_scale_of_the_input_is_not_seen(seed, scale):
    layer, (x, previous) = attention(), problem(seed)
    factors = scale * (1 + normal(seed, 2, 1, 1).abs())
    ours, theirs = layer(factors * x, previous), layer(x, previous)
    # The norm's epsilon of 1e-5 against the variance of a frame.
    slack = 1e-5 / (x.var(-1).min() * min(scale, 1) ** 2).item()
    torch.testing.assert_close(ours.sequence, theirs.sequence, rtol=0, atol=20 * slack + 1e-9)
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=0, atol=20 * slack + 1e-9)


@given(seeds)
def test_scale_of_the_logits(seed):
    layers = {scale: attention(3, scale=scale) for scale in ("head", "model")}
    x, previous = problem(seed, heads=3)
    by_head, by_model = (layers[scale](x, previous).logits for scale in ("head", "model"))
    torch.testing.assert_close(by_model, by_head / math.sqrt(3))


@pytest.mark.parametrize("mode", ["convex", "logit"])
def test_no_share_for_the_prediction_is_a_layer_without_prediction(mode):
    layer, plain = attention(mu=0.0, mode=mode), attention(predict=False)
    plain.load_state_dict({name: w for name, w in layer.state_dict().items() if not name.startswith("prediction")})
    x, previous = problem(0)
    torch.testing.assert_close(layer(x, previous).sequence, plain(x).sequence)
    printed = attention(mu=0.0, mode="paper")
    printed.load_state_dict(layer.state_dict())
    assert not torch.allclose(printed(x, previous).sequence, plain(x).sequence, atol=1e-3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_invisible_through_the_convolution(mode, side):
    layer, first = attention(mode=mode), attention(predict=False)
    x = normal(0, 2, 4, 6).requires_grad_()

    def run(frames, mask):
        start = first(frames, mask=mask)
        output = layer(start.sequence, start.logits, mask)
        layer.zero_grad()
        real = slice(None) if mask is None else mask[0]
        (output.sequence[:, real] * normal(1, 2, 4, 6)).sum().backward()
        return output.sequence, [p.grad.clone() for p in layer.parameters()]

    expected, gradients = run(x, None)
    leaf_gradient, x.grad = x.grad, None
    for extra in (1, 3):
        for fill in (0.0, 1e3, math.nan, math.inf):
            ends = (0, 0, extra, 0) if side == "left" else (0, 0, 0, extra)
            padded = nn.functional.pad(x.detach(), ends, value=fill).requires_grad_()
            mask = nn.functional.pad(torch.ones(2, 4), ends[2:]).bool()
            sequence, found = run(padded, mask)
            torch.testing.assert_close(sequence[:, mask[0]], expected)
            torch.testing.assert_close(padded.grad[:, mask[0]], leaf_gradient)
            assert (sequence[:, ~mask[0]] == 0).all()
            assert (padded.grad[:, ~mask[0]] == 0).all()
            for own, other in zip(found, gradients, strict=True):
                torch.testing.assert_close(own, other)


# ---- gradients


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("masked", [False, True])
def test_derivatives(mode, masked):
    layer = attention(mode=mode, bias=True, output_projection=True)
    leaves = [x.requires_grad_() for x in problem(0, frames=3)]
    mask = torch.tensor([[True, False, True], [False] * 3]) if masked else None
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def transform(x, previous, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, previous, mask))

    torch.autograd.gradcheck(transform, (*leaves, *parameters), fast_mode=True)


# ---- edges


@pytest.mark.parametrize("predict", [False, True])
def test_a_sample_without_frames_gives_exactly_zero(predict):
    layer, (x, previous) = attention(predict=predict, bias=True, output_projection=True), problem(0)
    previous = previous if predict else None
    output = layer(x * math.nan, None if previous is None else previous * math.nan, torch.zeros(2, 4).bool())
    assert (output.sequence == 0).all()
    assert (output.logits == 0).all()
    output = layer(x[:, :0], None if previous is None else previous[:, :, :0, :0])
    assert output.sequence.shape == (2, 0, 6)
    assert output.logits.shape == (2, 2, 0, 0)
    assert layer(x[:0], None if previous is None else previous[:0]).sequence.shape == (0, 4, 6)


def test_dropout_in_training_only():
    layer, x = PredictiveSelfAttention(8, num_heads=2, predict=False, dropout=0.5), torch.randn(2, 20, 8)
    assert not torch.allclose(layer(x).sequence, layer(x).sequence)
    layer.eval()
    torch.testing.assert_close(layer(x).sequence, layer(x).sequence)


def test_settings_in_the_repr():
    assert "mode='convex', window=2" in repr(attention(window=2))
    assert "window" not in repr(attention())


def test_parameters():
    names = {name for name, _ in PredictiveSelfAttention(8).named_parameters()}
    assert "prediction.weight" in names
    assert not names & {"output.weight", "query.bias", "key.bias", "value.bias"}
    assert PredictiveSelfAttention(8, predict=False).prediction is None
    assert PredictiveSelfAttention(8).feedforward[0].out_features == 32
    with_all = dict(PredictiveSelfAttention(8, output_projection=True, bias=True).named_parameters())
    assert {"output.weight", "output.bias", "query.bias", "value.bias"} <= set(with_all)


# ---- bad input


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("features", "0"), {"features": 0}),
        (("num_heads", "features=6", "4"), {"features": 6, "num_heads": 4}),
        (("num_heads", "0"), {"features": 6, "num_heads": 0}),
        (("mu", "0 <= mu <= 1", "2"), {"features": 8, "mu": 2}),
        (("mode", "'paper', 'convex', 'logit'", "'sum'"), {"features": 8, "mode": "sum"}),
        (("scale", "'head', 'model'", "'d'"), {"features": 8, "scale": "d"}),
        (("predict", "True or False", "1"), {"features": 8, "predict": 1}),
        (("bias", "True or False", "'no'"), {"features": 8, "bias": "no"}),
        (("output_projection", "True or False", "None"), {"features": 8, "output_projection": None}),
        (("feedforward_features", "0"), {"features": 8, "feedforward_features": 0}),
        (("dropout", "-1"), {"features": 8, "dropout": -1}),
        (("window", "at least 0", "-1"), {"features": 8, "window": -1}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "PredictiveSelfAttention: ", *words):
        PredictiveSelfAttention(**settings)


@pytest.mark.bad_input
def test_bad_input():
    x, previous = torch.zeros(2, 3, 6).double(), torch.zeros(2, 2, 3, 3).double()
    layer = attention()
    with expect.error(ShapeError, "PredictiveSelfAttention: x", "6 features", "got 4"):
        layer(x[..., :4], previous)
    with expect.error(DtypeError, "PredictiveSelfAttention: x", "int64"):
        layer(x.long(), previous)
    with expect.error(ShapeError, "PredictiveSelfAttention: mask", "[2, 3]", "[2, 4]"):
        layer(x, previous, torch.ones(2, 4).bool())
    with expect.error(SettingError, "PredictiveSelfAttention: previous", "missing", "predict=False"):
        layer(x)
    with expect.error(SettingError, "PredictiveSelfAttention: ", "predict=False", "previous"):
        attention(predict=False)(x, previous)
    with expect.error(ShapeError, "previous must have shape [2, 2, 3, 3]", "[2, 2, 3, 2]"):
        layer(x, previous[..., :2])
