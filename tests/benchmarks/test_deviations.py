"""Every row of the deviations changes something, and is compared with the row it names."""

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks import deviations as benchmark
from benchmarks import disentanglement
from benchmarks._measure import RESULTS
from benchmarks.utd_mhad_data import MODALITIES
from mmdisentangle import create_model
from mmdisentangle.training import load_config

MEASURED = [
    (data, method)
    for method, found in benchmark.METHODS.items()
    for data in ("utd_mhad", "gaussian")
    if data == "utd_mhad" or found.gaussian is not None
]
ROWS = [(data, method, row) for data, method in MEASURED for row in benchmark.rows_on(data, method)]


def settings(data, method, row):
    """Settings of the model and of the training in a row."""
    found = benchmark.METHODS[method]
    default = found.gaussian.settings if data == "gaussian" else found.utd_mhad.model.keywords
    training = found.gaussian.training if data == "gaussian" else found.utd_mhad.settings
    change = benchmark.rows_on(data, method)[row]
    widths = MODALITIES if data == "utd_mhad" else disentanglement.WIDTHS
    task = "classification" if data == "utd_mhad" else "regression"
    model = create_model(method, modalities=widths, task=task, **benchmark.settings_of(default, change))
    return dataclasses.asdict(model.settings), load_config(overrides=[*training, *change.training]), change.aligned


@pytest.mark.parametrize(("data", "method", "row"), [case for case in ROWS if case[2] != "default"])
def test_every_row_changes_what_it_says(data, method, row):
    rows = benchmark.rows_on(data, method)
    against = rows[row].against if rows[row].against in rows else "default"
    found, reference = settings(data, method, row), settings(data, method, against)
    assert found != reference
    if not {"published", "preset"} & set(rows[row].settings):
        changed = {name for name, value in found[0].items() if value != reference[0][name]}
        assert changed == set(dict(set(rows[row].settings.items()) - set(rows[against].settings.items())))


def test_what_a_row_changes_of_the_training_counts(monkeypatch):
    """MEA keeps the strength of its reversal by default, so a row that lets it rise must come later."""
    given = []

    def trained(row, seed, data, overrides, settings, train_on, score_on):
        given.extend([*settings, *row.settings])
        assert (train_on, score_on) == ((1, 3, 5), (7,))
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark.utd_mhad, "trained", trained)
    with pytest.raises(KeyboardInterrupt):
        benchmark.on_utd_mhad("mea", "reversal", 0, Path("none.npz"), ["training.max_epochs=1"])
    assert load_config(overrides=given).training.reversal.schedule == "dann"


def test_what_is_published_keeps_only_its_width():
    change = benchmark.Change({"published": True})
    assert benchmark.settings_of({"hidden_features": 8, "feedforward_features": 32}, change) == {
        "hidden_features": 8,
        "published": True,
    }


def test_effects_are_differences_on_the_same_seeds():
    rows = {
        "default": {"accuracy": {"values": [0.5, 0.7]}},
        "a": {"accuracy": {"values": [0.6, 0.6]}},
        "b": {"accuracy": {"values": [0.5, 0.9]}},
        "none": {"accuracy": {"values": [None, None]}},
        "lost": {"accuracy": {"values": [0.5, 0.7]}},
    }
    changes = {name: benchmark.Change() for name in rows}
    changes["b"] = benchmark.Change(against="a")
    changes["lost"] = benchmark.Change(against="aligned")
    found = benchmark.effects(rows, changes, ["accuracy"])
    assert set(found) == {"a", "b", "none", "lost"}
    assert found["a"]["accuracy"]["values"] == pytest.approx([0.1, -0.1])
    assert found["b"]["against"] == "a"
    assert found["b"]["accuracy"]["mean"] == pytest.approx(0.1)
    assert found["b"]["accuracy"]["std"] == pytest.approx(0.2 * 2**0.5)
    assert found["none"] == {"against": "default"}
    assert found["lost"]["against"] == "default"


@pytest.mark.parametrize(("data", "method"), MEASURED)
def test_every_row_is_recorded(data, method):
    recorded = json.loads((RESULTS / f"deviations_{data}_{method}.json").read_text(encoding="utf-8"))
    assert list(recorded["rows"]) == list(benchmark.rows_on(data, method))
    seeds = recorded["rows"]["default"]["seeds"]
    assert len(seeds) > 1
    assert all(row["seeds"] == seeds for row in recorded["rows"].values())
    if data == "utd_mhad":
        assert f"training.max_epochs={benchmark.METHODS[method].epochs}" in recorded["settings"]


@pytest.mark.slow
def test_a_gaussian_row_is_judged():
    found = benchmark.on_gaussian("misa", "code_gain", 0, ["training.max_epochs=1", "model.encoder_blocks=1"])
    assert found["row"] == "code_gain"
    assert set(benchmark.ON_GAUSSIAN) <= set(found)
