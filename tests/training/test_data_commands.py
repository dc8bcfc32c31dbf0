import json

import pytest
from typer.testing import CliRunner

from mmdisentangle.data import load_dataset
from mmdisentangle.training.commands import app
from tests.data.research_files import WRITERS


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


@pytest.fixture
def write(tmp_path):
    def write_format(name, **settings):
        file, writer = WRITERS[name]
        writer(tmp_path / file, **settings)
        return tmp_path / file

    return write_format


@pytest.mark.parametrize("name", WRITERS)
def test_inspect_prints_what_is_there(write, name):
    file = write(name)
    done = run("inspect", file)
    assert done.exit_code == 0, done.output
    assert f": {name}" in done.output
    for word in ("train", "validation", "test", "text", "audio", "vision"):
        assert word in done.output
    found = json.loads(run("inspect", file, "--json", "--modalities", "audio,text").stdout)
    assert found["format"] == name
    assert list(found["splits"]["train"]["modalities"]) == ["audio", "text"]


@pytest.mark.parametrize("name", WRITERS)
def test_convert_writes_shards_with_the_same_samples(write, tmp_path, name):
    file, out = write(name, missing=0.3), tmp_path / "shards"
    done = run("convert", file, out, "--samples-per-shard", 5)
    assert done.exit_code == 0, done.output
    assert "24 samples in 5 files" in done.output
    assert run("inspect", out).output == done.output
    for split in ("train", "validation", "test"):
        before, after = load_dataset(file, split), load_dataset(out, split)
        assert before.modalities == after.modalities
        for one, other in zip(before, after, strict=True):
            assert one.id == other.id
            assert (one.target == other.target).all()
            for modality in before.modalities:
                x, y = one.inputs.get(modality), other.inputs.get(modality)
                assert (x is None or not len(x)) == (y is None or not len(y))
                assert x is None or not len(x) or (x == y).all()


def test_errors_are_one_sentence(write, tmp_path):
    file = write("mmsa")
    for arguments, sentence in (
        (("inspect", tmp_path / "none.pkl"), "no such data file"),
        (("inspect", file, "--sha256", "0" * 64), "the SHA-256 must be"),
        (("inspect", file, "--format", "mmsaa"), "did you mean 'mmsa'"),
        (("inspect", file, "--modalities", "txt"), "did you mean 'text'"),
        (("convert", file, tmp_path), "exists; choose another folder"),
        (("convert", file, tmp_path / "o", "--nonfinite", "keep"), "must be zero, mean or error"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2, done.output
        assert sentence in done.output
        assert "Traceback" not in done.output


def test_hostile_file_is_refused_in_one_sentence(tmp_path):
    mark = tmp_path / "executed"
    (tmp_path / "evil.pkl").write_bytes(f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode())
    done = run("inspect", tmp_path / "evil.pkl")
    assert done.exit_code == 2
    assert "posix.system" in done.output
    assert not mark.exists()


def test_warnings_about_the_data_are_one_sentence(tmp_path):
    from tests.data.research_files import write_npz

    write_npz(tmp_path / "own.npz")
    import numpy as np

    with np.load(tmp_path / "own.npz") as archive:
        arrays = dict(archive)
    arrays["train_audio"][0, 0, 0] = np.inf
    np.savez(tmp_path / "odd.npz", **arrays)
    done = run("inspect", tmp_path / "odd.npz")
    assert done.exit_code == 0
    assert "warning: " in done.output
    assert "not finite" in done.output
    assert ".py:" not in done.output
