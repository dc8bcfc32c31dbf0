import pytest
import torch

from mmdisentangle._core.modalities import (
    check_known,
    check_sequences,
    in_order,
    modality_names,
    modality_widths,
    resolve_masks,
)
from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from tests.oracles import expect

A, B = torch.zeros(2, 3, 4), torch.zeros(2, 5, 1)


def test_names_keep_their_order():
    assert modality_names("f", ["b", "a"]) == ("b", "a")
    assert modality_names("f", {"b": 1, "a": 2}) == ("b", "a")


@pytest.mark.parametrize(
    ("exception", "words", "names"),
    [
        (DtypeError, ("single string 'ab'",), "ab"),
        (DtypeError, ("must have an order", "got a set"), {"a", "b"}),
        (DtypeError, ("must have an order", "got a set"), frozenset("ab")),
        (DtypeError, ("non-empty string", "3"), ["a", 3]),
        (DtypeError, ("non-empty string", "''"), ["a", ""]),
        (ModalityError, ("distinct", "['a', 'a']"), ["a", "a"]),
        (ModalityError, ("at least 2", "['a']"), ["a"]),
    ],
)
@pytest.mark.bad_input
def test_bad_names(exception, words, names):
    with expect.error(exception, "f: ", *words):
        modality_names("f", names, least=2)


def test_widths_keep_their_order():
    assert list(modality_widths("f", {"b": 1, "a": 2}).items()) == [("b", 1), ("a", 2)]


@pytest.mark.parametrize(
    ("exception", "words", "widths"),
    [
        (DtypeError, ("map names to widths", "['a', 'b']"), ["a", "b"]),
        (DtypeError, ("map names to widths", "'ab'"), "ab"),
        (SettingError, ("modalities['b']", "0"), {"a": 1, "b": 0}),
        (ModalityError, ("at least 2", "['a']"), {"a": 1}),
    ],
)
@pytest.mark.bad_input
def test_bad_widths(exception, words, widths):
    with expect.error(exception, "f: ", *words):
        modality_widths("f", widths, least=2)


def test_values_come_in_order():
    values = in_order("f", "inputs", {"b": B, "a": A}, ("a", "b"))
    assert list(values) == ["a", "b"]
    assert values["a"] is A


@pytest.mark.bad_input
def test_values_must_be_complete_and_known():
    with expect.error(ModalityError, "f: inputs lacks 'b'", "['a', 'b']", "got ['a']"):
        in_order("f", "inputs", {"a": A}, ("a", "b"))
    with expect.error(ModalityError, "f: inputs names the modality 'audioo'", "did you mean 'audio'"):
        in_order("f", "inputs", {"a": A, "audioo": B}, ("a", "audio"))
    with expect.error(DtypeError, "f: inputs must be a mapping", "list"):
        in_order("f", "inputs", [A, B], ("a", "b"))
    with expect.error(ModalityError, "f: query names the modality 'c'", "known names: 'a', 'b'"):
        check_known("f", "query", "c", ("a", "b"))


def test_no_mask_costs_nothing():
    assert resolve_masks("f", {"a": A, "b": B}, None) == {}
    mask = torch.ones(2, 5, dtype=torch.bool)
    assert resolve_masks("f", {"a": A, "b": B}, {"b": mask}) == {"b": mask}


def test_presence_empties_rows():
    own = torch.tensor([[True, False, True], [True, True, True]])
    masks = resolve_masks("f", {"a": A, "b": B}, {"a": own}, {"a": torch.tensor([True, False])})
    assert masks["a"].tolist() == [[True, False, True], [False] * 3]
    assert list(masks) == ["a"]
    assert own.sum() == 5


def test_presence_alone_makes_a_mask():
    masks = resolve_masks("f", {"a": A, "b": B}, None, {"b": torch.tensor([True, False])})
    assert masks["b"].tolist() == [[True] * 5, [False] * 5]


@pytest.mark.parametrize(
    ("exception", "words", "masks", "present"),
    [
        (DtypeError, ("masks['a']", "boolean", "float32"), {"a": torch.ones(2, 3)}, None),
        (ShapeError, ("masks['b']", "[2, 5]", "[2, 3]"), {"b": torch.ones(2, 3).bool()}, None),
        (ModalityError, ("masks names the modality 'c'",), {"c": torch.ones(2, 3).bool()}, None),
        (DtypeError, ("masks must be a mapping", "Tensor"), torch.ones(2, 3).bool(), None),
        (ShapeError, ("present['a']", "[2]", "[2, 3]"), None, {"a": torch.ones(2, 3).bool()}),
        (DtypeError, ("present['a']", "boolean", "int64"), None, {"a": torch.ones(2).long()}),
        (ModalityError, ("present names the modality 'c'",), None, {"c": torch.ones(2).bool()}),
        (DtypeError, ("present must be a mapping", "Tensor"), None, torch.ones(2).bool()),
    ],
)
@pytest.mark.bad_input
def test_bad_masks(exception, words, masks, present):
    with expect.error(exception, "f: ", *words):
        resolve_masks("f", {"a": A, "b": B}, masks, present)


def test_sequences_that_fit():
    check_sequences("f", "inputs", {"a": A, "b": B}, {"a": 4, "b": 1})
    check_sequences("f", "inputs", {"a": A, "b": A}, 4)
    check_sequences("f", "inputs", {"a": A, "b": B})


@pytest.mark.parametrize(
    ("exception", "words", "sequences", "widths"),
    [
        (DtypeError, ("inputs['a']", "torch.Tensor", "list"), {"a": [1.0]}, None),
        (DtypeError, ("inputs['a']", "floating", "int64"), {"a": A.long()}, None),
        (ShapeError, ("inputs['a']", "[B, T, D]", "[3, 4]"), {"a": A[0]}, None),
        (ShapeError, ("inputs['a']", "5 features", "got 4"), {"a": A}, {"a": 5}),
        (ShapeError, ("inputs['b']", "4 features", "got 1"), {"a": A, "b": B}, 4),
        (ShapeError, ("batch size", "2 for inputs['a']", "1 for inputs['b']"), {"a": A, "b": B[:1]}, None),
    ],
)
@pytest.mark.bad_input
def test_bad_sequences(exception, words, sequences, widths):
    with expect.error(exception, "f: ", *words):
        check_sequences("f", "inputs", sequences, widths)
