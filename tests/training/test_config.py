import dataclasses

import pytest

from mmdisentangle.errors import SettingError
from mmdisentangle.training import Config, load_config, save_config
from mmdisentangle.training.config import changed_settings


def test_defaults_then_file_then_single_settings(tmp_path):
    (tmp_path / "c.yaml").write_text("optim:\n  lr: 0.5\n  name: sgd\nmodel:\n  a: 1\n  b: {c: 2}\nseed: 3\n")
    config = load_config(tmp_path / "c.yaml", ["optim.lr=0.25", "model.b.d=[1, x]", "training.patience=4"])
    assert config.optim.lr == 0.25
    assert config.optim.name == "sgd"
    assert config.optim.warmup == Config().optim.warmup
    assert config.model == {"a": 1, "b": {"c": 2, "d": [1, "x"]}}
    assert (config.seed, config.training.patience) == (3, 4)


def test_no_file_and_no_settings_are_the_defaults():
    assert load_config() == Config()


def test_result_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_config().optim.lr = 1.0


def test_save_and_load(tmp_path):
    config = load_config(overrides=["model.x={y: [1, 2]}", "training.freeze=[a]", "training.reversal.settings.gamma=3"])
    save_config(config, tmp_path / "c.yaml")
    assert load_config(tmp_path / "c.yaml") == config


def test_null_and_scientific_notation():
    config = load_config(overrides=["training.patience=null", "optim.lr=1e-3", "optim.weight_decay=0"])
    assert config.training.patience is None
    assert config.optim.lr == 1e-3
    assert config.optim.weight_decay == 0.0


def test_changed_settings_names_each():
    before, after = load_config(overrides=["model.a=1"]), load_config(overrides=["optim.lr=0.5", "model.b=2"])
    assert changed_settings(before, after) == [
        "model.a: 1 -> not set",
        "model.b: not set -> 2",
        f"optim.lr: {Config().optim.lr} -> 0.5",
    ]
    assert changed_settings(before, before) == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lrr=1", "unknown key 'optim.lrr'; did you mean 'optim.lr'"),
        ("optin.lr=1", "unknown key 'optin'; did you mean 'optim'"),
        ("training.reversal.schedul=dann", "unknown key 'training.reversal.schedul'; did you mean"),
        ("optim.lr=fast", "--set optim.lr=fast: Value 'fast' of type 'str' could not be converted to Float"),
        ("seed=1.5", "could not be converted to Integer"),
        ("data=3", "data is a section, got the value 3; set one of its keys, for instance data.format"),
        ("model=3", "--set model=3: Cannot assign int"),
        ("optim", "--set must look like section.key=value, got 'optim'"),
        ("optim.lr=[1", "cannot read the value"),
        ("optim.lr=-1", "optim.lr must be a finite number with 0 < optim.lr, got -1.0"),
        ("optim.name=adamm", "optim.name must be one of .*did you mean 'adam'"),
        ("optim.clipping=norms", "optim.clipping must be one of"),
        ("data.batch_size=0", "data.batch_size must be an integer of at least 1, got 0"),
        ("data.validation_fraction=1", "data.validation_fraction must be"),
        ("data.standardize=yes", "data.standardize must be one of"),
        ("training.monitor=train/task", "training.monitor must be a validation value"),
        ("training.precision=64", "training.precision must be one of"),
        ("training.patience=0", "training.patience must be an integer of at least 1"),
        ("training.reversal.schedule=dan", "training.reversal.schedule must be one of .*did you mean 'dann'"),
        ("training.reversal.settings.gama=1", "'dann' has no setting 'gama'"),
        ("training.max_epochs=null", "training.max_epochs=null"),
        ("seed=-1", "seed must be an integer of at least 0"),
    ],
)
def test_wrong_settings_get_one_clear_sentence(override, message):
    with pytest.raises(SettingError, match=message) as caught:
        load_config(overrides=[override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optim: [", "is not a YAML file"),
        ("- a\n", "must hold sections such as 'optim:', got a list"),
        ("optim:\n  lrr: 1\n", "c.yaml: unknown key 'optim.lrr'"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(SettingError, match=message):
        load_config(tmp_path / "c.yaml")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such configuration file"):
        load_config(tmp_path / "none.yaml")
