"""What every model of the zoo must do; a new one is tested by being in the registry."""

import json

import pytest
import torch

from mmdisentangle.errors import CheckpointError, DtypeError, ModalityError, SettingError, UnknownNameError
from mmdisentangle.models import create_model, list_models, load_pretrained
from tests.oracles import expect

MODALITIES = {"text": 6, "audio": 3, "vision": 4}
LENGTHS = {"text": 5, "audio": 9, "vision": 2}
OUTPUTS = {"regression": 1, "classification": 3, "multilabel": 2}
each_model = pytest.mark.parametrize("name", list_models())
each_task = pytest.mark.parametrize("task", list(OUTPUTS))


def batch(task, size=6):
    inputs = {m: torch.randn(size, LENGTHS[m], width) for m, width in MODALITIES.items()}
    masks = {m: torch.arange(LENGTHS[m]) < torch.randint(1, LENGTHS[m] + 1, (size, 1)) for m in MODALITIES}
    if task == "classification":
        return inputs, masks, torch.arange(size) % 3
    if task == "multilabel":
        return inputs, masks, torch.randint(2, (size, 2)).float()
    return inputs, masks, torch.randn(size, 1)


def build(name, task, **settings):
    return create_model(name, modalities=MODALITIES, num_outputs=OUTPUTS[task], task=task, **settings)


@each_model
@each_task
def test_forward_and_objective(name, task):
    model, (inputs, masks, target) = build(name, task), batch(task)
    for given in (None, masks):
        output = model(inputs, given)
        assert output.prediction.shape == (6, OUTPUTS[task])
        assert set(output.shared) == set(output.private) == set(MODALITIES)
        assert output.fused.shape[0] == 6
        objective = model.objective(output, target)
        assert objective._fields[0] == "total"
        assert all(term.ndim == 0 and torch.isfinite(term) for term in objective)


@each_model
@each_task
def test_every_parameter_learns(name, task):
    model = build(name, task)
    silent = {parameter for parameter, _ in model.named_parameters()}
    for seed in range(6):
        torch.manual_seed(seed)
        inputs, masks, target = batch(task)
        model.zero_grad()
        model.objective(model(inputs, masks), target).total.backward()
        for parameter, value in model.named_parameters():
            assert value.grad is not None, parameter
            assert torch.isfinite(value.grad).all(), parameter
        silent -= {parameter for parameter, value in model.named_parameters() if value.grad.abs().max() > 0}
    assert not silent


@each_model
@each_task
def test_one_batch_can_be_learnt_by_heart(name, task):
    model, (inputs, masks, target) = build(name, task).eval(), batch(task)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    first = None
    for _ in range(80):
        objective = model.objective(model(inputs, masks), target)
        first = objective.task.item() if first is None else first
        if objective.task < 0.01 * first:
            break
        optimizer.zero_grad()
        objective.total.backward()
        optimizer.step()
    assert objective.task < 0.01 * first


@each_model
def test_order_of_the_callers_dict_does_not_matter(name):
    model, (inputs, masks, _) = build(name, "regression").eval(), batch("regression")
    turned = model(dict(reversed(inputs.items())), dict(reversed(masks.items())))
    torch.testing.assert_close(turned.prediction, model(inputs, masks).prediction)
    assert list(turned.shared) == list(MODALITIES)


@each_model
@each_task
def test_config_rebuilds_the_model(name, task, tmp_path):
    model, (inputs, masks, _) = build(name, task).eval(), batch(task)
    config = json.loads(json.dumps(model.config))
    assert config["model"] == name
    rebuilt = type(model).from_config(config)
    assert rebuilt.config == model.config
    model.save_pretrained(tmp_path / "new" / "folder")
    loaded = load_pretrained(tmp_path / "new" / "folder")
    assert type(loaded) is type(model)
    assert not loaded.training
    assert loaded.config == model.config
    assert torch.equal(loaded(inputs, masks).prediction, model(inputs, masks).prediction)


def test_names():
    assert list_models() == sorted(list_models())
    assert "rtil" in list_models()
    list_models().append("x")
    assert "x" not in list_models()


@pytest.mark.bad_input
def test_unknown_names_suggest_the_nearest():
    with expect.error(UnknownNameError, "create_model: ", "'rtl'", "did you mean 'rtil'"):
        create_model("rtl", modalities=MODALITIES)
    with expect.error(UnknownNameError, "create_model: ", "'zzzzz'", "known names: ", "'rtil'"):
        create_model("zzzzz", modalities=MODALITIES)
    with expect.error(UnknownNameError, "RTIL: ", "'hidden_feature'", "did you mean 'hidden_features'"):
        create_model("rtil", modalities=MODALITIES, hidden_feature=3)


@each_model
@pytest.mark.parametrize(
    ("exception", "words", "arguments"),
    [
        (ModalityError, ("at least 2", "['a']"), {"modalities": {"a": 3}}),
        (DtypeError, ("modalities must map names to widths", "['a', 'b']"), {"modalities": ["a", "b"]}),
        (DtypeError, ("modality name", "3"), {"modalities": {"a": 3, 3: 1}}),
        (SettingError, ("modalities['b']", "0"), {"modalities": {"a": 3, "b": 0}}),
        (SettingError, ("num_outputs", "0"), {"num_outputs": 0}),
        (SettingError, ("num_outputs", "-1"), {"num_outputs": -1}),
        (SettingError, ("num_outputs", "'1'"), {"num_outputs": "1"}),
        (SettingError, ("task", "'sorting'"), {"task": "sorting"}),
    ],
)
@pytest.mark.bad_input
def test_bad_arguments(name, exception, words, arguments):
    with expect.error(exception, *words):
        create_model(name, **{"modalities": MODALITIES, **arguments})


@pytest.mark.bad_input
def test_a_checkpoint_of_an_unknown_model(tmp_path):
    (tmp_path / "config.json").write_text('{"model": "rtill"}')
    with expect.error(CheckpointError, str(tmp_path), "'rtill'", "did you mean 'rtil'"):
        load_pretrained(tmp_path)
