"""The setting training.metrics: which scores a run is judged by."""

import json

import pytest
from typer.testing import CliRunner

from mmdisentangle.errors import SettingError, UnknownNameError
from mmdisentangle.evaluation.scores import METRIC_SETS
from mmdisentangle.training import fit, load_config
from mmdisentangle.training.commands import app


def test_named_scores_are_logged_monitored_and_reported(make_data, make_config, toy_model, tmp_path):
    data = make_data(48, task="regression")
    config = make_config("training.metrics=[mosi]", "training.monitor=val/acc2_non0", epochs=3)
    result = fit(config, train=data, test=data, model=toy_model, out=tmp_path / "run")
    assert tuple(result.scores["test"]) == METRIC_SETS["mosi"]
    judged = [row["val/acc2_non0"] for row in result.history]
    assert result.epoch == 1 + judged.index(max(judged))
    assert json.loads((tmp_path / "run/metrics.json").read_text())["scores"]["test"].keys() == set(METRIC_SETS["mosi"])
    assert (tmp_path / "run/scores.png").stat().st_size > 10_000


def test_unknown_score_is_named_before_anything_is_written(make_data, make_config, toy_model, tmp_path):
    with pytest.raises(UnknownNameError, match="no score of a classification is called 'acc7'"):
        fit(make_config("training.metrics=[acc7]"), train=make_data(), model=toy_model, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_monitor_must_be_a_score_of_the_run(make_data, make_config, tmp_path):
    config = make_config("training.monitor=val/acc2_non0")
    with pytest.raises(SettingError, match=r"name it in training\.metrics, too"):
        fit(config, train=make_data(task="regression"), model="late_fusion", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_names_need_no_brackets():
    config = load_config(overrides=["training.metrics=mosi,acc5", "data.modalities=[a, b]", "training.freeze=a"])
    assert (config.training.metrics, config.data.modalities, config.training.freeze) == (
        ["mosi", "acc5"],
        ["a", "b"],
        ["a"],
    )
    assert load_config(overrides=["training.metrics=null"]).training.metrics is None


def test_evaluate_takes_other_scores(tmp_path):
    runner = CliRunner()
    settings = ["training.max_epochs=1", "training.accelerator=cpu", "model.hidden_features=8"]
    chosen = [part for setting in settings for part in ("--set", setting)]
    run = str(tmp_path / "run")
    assert runner.invoke(app, ["train", "rtil", "--data", "basic-motions", "--out", run, *chosen]).exit_code == 0
    shown = runner.invoke(app, ["evaluate", run, "--metrics", "weighted_f1,balanced_accuracy"])
    assert shown.exit_code == 0, shown.output
    assert "weighted_f1" in shown.output
    assert "macro_f1" not in shown.output
    wrong = runner.invoke(app, ["evaluate", run, "--metrics", "mae"])
    assert wrong.exit_code == 2
    assert "no score of a classification is called 'mae'" in wrong.output
