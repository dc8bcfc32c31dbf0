import pytest

from benchmarks import comparison
from mmdisentangle import create_model, list_models
from mmdisentangle.training import load_config


def test_every_model_of_the_zoo_takes_part():
    assert sorted(comparison.MODELS) == list_models()


@pytest.mark.parametrize("name", comparison.RECORDINGS)
@pytest.mark.parametrize("model", comparison.MODELS)
def test_settings_build_the_model(name, model):
    common = comparison.RECORDINGS[name].settings
    config = load_config(overrides=[*common, *comparison.model_settings(model, comparison.HIDDEN[name])])
    task = {"task": "classification", "num_outputs": 27} if name == "utd_mhad" else {}
    built = create_model(model, modalities={"a": 8, "b": 4}, **task, **config.model)
    assert built.settings.task == task.get("task", "regression")
    assert config.training.selection == "best"
