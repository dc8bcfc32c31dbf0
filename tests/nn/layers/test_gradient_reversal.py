import pytest
import torch

from mmdisentangle.errors import SettingError
from mmdisentangle.nn import GradientReversal
from tests.oracles import expect


def gradient(layer):
    x = torch.ones(2, requires_grad=True)
    layer(x).sum().backward()
    return x.grad.tolist()


def test_strength_is_a_persistent_buffer():
    layer = GradientReversal(0.5)
    assert gradient(layer) == [-0.5, -0.5]
    assert list(layer.state_dict()) == ["strength"]
    other = GradientReversal()
    other.load_state_dict(layer.state_dict())
    assert gradient(other) == [-0.5, -0.5]
    assert not list(layer.parameters())


def test_strength_is_set_in_place():
    layer = GradientReversal()
    buffer = layer.strength
    layer.set_strength(0.25)
    assert layer.strength is buffer
    assert gradient(layer) == [-0.25, -0.25]
    layer.set_strength(0)
    assert gradient(layer) == [0.0, 0.0]


def test_a_change_before_the_backward_raises():
    layer, x = GradientReversal(), torch.ones(2, requires_grad=True)
    y = layer(x)
    layer.set_strength(0.5)
    with pytest.raises(RuntimeError, match="inplace"):
        y.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes(dtype):
    x = torch.ones(2, dtype=dtype, requires_grad=True)
    y = GradientReversal(0.5)(x)
    y.sum().backward()
    assert y.dtype == dtype
    assert x.grad.tolist() == [-0.5, -0.5]


@pytest.mark.parametrize("strength", ["1", float("nan"), None])
@pytest.mark.bad_input
def test_bad_strength(strength):
    with expect.error(SettingError, "GradientReversal: strength", repr(strength)):
        GradientReversal(strength)
    with expect.error(SettingError, "GradientReversal.set_strength: strength", repr(strength)):
        GradientReversal().set_strength(strength)
