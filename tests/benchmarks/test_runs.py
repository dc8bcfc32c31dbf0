import json
from functools import partial

import pytest

from benchmarks._runs import cached, in_processes, model_settings, parse, parser, summary


def _double(number):
    return {"value": 2 * number}


def test_finished_runs_are_kept(tmp_path, capsys):
    path = tmp_path / "kept" / "a-0.json"
    calls = []

    def run(**arguments):
        calls.append(arguments)
        return {"score": 0.5}

    for _ in range(2):
        assert cached(path, run, lambda result: f"score {result['score']}", seed=0) == {"score": 0.5}
    assert calls == [{"seed": 0}]
    assert capsys.readouterr().out == "score 0.5\n"
    assert json.loads(path.read_text(encoding="utf-8")) == {"score": 0.5}
    assert [entry.name for entry in path.parent.iterdir()] == ["a-0.json"]


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def run():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path / "a-0.json", run, str)
    assert not list(tmp_path.iterdir())


def test_results_keep_their_order():
    results = in_processes([partial(_double, number) for number in range(5)], workers=2)
    assert [result["value"] for result in results] == [0, 2, 4, 6, 8]


def test_summary():
    runs = [{"parameters": 7, "seed": seed, "mae": float(seed), "pearson": None} for seed in range(3)]
    result = summary(runs, ("mae", "pearson"))
    assert (result["parameters"], result["seeds"]) == (7, [0, 1, 2])
    assert result["mae"] == {"mean": 1.0, "std": 1.0, "values": [0.0, 1.0, 2.0]}
    assert result["pearson"] == {"mean": None, "std": None, "values": [None] * 3}
    assert summary(runs[:1], ("mae",))["mae"]["std"] == 0.0


def test_arguments(tmp_path, monkeypatch, capsys):
    options = parser("text", {"a": 1, "b": 2}, "file.npz", tmp_path)
    assert model_settings(["width=3", "loss=mse", "rates=[1, 2]"]) == {"width": 3, "loss": "mse", "rates": [1, 2]}
    monkeypatch.setattr("sys.argv", ["name", "--data", str(tmp_path / "no.npz")])
    with pytest.raises(SystemExit):
        parse(options)
    assert "no.npz is no file" in capsys.readouterr().err
    (tmp_path / "no.npz").touch()
    arguments = parse(options)
    assert (arguments.rows, arguments.seeds, arguments.quick) == (["a", "b"], 5, False)
