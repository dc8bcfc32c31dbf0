import json
import math

import pytest
from PIL import Image
from typer.testing import CliRunner

from mmdisentangle.data import make_shared_private
from mmdisentangle.errors import SettingError, UnknownNameError
from mmdisentangle.training import RunFolder, load_config
from mmdisentangle.training.commands import app
from mmdisentangle.training.comparison import Comparison, Row, compare

FAST = ["training.max_epochs=2", "training.accelerator=cpu", "model.hidden_features=8", "optim.lr=1e-2"]


def data(count, seed):
    return make_shared_private(
        count, modalities={"a": 4, "b": 3}, lengths={"a": 6, "b": 4}, task="classification", seed=seed
    ).dataset


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    told = []
    result = compare(
        ["rtil", "late_fusion"],
        train=data(30, 0),
        test=data(20, 1),
        seeds=(0, 3),
        config=load_config(overrides=FAST),
        configs={"late_fusion": load_config(overrides=[*FAST, "optim.lr=1e-3"])},
        out=folder,
        report=lambda model, seed, metrics: told.append((model, seed)),
    )
    return folder, result, told


def test_every_model_has_every_seed_the_same_split_and_its_own_settings(compared):
    folder, result, told = compared
    assert told == [("rtil", 0), ("late_fusion", 0), ("rtil", 3), ("late_fusion", 3)]
    assert [row.model for row in result.rows] == ["rtil", "late_fusion"]
    for row in result.rows:
        assert len(row.scores["test"]["accuracy"]) == len(row.scores["validation"]["accuracy"]) == 2
        assert min(row.costs["seconds_per_epoch"]) > 0
        assert min(row.costs["memory"]) > 50
        for seed in (0, 3):
            metrics = RunFolder(folder / row.model / f"seed-{seed}").read_json("metrics.json")
            assert metrics["samples"] == result.samples == {"training": 25, "validation": 5, "test": 20}
            assert metrics["scores"]["test"]["accuracy"] == row.scores["test"]["accuracy"][(0, 3).index(seed)]
    rates = {
        model: load_config(folder / model / "seed-0" / "config.yaml").optim.lr for model in ("rtil", "late_fusion")
    }
    assert rates == {"rtil": 1e-2, "late_fusion": 1e-3}


def test_memory_of_a_run_is_its_own(compared):
    _, result, _ = compared
    # With what this process holds, a run would start far above the others.
    held = bytearray(1_500 * 2**20)
    assert max(memory for row in result.rows for memory in row.costs["memory"]) < len(held) / 2**20


def test_files(compared):
    folder, result, _ = compared
    content = json.loads((folder / "comparison.json").read_text())
    assert [row["model"] for row in content["rows"]] == ["rtil", "late_fusion"]
    values = content["rows"][0]["test"]["accuracy"]
    assert values["mean"] == pytest.approx(sum(values["values"]) / 2)
    table = (folder / "comparison.md").read_text()
    assert table == result.to_markdown()
    assert "| best constant answer |" in table
    assert "seeds 0, 3: mean ± standard deviation (n - 1)" in table
    with Image.open(folder / "comparison.png") as picture:
        assert picture.width > 1000


def test_finished_runs_are_kept_and_others_refused(compared, monkeypatch):
    folder, result, _ = compared
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("metrics.json")}
    arguments = {"train": data(30, 0), "test": data(20, 1), "seeds": (0, 3), "out": folder}
    configs = {"late_fusion": load_config(overrides=[*FAST, "optim.lr=1e-3"])}
    again = compare(["rtil", "late_fusion"], config=load_config(overrides=FAST), configs=configs, **arguments)
    assert again == result
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("metrics.json")}
    with pytest.raises(SettingError, match="holds a run with other settings"):
        compare(["rtil"], config=load_config(overrides=[*FAST, "optim.lr=2e-2"]), **arguments)


def test_undefined_scores_are_said_to_be():
    row = Row("m", 1, {"test": {"pearson": [math.nan, 0.5]}}, [1, 2], {"seconds_per_epoch": [1, 1], "memory": [1, 1]})
    comparison = Comparison("d", {"test": 2}, (0, 1), [row], {"pearson": math.nan}, 1)
    assert "| m | undefined |" in comparison.to_markdown()
    assert comparison.to_json()["rows"][0]["test"]["pearson"]["values"] == [None, 0.5]


@pytest.mark.parametrize(
    ("models", "seeds", "error", "message"),
    [
        (["rtill"], (0,), UnknownNameError, "no model is called 'rtill'; did you mean 'rtil'"),
        ([], (0,), SettingError, "at least one model and one seed"),
        (["rtil", "rtil"], (0,), SettingError, "models must be distinct"),
        (["rtil"], (1, 1), SettingError, "seeds must be distinct"),
    ],
)
def test_wrong_arguments(models, seeds, error, message, tmp_path):
    with pytest.raises(error, match=message):
        compare(models, train=data(30, 0), test=data(20, 1), seeds=seeds, out=tmp_path)


def test_wrong_settings_of_any_model_are_known_before_the_first_run(tmp_path):
    config = load_config(overrides=[*FAST])
    with pytest.raises(SettingError, match=r"MulT: no setting is called 'hidden_features'.* MODEL:KEY=VALUE"):
        compare(["rtil", "mult"], train=data(30, 0), test=data(20, 1), config=config, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command(tmp_path):
    out = str(tmp_path / "out")
    settings = [part for setting in FAST for part in ("--set", setting)]
    command = ["compare", "--models", "late_fusion", "--data", "basic-motions", "--seeds", "1", "--out", out]
    done = CliRunner().invoke(app, [*command, *settings, "--set", "late_fusion:optim.lr=1e-4"])
    assert done.exit_code == 0, done.output
    assert "late_fusion, seed 0: test accuracy" in done.output
    assert load_config(tmp_path / "out/late_fusion/seed-0/config.yaml").optim.lr == 1e-4
    wrong = CliRunner().invoke(app, [*command, "--set", "mea:optim.lr=1e-4"])
    assert wrong.exit_code == 2
    assert "is for 'mea', which is not among --models" in wrong.output
