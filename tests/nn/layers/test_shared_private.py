import numpy as np
import pytest
import torch
from hypothesis import given

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.nn import SharedPrivateEncoder
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import layer_norm, state

WIDTHS = {"text": 5, "left.ear": 2}
ACTIVATIONS = {"sigmoid": lambda v: 1 / (1 + np.exp(-v)), "tanh": np.tanh, "identity": lambda v: v}


def encoder(activation="sigmoid", **settings):
    torch.manual_seed(0)
    return SharedPrivateEncoder(WIDTHS, 4, activation=activation, **settings).double()


@given(seeds)
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_loops(activation, seed):
    layer = encoder(activation)
    w, function = state(layer), ACTIVATIONS[activation]
    inputs = {name: normal(seed + i, 2, 3 + i, width) for i, (name, width) in enumerate(WIDTHS.items())}
    mask = coin(seed, 2, 4)
    dirty = {**inputs, "left.ear": torch.where(mask.unsqueeze(-1), inputs["left.ear"], float("nan"))}
    codes = layer(dirty, {"left.ear": mask})
    for name, x in inputs.items():
        part, private = (f"{kind}.{getattr(layer, kind).names[name]}" for kind in ("projections", "private"))
        for b in range(2):
            for t in range(x.shape[1]):
                z = np.maximum(w[f"{part}.0.weight"] @ x[b, t].numpy() + w[f"{part}.0.bias"], 0)
                z = layer_norm(z, w[f"{part}.2.weight"], w[f"{part}.2.bias"])
                expected = (
                    z,
                    function(w[f"{private}.weight"] @ z + w[f"{private}.bias"]),
                    function(w["shared.weight"] @ z + w["shared.bias"]),
                )
                real = name == "text" or mask[b, t].item()
                for code, value in zip((codes.projected, codes.private, codes.shared), expected, strict=True):
                    np.testing.assert_allclose(code[name][b, t].detach().numpy(), value * real, atol=1e-10)


def test_one_shared_map_and_private_ones():
    layer = encoder()
    names = [name for name, _ in layer.named_parameters()]
    assert sum(name.startswith("shared.") for name in names) == 2
    assert sum(name.startswith("private.") for name in names) == 4


def test_initial_gain_spreads_the_codes():
    plain, wide = encoder(), encoder(initial_gain=4.0)
    torch.testing.assert_close(wide.shared.weight, 4 * plain.shared.weight)
    torch.testing.assert_close(wide.private["left.ear"].weight, 4 * plain.private["left.ear"].weight)
    torch.testing.assert_close(wide.projections["text"][0].weight, plain.projections["text"][0].weight)


def test_order_of_the_callers_dict_does_not_matter():
    layer = encoder()
    inputs = {name: normal(i, 2, 3, width) for i, (name, width) in enumerate(WIDTHS.items())}
    codes, reversed_codes = layer(inputs), layer(dict(reversed(inputs.items())))
    assert list(codes.shared) == list(reversed_codes.shared) == list(WIDTHS)
    for name in WIDTHS:
        assert torch.equal(codes.shared[name], reversed_codes.shared[name])


def test_derivatives():
    layer, mask = encoder("tanh"), torch.tensor([[True, False, True]])
    inputs = [normal(i, 1, 3, width).requires_grad_() for i, width in enumerate(WIDTHS.values())]

    def codes(*tensors):
        result = layer(dict(zip(WIDTHS, tensors, strict=True)), {"text": mask})
        return tuple(code for family in result for code in family.values())

    torch.autograd.gradcheck(codes, inputs)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (SettingError, ("modalities['a']", "0"), ({"a": 0}, 4), {}),
        (SettingError, ("hidden_features", "0"), ({"a": 1}, 0), {}),
        (SettingError, ("activation", "'relu'"), ({"a": 1}, 4), {"activation": "relu"}),
        (SettingError, ("initial_gain", "0"), ({"a": 1}, 4), {"initial_gain": 0}),
        (DtypeError, ("non-empty string", "3"), ({3: 1}, 4), {}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(exception, words, arguments, settings):
    with expect.error(exception, "SharedPrivateEncoder: ", *words):
        SharedPrivateEncoder(*arguments, **settings)


@pytest.mark.bad_input
def test_bad_input():
    layer, x = encoder().float(), {"text": torch.zeros(2, 3, 5), "left.ear": torch.zeros(2, 4, 2)}
    with expect.error(ModalityError, "SharedPrivateEncoder: inputs lacks 'left.ear'"):
        layer({"text": x["text"]})
    with expect.error(ModalityError, "SharedPrivateEncoder: inputs names the modality 'texts'", "'text'"):
        layer({**x, "texts": x["text"]})
    with expect.error(ShapeError, "SharedPrivateEncoder: inputs['text']", "5 features", "got 2"):
        layer({"text": x["left.ear"], "left.ear": x["left.ear"]})
    with expect.error(ShapeError, "SharedPrivateEncoder: ", "batch size", "1 for inputs['left.ear']"):
        layer({**x, "left.ear": x["left.ear"][:1]})
    with expect.error(DtypeError, "SharedPrivateEncoder: masks['text']", "int64"):
        layer(x, {"text": torch.ones(2, 3).long()})
