"""Every format that people have, through every model of the zoo, from the command line."""

import json

import pytest
from typer.testing import CliRunner

from mmdisentangle import list_models
from mmdisentangle.training import fitting
from mmdisentangle.training.commands import app
from tests.data.research_files import WRITERS

SMALL = {
    "rtil": ["hidden_features=8", "num_heads=2"],
    "mea": ["features=8", "hidden_features=8", "num_heads=2", "feedforward_features=8", "hca_layers=1"],
    "misa": ["hidden_features=8"],
    "mult": ["features=8", "num_heads=2", "cross_layers=1", "memory_layers=1"],
    "late_fusion": ["hidden_features=8"],
    "early_fusion": ["hidden_features=8"],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    found = {}
    for name, (file, write) in WRITERS.items():
        (folder / name).mkdir()
        write(folder / name / file, missing=0.2)
        found[name] = folder / name / file
    shards = folder / "shards"
    assert CliRunner().invoke(app, ["data", "convert", str(found["mult"]), str(shards)]).exit_code == 0
    return {**found, "shards": shards}


def test_every_model_is_tried():
    assert set(SMALL) == set(list_models())


@pytest.mark.slow
@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("name", [*WRITERS, "shards"])
def test_trains_end_to_end(files, tmp_path, monkeypatch, model, name):
    # Drawing takes most of the time of so short a run, and is tested elsewhere.
    monkeypatch.setattr(fitting, "plot_scores", lambda *args, **kwargs: None)
    monkeypatch.setattr(fitting, "plot_loss_terms", lambda *args, **kwargs: None)
    settings = [f"model.{setting}" for setting in SMALL[model]]
    settings += ["training.max_epochs=2", "training.accelerator=cpu", "training.metrics=[mosi]"]
    chosen = [part for setting in settings for part in ("--set", setting)]
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["train", model, "--data", str(files[name]), "--out", str(out), *chosen])
    assert done.exit_code == 0, done.output
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["samples"] == {"training": 24, "validation": 8, "test": 8}
    assert 0 <= metrics["scores"]["test"]["acc2_has0"] <= 1
    again = CliRunner().invoke(app, ["evaluate", str(out)])
    assert again.exit_code == 0, again.output
    assert f"{metrics['scores']['test']['mae']:.4f}" in again.output.replace("\n", "")
