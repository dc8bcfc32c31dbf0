import pytest
import torch

from mmdisentangle.errors import DtypeError, ModalityError, ShapeError
from mmdisentangle.models._inputs import resolve_inputs
from tests.oracles import expect

WIDTHS = {"a": 4, "b": 1}
A, B = torch.zeros(2, 3, 4), torch.zeros(2, 5, 1)


def test_order_is_that_of_the_widths():
    inputs, masks = resolve_inputs("f", WIDTHS, {"b": B, "a": A}, None, None)
    assert list(inputs) == ["a", "b"]
    assert inputs["a"] is A
    assert masks == {}


def test_masks_and_presence():
    mask = torch.tensor([[True, False, True], [True, True, True]])
    here = torch.tensor([False, True])
    _, masks = resolve_inputs("f", WIDTHS, {"a": A, "b": B}, {"a": mask}, {"a": here, "b": here})
    assert masks["a"].tolist() == [[False] * 3, [True] * 3]
    assert masks["b"].tolist() == [[False] * 5, [True] * 5]


def test_an_absent_modality_that_is_said_to_be_missing():
    nobody = torch.zeros(2, dtype=torch.bool)
    inputs, masks = resolve_inputs("f", WIDTHS, {"a": A.double()}, None, {"b": nobody})
    assert inputs["b"].shape == (2, 0, 1)
    assert inputs["b"].dtype == torch.float64
    assert masks["b"].shape == (2, 0)
    # A mask for what is not there is not looked at.
    resolve_inputs("f", WIDTHS, {"a": A}, {"b": torch.zeros(2, 5, dtype=torch.bool)}, {"b": nobody})


def test_an_empty_sequence_is_missing():
    _, masks = resolve_inputs("f", WIDTHS, {"a": A, "b": B[:, :0]}, None, None)
    assert list(masks) == ["b"]
    assert masks["b"].shape == (2, 0)


@pytest.mark.parametrize(
    ("exception", "words", "inputs", "masks", "present"),
    [
        (DtypeError, ("inputs must be a mapping", "list"), [A, B], None, None),
        (DtypeError, ("inputs must be a mapping", "NoneType"), None, None, None),
        (DtypeError, ("masks must be a mapping", "Tensor"), {"a": A, "b": B}, A.bool(), None),
        (DtypeError, ("present must be a mapping", "Tensor"), {"a": A, "b": B}, None, A.bool()),
        (ModalityError, ("inputs is empty", "['a', 'b']"), {}, None, None),
        (ModalityError, ("inputs lacks 'b'", "['a', 'b']", "got ['a']", "present={'b'"), {"a": A}, None, None),
        (ModalityError, ("inputs names the modality 'c'",), {"a": A, "b": B, "c": A}, None, None),
        (ModalityError, ("masks names the modality 'c'",), {"a": A, "b": B}, {"c": A.bool()}, None),
        (ModalityError, ("present names the modality 'c'",), {"a": A, "b": B}, None, {"c": A.bool()}),
        (ShapeError, ("inputs['a']", "4 features", "got 3"), {"a": A[..., :3], "b": B}, None, None),
        (ShapeError, ("inputs['a']", "[B, T, D]", "[3, 4]"), {"a": A[0], "b": B}, None, None),
        (DtypeError, ("inputs['a']", "floating", "int64"), {"a": A.long(), "b": B}, None, None),
        (ShapeError, ("batch size", "2 for inputs['a']", "1 for inputs['b']"), {"a": A, "b": B[:1]}, None, None),
        (ShapeError, ("masks['a']", "[2, 3]", "[2, 5]"), {"a": A, "b": B}, {"a": torch.ones(2, 5).bool()}, None),
        (DtypeError, ("masks['a']", "boolean", "int64"), {"a": A, "b": B}, {"a": torch.ones(2, 3).long()}, None),
        (ShapeError, ("present['a']", "[2]", "[2, 1]"), {"a": A, "b": B}, None, {"a": torch.ones(2, 1).bool()}),
        (DtypeError, ("present['b']", "boolean", "float32"), {"a": A}, None, {"b": torch.zeros(2)}),
        (ShapeError, ("present['b']", "[2]", "[3]"), {"a": A}, None, {"b": torch.zeros(3).bool()}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, inputs, masks, present):
    with expect.error(exception, "f: ", *words):
        resolve_inputs("f", WIDTHS, inputs, masks, present)
