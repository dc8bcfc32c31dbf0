import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from mmdisentangle.errors import CheckpointError, SettingError
from mmdisentangle.training import Config, RunFolder, fit, fitting
from mmdisentangle.training.runs import fingerprint

KILLED = """
import os, signal, sys
from mmdisentangle.data import make_shared_private
from mmdisentangle.training import fit, load_config
from tests.toy_model import ToyModel, jitter
calls = 0
def transform(sample, generator):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return jitter(sample, generator)
data = make_shared_private(48, modalities={"a": 4, "b": 3}, lengths={"a": 12, "b": 7}, task="classification").dataset
config = load_config(overrides=sys.argv[3:])
fit(config, train=data, test=data, model=ToyModel, out=sys.argv[1], transform=transform)
"""


def outcome(folder):
    metrics = RunFolder(folder).read_json("metrics.json")
    # What is measured.
    del metrics["cost"]
    return (
        metrics,
        json.loads((folder / "history.json").read_text()),
        load_file(folder / "checkpoint/model.safetensors"),
    )


def assert_same(first, second):
    assert first[0] == second[0]
    assert first[1] == second[1]
    assert first[2].keys() == second[2].keys()
    assert all(torch.equal(first[2][name], second[2][name]) for name in first[2])


def interrupt(run, folder, monkeypatch, *overrides):
    """Break off after the training, before the run is finished."""

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device", "scores.png")

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "plot_scores", fail)
        with pytest.raises(OSError, match="No space left"):
            run(folder, *overrides)


@pytest.fixture
def run(make_data, make_config, toy_model, add_noise):
    def run(out, *overrides, count=48, **settings):
        data = make_data(count)
        given = {"test": data, "model": toy_model, "transform": add_noise, **settings}
        return fit(make_config(*overrides), train=data, out=out, **given)

    return run


def test_folder_of_a_finished_run(run, tmp_path):
    result = run(tmp_path / "run")
    found = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*") if path.is_file()}
    events = {name for name in found if name.startswith("tensorboard/")}
    assert any("tfevents" in name for name in events)
    assert found - events == {
        "config.yaml",
        "run.json",
        "history.json",
        "checkpoint/config.json",
        "checkpoint/model.safetensors",
        "checkpoint/standardizer.json",
        "loss_terms.png",
        "scores.png",
        "metrics.json",
    }
    metrics = RunFolder(tmp_path / "run").read_json("metrics.json")
    assert metrics["status"] == "complete"
    assert metrics["scores"] == result.scores
    assert metrics["epoch"] == result.epoch
    assert metrics["samples"] == {"training": 38, "validation": 10, "test": 48}
    assert RunFolder(tmp_path / "run").status == "complete"


def test_killed_run_resumes_to_the_same_bits(run, tmp_path, repository):
    run(tmp_path / "whole")
    # Of 38 training samples an epoch; so the process dies in the middle of the third epoch.
    calls = 90
    overrides = ["training.max_epochs=4", "training.accelerator=cpu", "data.batch_size=16", "optim.lr=1e-2"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(calls), *overrides],
        capture_output=True,
        text=True,
        check=False,
        cwd=repository,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": str(repository)},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    folder = RunFolder(tmp_path / "killed")
    assert folder.status == "unfinished"
    with pytest.raises(CheckpointError, match="is unfinished; run its train command again to finish it"):
        folder.load()
    assert torch.load(folder.checkpoint, weights_only=False)["global_step"] == 2 * 3
    run(tmp_path / "killed")
    assert_same(outcome(tmp_path / "killed"), outcome(tmp_path / "whole"))
    assert not folder.checkpoint.exists()


def test_run_that_stopped_after_training_is_finished_without_training(run, tmp_path, monkeypatch):
    settings = ["training.patience=1", "optim.lr=3.0", "optim.schedule=constant", "training.max_epochs=30"]
    run(tmp_path / "whole", *settings)

    interrupt(run, tmp_path / "stopped", monkeypatch, *settings)
    assert RunFolder(tmp_path / "stopped").status == "unfinished"
    calls = []
    run(tmp_path / "stopped", *settings, transform=lambda sample, generator: calls.append(1) or sample)
    assert not calls
    assert_same(outcome(tmp_path / "stopped"), outcome(tmp_path / "whole"))


def test_finished_run_is_not_overwritten_unless_asked(run, tmp_path):
    run(tmp_path / "run")
    with pytest.raises(SettingError, match="holds a finished run; use --overwrite to replace it, or another --out"):
        run(tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    run(tmp_path / "run", "seed=1", overwrite=True)
    assert RunFolder(tmp_path / "run").read_json("metrics.json")["seed"] == 1
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_unfinished_run_of_other_settings_or_data_is_not_resumed(run, make_data, tmp_path, monkeypatch):
    interrupt(run, tmp_path / "run", monkeypatch)
    with pytest.raises(SettingError, match=r"other settings \(optim.lr: 0.01 -> 0.5\); use the same ones"):
        run(tmp_path / "run", "optim.lr=0.5")
    with pytest.raises(SettingError, match=r"other settings \(training_data: "):
        run(tmp_path / "run", count=40)
    run(tmp_path / "run", "optim.lr=0.5", overwrite=True)


def test_damaged_checkpoint_of_an_unfinished_run_is_named(run, tmp_path, monkeypatch):
    interrupt(run, tmp_path / "run", monkeypatch)
    for name in ("last.ckpt", "previous.ckpt"):
        checkpoint = tmp_path / "run" / name
        checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"no checkpoint in .*run can be read; use --overwrite"):
        run(tmp_path / "run")


