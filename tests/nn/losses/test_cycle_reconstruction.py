import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.functional import cycle_reconstruction
from mmdisentangle.nn import CycleReconstructionLoss
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds

SHAPES = {"a": (3, 4, 2), "b": (3, 0, 2), "c": (3, 5)}


@given(seeds, st.booleans(), st.booleans(), st.booleans())
def test_it_is_the_mean_of_the_function_over_modalities(seed, relative, detach_code, gather):
    codes = {name: normal(seed + i, *shape) for i, (name, shape) in enumerate(SHAPES.items())}
    recovered = {name: normal(seed + 7 + i, *shape) for i, (name, shape) in enumerate(SHAPES.items())}
    masks = {name: coin(seed + i, *SHAPES[name][:-1]) for i, name in enumerate("ac")}
    loss = CycleReconstructionLoss(relative=relative, detach_code=detach_code, gather=gather)
    for given_masks in (masks, {"a": masks["a"]}, None):
        terms = [
            cycle_reconstruction(codes[name], recovered[name], (given_masks or {}).get(name), relative=relative)
            for name in codes
        ]
        torch.testing.assert_close(loss(codes, recovered, given_masks), torch.stack(terms).mean())


@pytest.mark.parametrize("detach_code", [False, True])
def test_who_learns(detach_code):
    code, recovered = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    CycleReconstructionLoss(detach_code=detach_code)({"a": code}, {"a": recovered}).backward()
    assert recovered.grad.any()
    assert (code.grad is None) is detach_code


def test_repr():
    assert "relative=True, detach_code=False, gather=False" in repr(CycleReconstructionLoss(relative=True))


X = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("exception", "words", "codes", "recovered", "masks"),
    [
        (ModalityError, ("recovered names the modality 'b'",), {"a": X}, {"b": X}, None),
        (ModalityError, ("recovered lacks 'b'",), {"a": X, "b": X}, {"a": X}, None),
        (DtypeError, ("codes must be a mapping",), X, {"a": X}, None),
        (DtypeError, ("codes['a']", "list"), {"a": [1.0]}, {"a": X}, None),
        (ShapeError, ("recovered['a']", "codes['a']", "[2, 3, 5]"), {"a": X}, {"a": torch.zeros(2, 3, 5)}, None),
        (ShapeError, ("recovered['a']", "[B, T, D]"), {"a": X}, {"a": X[0]}, None),
        (ShapeError, ("masks['a']", "[2, 3]", "[2]"), {"a": X}, {"a": X}, {"a": torch.ones(2).bool()}),
        (ModalityError, ("masks names the modality 'c'",), {"a": X}, {"a": X}, {"c": torch.ones(2, 3).bool()}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, codes, recovered, masks):
    with expect.error(exception, "CycleReconstructionLoss: ", *words):
        CycleReconstructionLoss()(codes, recovered, masks)


@pytest.mark.bad_input
def test_bad_flag():
    with expect.error(SettingError, "CycleReconstructionLoss: relative", "True or False"):
        CycleReconstructionLoss(relative="yes")
