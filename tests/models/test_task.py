import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.models._task import TASKS, TaskTerm
from tests.oracles import expect
from tests.oracles.draws import normal, seeds

# ---- regression


def test_mean_squared_error():
    term = TaskTerm("regression", 2)
    loss = term(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 2.0], [3.0, 0.0]]))
    assert loss == 10 / 4


@given(seeds, st.floats(-100, 100), st.sampled_from([0.01, 7.0]))
def test_units(seed, location, scale):
    """Predictions are in the target's units; the loss does not see them."""
    raw, target = normal(seed, 5, 2), normal(seed + 1, 5, 2)
    plain = TaskTerm("regression", 2).double()
    units = TaskTerm("regression", 2, target_location=location, target_scale=scale).double()
    prediction = units.in_units(raw)
    torch.testing.assert_close(prediction, raw * scale + location, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(units(prediction, units.in_units(target)), plain(raw, target), rtol=1e-4, atol=1e-6)
    assert torch.equal(plain.in_units(raw), raw)


def test_units_of_each_output():
    term = TaskTerm("regression", 2, target_location=[1.0, 10.0], target_scale=(2.0, 5.0))
    assert term.in_units(torch.ones(1, 2)).tolist() == [[3.0, 15.0]]
    assert term(torch.tensor([[3.0, 15.0]]), torch.tensor([[1.0, 10.0]])) == 1


def test_one_output_takes_a_row_of_targets():
    term, prediction, target = TaskTerm("regression", 1), torch.randn(3, 1), torch.randn(3)
    assert term(prediction, target) == term(prediction, target[:, None])
    assert term(prediction, target).item() == pytest.approx((prediction[:, 0] - target).square().mean().item())


# ---- classification


@given(seeds)
def test_cross_entropy(seed):
    prediction, target = normal(seed, 6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    rows = [
        math.log(sum(math.exp(v) for v in row)) - row[y] for row, y in zip(prediction.tolist(), target, strict=True)
    ]
    assert TaskTerm("classification", 3)(prediction, target).item() == pytest.approx(sum(rows) / 6)
    weights = (1.0, 0.5, 4.0)
    loss = TaskTerm("classification", 3, class_weights=weights)(prediction, target)
    total = sum(weights[y] for y in target)
    assert loss.item() == pytest.approx(sum(weights[y] * row for row, y in zip(rows, target, strict=True)) / total)


def test_label_smoothing():
    prediction, target = torch.tensor([[2.0, 0.0]], dtype=torch.float64), torch.tensor([0])
    rows = [math.log1p(math.exp(-2)), math.log1p(math.exp(2))]
    loss = TaskTerm("classification", 2, label_smoothing=0.2)(prediction, target)
    assert loss.item() == pytest.approx(0.9 * rows[0] + 0.1 * rows[1])


def test_classes_of_no_weight_cost_nothing():
    prediction = torch.randn(2, 3, requires_grad=True)
    loss = TaskTerm("classification", 3, class_weights=(0.0, 1.0, 1.0))(prediction, torch.tensor([0, 0]))
    loss.backward()
    assert loss == 0
    assert (prediction.grad == 0).all()


# ---- labels


def test_binary_cross_entropy():
    prediction = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    rows = [math.log(2), math.log1p(math.exp(-2))]
    term = TaskTerm("multilabel", 2)
    assert term(prediction, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(sum(rows) / 2)
    for dtype in (torch.int64, torch.bool):
        assert term(prediction, torch.tensor([[0, 1]]).to(dtype)).item() == pytest.approx(sum(rows) / 2)
    weighted = TaskTerm("multilabel", 2, class_weights=(5.0, 3.0))
    assert weighted(prediction, torch.tensor([[0.0, 1.0]])).item() == pytest.approx((rows[0] + 3 * rows[1]) / 2)


# ---- all


@pytest.mark.parametrize("task", TASKS)
def test_empty_batch(task):
    prediction = torch.zeros(0, 2, requires_grad=True)
    target = torch.zeros(0, dtype=torch.int64) if task == "classification" else torch.zeros(0, 2)
    loss = TaskTerm(task, 2)(prediction, target)
    loss.backward()
    assert loss == 0


@pytest.mark.parametrize("task", TASKS)
def test_half_precision_gives_float32(task):
    target = torch.tensor([0, 1]) if task == "classification" else torch.tensor([[0.0, 1.0]] * 2)
    loss = TaskTerm(task, 2)(torch.randn(2, 2).half(), target)
    assert loss.dtype == torch.float32


def test_units_are_settings_not_weights():
    assert not TaskTerm("regression", 1, target_scale=2.0).state_dict()
    assert not TaskTerm("classification", 2, class_weights=(1, 2)).state_dict()


@pytest.mark.parametrize(
    ("words", "arguments", "settings"),
    [
        (("task", "'regression', 'classification', 'multilabel'", "'regresion'"), ("regresion", 1), {}),
        (("num_outputs", "0"), ("regression", 0), {}),
        (("target_scale", "0 < target_scale", "0"), ("regression", 1), {"target_scale": 0.0}),
        (("target_scale", "inf"), ("regression", 1), {"target_scale": math.inf}),
        (("target_location", "2", "got 3"), ("regression", 2), {"target_location": [1.0, 2.0, 3.0]}),
        (("target_location", "task='regression'", "'classification'"), ("classification", 2), {"target_location": 1.0}),
        (("target_scale", "task='regression'", "'multilabel'"), ("multilabel", 2), {"target_scale": 2.0}),
        (("class_weights", "task='regression'"), ("regression", 1), {"class_weights": [1.0]}),
        (("class_weights", "3", "got 2"), ("classification", 3), {"class_weights": [1.0, 2.0]}),
        (("class_weights", "-1"), ("classification", 2), {"class_weights": [1.0, -1.0]}),
        (("label_smoothing", "classification", "'regression'"), ("regression", 1), {"label_smoothing": 0.1}),
        (("label_smoothing", "2"), ("classification", 2), {"label_smoothing": 2.0}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, arguments, settings):
    with expect.error(SettingError, "task: ", *words):
        TaskTerm(*arguments, **settings)


P = torch.zeros(3, 2)


@pytest.mark.parametrize(
    ("exception", "words", "task", "target"),
    [
        (DtypeError, ("torch.Tensor", "list"), "regression", [0.0]),
        (ShapeError, ("[3, 2]", "'regression'", "[3]"), "regression", torch.zeros(3)),
        (ShapeError, ("[3, 2]", "[3, 1]"), "regression", torch.zeros(3, 1)),
        (ShapeError, ("[3, 2]", "[1, 2]"), "multilabel", torch.zeros(1, 2)),
        (DtypeError, ("floating", "'regression'", "int64"), "regression", torch.zeros(3, 2).long()),
        (DtypeError, ("int64", "'classification'", "float32"), "classification", torch.zeros(3)),
        (DtypeError, ("int64", "'classification'", "int32"), "classification", torch.zeros(3).int()),
        (ShapeError, ("[3]", "'classification'", "[3, 1]"), "classification", torch.zeros(3, 1).long()),
        (ShapeError, ("[3]", "'classification'", "[2]"), "classification", torch.zeros(2).long()),
    ],
)
@pytest.mark.bad_input
def test_bad_targets(exception, words, task, target):
    with expect.error(exception, "objective: target ", *words):
        TaskTerm(task, 2)(P, target)


@pytest.mark.bad_input
def test_a_row_of_targets_is_offered_for_one_output():
    with expect.error(ShapeError, "[3, 1] or [3]", "[1, 3]"):
        TaskTerm("regression", 1)(P[:, :1], torch.zeros(1, 3))
