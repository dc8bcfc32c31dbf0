import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import mmdisentangle
from mmdisentangle.training import RunFolder
from mmdisentangle.training.commands import app

FAST = [
    "--set=training.max_epochs=2",
    "--set=training.accelerator=cpu",
    "--set=model.hidden_features=8",
    "--set=model.num_heads=2",
    "--set=model.encoder_blocks=1",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two modalities of which one tells the class, of unequal lengths."""
    generator = np.random.default_rng(0)
    arrays = {"task": np.array("classification")}
    for split, count in (("train", 30), ("test", 12)):
        target = np.arange(count) % 2
        arrays[f"{split}_target"] = np.array(["rest", "walk"])[target]
        arrays[f"{split}_wrist"] = generator.normal(size=(count, 6, 2)) + 3 * target[:, None, None]
        arrays[f"{split}_belt"] = generator.normal(size=(count, 4, 3))
        arrays[f"{split}_belt_lengths"] = np.arange(count) % 5
    path = tmp_path_factory.mktemp("data") / "own.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def call():
    def call(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture(scope="module")
def finished(call, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    shown = call("train", "rtil", "--data", data, "--out", out, "--seed", 3, *FAST).output
    return out, shown


def test_version_and_models(call):
    assert call("--version").output.strip() == mmdisentangle.__version__
    assert call("models").output.split() == mmdisentangle.list_models()


def test_train_shows_scores_and_writes_the_run(finished, data):
    out, shown = finished
    assert "rtil-own: test scores" in shown
    assert "accuracy" in shown
    assert str(out) in shown
    metrics = RunFolder(out).read_json("metrics.json")
    assert metrics["status"] == "complete"
    assert metrics["seed"] == 3
    assert f"{metrics['scores']['test']['accuracy']:.4f}" in shown
    assert RunFolder(out).read_json("run.json")["data"] == str(data)


def test_evaluate_gives_the_scores_of_the_run(call, finished):
    out, _ = finished
    shown = call("evaluate", out).output
    for value in RunFolder(out).read_json("metrics.json")["scores"]["test"].values():
        assert f"{value:.4f}" in shown
    assert "train" in call("evaluate", out, "--split", "train").output


def test_predict_writes_one_row_per_sample(call, finished, data, tmp_path):
    out, _ = finished
    call("predict", out, "--data", data, "--out", tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert list(rows[0]) == ["id", "target", "prediction", "probability_rest", "probability_walk"]
    right = sum(row["target"] == row["prediction"] for row in rows) / len(rows)
    assert right == pytest.approx(RunFolder(out).read_json("metrics.json")["scores"]["test"]["accuracy"])


def test_finished_run_is_refused_and_overwrite_replaces_it(call, data, tmp_path):
    command = ["train", "rtil", "--data", data, "--out", tmp_path / "run", *FAST]
    call(*command)
    before = (tmp_path / "run" / "metrics.json").stat().st_mtime_ns
    refused = call(*command, code=2)
    assert "holds a finished run; use --overwrite" in refused.stderr
    assert (tmp_path / "run" / "metrics.json").stat().st_mtime_ns == before
    call(*command, "--overwrite")
    assert (tmp_path / "run" / "metrics.json").stat().st_mtime_ns > before


def test_several_seeds(call, data, tmp_path):
    out = tmp_path / "series"
    command = ["train", "rtil", "--data", data, "--seeds", "0,2", "--out", out, *FAST]
    shown = call(*command).output
    summary = json.loads((out / "metrics.json").read_text())
    values = [
        RunFolder(out / f"seed-{seed}").read_json("metrics.json")["scores"]["test"]["accuracy"] for seed in (0, 2)
    ]
    assert summary["summary"]["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert summary["summary"]["accuracy"]["standard_deviation"] == pytest.approx(np.std(values, ddof=1))
    assert f"{np.mean(values):.4f}" in shown
    assert "standard deviation" in shown
    assert (out / "scores.png").stat().st_size > 5000
    assert "finished series" in call(*command, code=2).stderr

    # A series that stopped between its runs takes up the finished ones.
    (out / "metrics.json").unlink()
    (out / "seed-2" / "metrics.json").unlink()
    before = (out / "seed-0" / "metrics.json").stat().st_mtime_ns
    call(*command)
    assert json.loads((out / "metrics.json").read_text()) == summary
    assert (out / "seed-0" / "metrics.json").stat().st_mtime_ns == before

    assert "it holds the runs seed-0, seed-2" in call("evaluate", out, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "rtl", "--data", "basic-motions"], "no model is called 'rtl'; did you mean 'rtil'?"),
        (["train", "rtil", "--data", "basic-motion"], "did you mean 'basic-motions'?"),
        (["train", "rtil", "--data", "none.npz"], "no such data file: none.npz."),
        (["train", "rtil", "--data", "basic-motions", "--config", "no.yaml"], "no such configuration file: no.yaml."),
        (["train", "rtil", "--data", "basic-motions", "--set", "optim.lrr=1"], "did you mean 'optim.lr'"),
        (["train", "rtil", "--data", "basic-motions", "--seeds", "a"], "--seeds must be distinct"),
        (["train", "rtil", "--data", "basic-motions", "--seeds", "1,1"], "--seeds must be distinct"),
        (["train", "rtil", "--data", "basic-motions", "--seeds", "1", "--seed", "1"], "--seed or --seeds, not both"),
        (["train", "rtil", "--data", "basic-motions", "--set", "model.hiden_features=3"], "'hidden_features'"),
        (["evaluate", "none"], "no such run folder: none."),
        (["evaluate", "."], "is not a run folder"),
        (["predict", ".", "--data", "basic-motions"], "is not a run folder"),
    ],
)
def test_errors_of_the_user_are_one_sentence(call, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    result = call(*arguments, code=2)
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_unfinished_run_is_not_evaluated(call, finished, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    assert "is unfinished; run its train command again" in call("evaluate", tmp_path, code=2).stderr
    assert "is unfinished" in call("predict", tmp_path, "--data", "basic-motions", code=2).stderr


def test_data_of_another_kind_is_refused(call, finished):
    out, _ = finished
    assert "was trained on the modalities" in call("evaluate", out, "--data", "basic-motions", code=2).stderr


def test_damaged_weights_are_named(call, data, tmp_path):
    call("train", "rtil", "--data", data, "--out", tmp_path / "run", *FAST)
    (tmp_path / "run" / "checkpoint" / "model.safetensors").write_bytes(b"nonsense")
    assert "model.safetensors cannot be read" in call("evaluate", tmp_path / "run", code=2).stderr


def test_process_says_nothing_but_its_own_lines(data, tmp_path):
    command = [sys.executable, "-m", "mmdisentangle.training.cli", "train", "rtil", "--data", str(data)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "run"), *FAST], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "Lightning" not in done.stdout
    assert "epoch 2/2" in done.stdout
    assert "test scores" in done.stdout


@pytest.mark.slow
def test_devices_starts_processes(data, tmp_path, repository):
    """One command, two processes: one voice, one run folder, one sentence where something is wrong."""

    def start(*overrides):
        command = [sys.executable, "-m", "mmdisentangle.training.cli", "train", "rtil", "--data", str(data), *FAST]
        command += ["--devices", "2", "--out", str(tmp_path / "run"), *overrides]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=repository)

    done = start("--set=training.freeze=[wirst]")
    assert done.returncode == 2
    assert done.stderr.startswith("error: settings: training.freeze names 'wirst'")
    assert done.stderr.count("\n") == 1
    done = start()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("rtil-own: test scores") == 1
    metrics = RunFolder(tmp_path / "run").read_json("metrics.json")
    assert metrics["samples"] == {"training": 24, "validation": 6, "test": 12}
    assert not list((tmp_path / "run").glob("*.ckpt*"))


def test_report_names_a_dead_discriminator(call, data, tmp_path):
    trained = call(
        "train", "rtil", "--data", data, "--out", tmp_path / "run", *FAST, "--set=model.adversarial_weight=0"
    )
    assert "warning: adversary 'discriminator' is dead" in trained.stderr
    text = " ".join(call("report", tmp_path / "run", "--permutations", 5).output.split())
    assert "Is the adversary 'discriminator' alive? No: it gets no gradient" in text


def test_report_of_a_run(call, finished, data, tmp_path):
    out, _ = finished
    shown = call("report", out, "--permutations", 20, "--out", tmp_path / "report")
    text = " ".join(shown.output.split())
    assert "Are the shared codes free of the modality?" in text
    assert "Is the adversary 'discriminator' alive?" in text
    assert "shared[" in text
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["samples"] == 12
    assert set(found["adversaries"]) == {"discriminator"}
    assert "<svg" in (tmp_path / "report" / "report.html").read_text()
    assert "--permutations must be at least 1, got 0" in call("report", out, "--permutations", 0, code=2).stderr
    assert "is not a run folder" in call("report", tmp_path, code=2).stderr
