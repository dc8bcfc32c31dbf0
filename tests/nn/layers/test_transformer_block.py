import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.nn import TransformerBlock
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds

NAMES = {
    "attention_input.weight": "self_attn.in_proj_weight",
    "attention_input.bias": "self_attn.in_proj_bias",
    "attention_output.weight": "self_attn.out_proj.weight",
    "attention_output.bias": "self_attn.out_proj.bias",
    "feedforward.0.weight": "linear1.weight",
    "feedforward.0.bias": "linear1.bias",
    "feedforward.3.weight": "linear2.weight",
    "feedforward.3.bias": "linear2.bias",
    "norm_attention.weight": "norm1.weight",
    "norm_attention.bias": "norm1.bias",
    "norm_feedforward.weight": "norm2.weight",
    "norm_feedforward.bias": "norm2.bias",
}


def pair(num_heads=2, activation="relu", feedforward=12):
    """Build our layer and torch's with the same random weights; biases and norms too."""
    torch.manual_seed(0)
    theirs = nn.TransformerEncoderLayer(
        6, num_heads, feedforward, activation=activation, batch_first=True, dropout=0.0
    ).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) / 10)
    ours = TransformerBlock(6, num_heads=num_heads, feedforward_features=feedforward, activation=activation).double()
    weights = theirs.state_dict()
    ours.load_state_dict({own: weights[other] for own, other in NAMES.items()})
    return ours.eval(), theirs


@given(seeds, st.integers(1, 3), st.integers(1, 5), st.sampled_from([1, 2, 3]), st.sampled_from(["relu", "gelu"]))
def test_it_is_torchs_own_layer(seed, batch, frames, num_heads, activation):
    ours, theirs = pair(num_heads, activation)
    x, mask = normal(seed, batch, frames, 6), coin(seed, batch, frames)
    mask[:, 0] = True
    torch.testing.assert_close(ours(x), theirs(x))
    expected = theirs(x, src_key_padding_mask=~mask)
    dirty = torch.where(mask.unsqueeze(-1), x, float("nan"))
    torch.testing.assert_close(ours(dirty, mask), torch.where(mask.unsqueeze(-1), expected, 0.0))


def test_parameters_start_as_torchs_do():
    block, layer = TransformerBlock(64), nn.TransformerEncoderLayer(64, 1, 256)
    theirs = dict(layer.named_parameters())
    for name, own in block.named_parameters():
        other = theirs[NAMES[name]]
        assert own.shape == other.shape
        torch.testing.assert_close(own.std(), other.std(), rtol=0.1, atol=1e-3)
        torch.testing.assert_close(own.mean(), other.mean(), rtol=0.1, atol=1e-2)


@pytest.mark.parametrize("masked", [False, True])
def test_derivatives(masked):
    ours, _ = pair(activation="gelu")
    x = normal(0, 2, 3, 6).requires_grad_()
    mask = torch.tensor([[True, False, True], [False] * 3]) if masked else None
    torch.autograd.gradcheck(lambda y: ours(y, mask), x)


def test_a_sample_without_frames_gives_exactly_zero():
    ours, _ = pair()
    x = torch.full((2, 3, 6), float("nan"), dtype=torch.float64)
    assert (ours(x, torch.zeros(2, 3, dtype=torch.bool)) == 0).all()
    assert ours(x[:, :0]).shape == (2, 0, 6)
    assert ours(x[:0]).shape == (0, 3, 6)


@pytest.mark.parametrize("kind", ["dropout", "attention_dropout"])
def test_dropout_in_training_only(kind):
    rest = {"dropout": 0.0, "attention_dropout": 0.0, kind: 0.5}
    block, x = TransformerBlock(8, **rest), torch.randn(2, 20, 8)
    assert not torch.allclose(block(x), block(x))
    block.eval()
    torch.testing.assert_close(block(x), block(x))
    assert kind == "dropout" or not any(m.p for m in block.modules() if isinstance(m, nn.Dropout))


def test_feedforward_is_four_times_as_wide_by_default():
    assert TransformerBlock(8).feedforward[0].out_features == 32


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("features", "0"), {"features": 0}),
        (("num_heads", "features=6", "4"), {"features": 6, "num_heads": 4}),
        (("num_heads", "0"), {"features": 6, "num_heads": 0}),
        (("feedforward_features", "0"), {"features": 6, "feedforward_features": 0}),
        (("dropout", "-1"), {"features": 6, "dropout": -1}),
        (("attention_dropout", "2"), {"features": 6, "attention_dropout": 2}),
        (("activation", "'relu', 'gelu'", "'silu'"), {"features": 6, "activation": "silu"}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "TransformerBlock: ", *words):
        TransformerBlock(**settings)


@pytest.mark.bad_input
def test_bad_input():
    x = torch.zeros(2, 3, 8)
    with expect.error(ShapeError, "TransformerBlock: x", "8 features", "got 4"):
        TransformerBlock(8)(x[..., :4])
    with expect.error(DtypeError, "TransformerBlock: x", "int64"):
        TransformerBlock(8)(x.long())
    with expect.error(ShapeError, "TransformerBlock: mask", "[2, 3]", "[2, 4]"):
        TransformerBlock(8)(x, torch.ones(2, 4).bool())


class _Doubled(torch.nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_parts_of_the_feed_forward_network_may_be_changed(activation):
    """Whatever is attached to a part of it, or put in its place, takes part."""
    block = TransformerBlock(4, dropout=0.0, activation=activation)
    x = torch.randn(2, 3, 4)
    plain = block(x)
    calls = []
    handles = [part.register_forward_hook(lambda *_: calls.append(1)) for part in block.feedforward]
    torch.testing.assert_close(block(x), plain)
    assert len(calls) == 4
    for handle in handles:
        handle.remove()

    torch.nn.utils.spectral_norm(block.feedforward[0])
    block(x).sum().backward()
    assert block.feedforward[0].weight_orig.grad.abs().sum() > 0
    doubled = _Doubled(16, 4)
    doubled.load_state_dict(block.feedforward[3].state_dict())
    before = block.feedforward(x)
    block.feedforward[3] = doubled
    torch.testing.assert_close(block.eval().feedforward(x), 2 * before, rtol=1e-3, atol=1e-3)
    block.feedforward[0] = torch.nn.Linear(4, 16, bias=False)
    block.feedforward[2] = torch.nn.Identity()
    assert block(x).shape == x.shape