def damage(path):
    """Turn over one bit in the middle of the file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_where_the_last_checkpoint_is_damaged_the_previous_one_is_taken(run, tmp_path, monkeypatch):
    run(tmp_path / "whole")
    for hurt in (damage, lambda path: path.write_bytes(path.read_bytes()[:-1]), lambda path: path.unlink()):
        interrupt(run, tmp_path / "run", monkeypatch)
        hurt(tmp_path / "run" / "last.ckpt")
        assert RunFolder(tmp_path / "run").find_checkpoint().name == "previous.ckpt"
        run(tmp_path / "run")
        assert_same(outcome(tmp_path / "run"), outcome(tmp_path / "whole"))
        shutil.rmtree(tmp_path / "run")


def test_a_checkpoint_with_any_byte_changed_is_whole_or_not(tmp_path):
    """Whatever the headers of the archive say now; and no change of a tensor's bytes is overlooked."""
    place = RunFolder(tmp_path).checkpoint
    torch.save({"x": torch.arange(64.0)}, place)
    content, tensor = place.read_bytes(), torch.arange(64.0).numpy().tobytes()
    first = content.index(tensor)
    for position in range(len(content)):
        for flip in (0x01, 0x08, 0x40, 0xFF):
            place.write_bytes(content[:position] + bytes([content[position] ^ flip]) + content[position + 1 :])
            try:
                found = RunFolder(tmp_path).find_checkpoint()
            except CheckpointError:
                continue
            assert found == place
            assert not first <= position < first + len(tensor)


def test_run_without_a_whole_epoch_is_started_again_with_any_settings(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert folder.status == "absent"
    assert folder.begin(Config(), {"model": "a"}) is False
    assert folder.status == "unfinished"
    assert folder.begin(Config(seed=5), {"model": "b"}) is False
    assert folder.read_json("run.json") == {"model": "b"}


def test_foreign_folder_is_left_alone(run, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(SettingError, match="exists and is not a run folder; choose another --out"):
            run(tmp_path, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such run folder"):
        RunFolder(tmp_path / "none").load()
    with pytest.raises(CheckpointError, match="is not a run folder"):
        RunFolder(tmp_path).load()
    (tmp_path / "seed-3").mkdir()
    (tmp_path / "seed-3" / "run.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is not a run folder; it holds the runs seed-3, name one of them"):
        RunFolder(tmp_path).load()
    for text in ("{", "{}", "[]", '{"status": "running"}'):
        (tmp_path / "seed-3" / "metrics.json").write_text(text)
        with pytest.raises(
            CheckpointError, match=r"metrics.json (cannot be read|does not say that the run is complete)"
        ):
            RunFolder(tmp_path / "seed-3").load()


def test_fingerprint_sees_values_shapes_and_targets(make_data):
    data = make_data(4)
    changed = make_data(4)
    assert fingerprint(data) == fingerprint(changed)
    changed[1].inputs["a"][0, 0] += 1
    assert fingerprint(data) != fingerprint(changed)
    assert fingerprint(data) != fingerprint(data.subset([0, 1, 2]))


KILLER = """
import json, os, random, signal, sys, time
import torch
from mmdisentangle.data import make_shared_private
from mmdisentangle.training import RunFolder, fit, load_config
from mmdisentangle.training.fitting import DisentanglementModule
from tests.toy_model import ToyModel
out, kills = sys.argv[1], int(sys.argv[2])
data = make_shared_private(16, modalities={"a": 4, "b": 3}, lengths=4, task="classification").dataset
# Weights, the best weights and two moments: a file of some 30 MB.
settings = ["training.max_epochs=400", "training.accelerator=cpu", "model.hidden_features=60000", "model.dropout=0"]
folder, part = RunFolder(__import__("pathlib").Path(out)), os.path.join(out, "last.ckpt.part")
random.seed(0)
hits, epochs = 0, []
for _ in range(kills):
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        fit(load_config(overrides=settings), train=data, model=ToyModel, out=out)
        os._exit(9)
    # Two whole epochs first, then any moment of a write, or shortly after it.
    seen = os.path.getmtime(folder.checkpoint) if folder.checkpoint.exists() else 0
    while not (folder.checkpoint.exists() and os.path.getmtime(folder.checkpoint) > seen):
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the run did not resume"
        time.sleep(0.001)
    while not os.path.exists(part):
        time.sleep(0.0005)
    time.sleep(random.uniform(0, 0.06))
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    hits += os.path.exists(part)
    found = torch.load(folder.find_checkpoint(), weights_only=False)
    epochs.append(found["epoch"])
print(json.dumps({"hits": hits, "epochs": epochs}))
"""


@pytest.mark.slow
def test_killed_while_it_writes_it_resumes(tmp_path, repository):
    """Ten times ``kill -9`` at a random moment of a write; every run goes on from a whole checkpoint."""
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path / "run"), "10"],
        capture_output=True,
        text=True,
        check=False,
        cwd=repository,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # Each run got further than the one before; most were killed inside the write.
    assert found["epochs"] == sorted(set(found["epochs"]))
    assert found["hits"] >= 3
