"""What the methods reach on data whose factors are known."""

import json

import pytest

from benchmarks import disentanglement as benchmark
from benchmarks._measure import RESULTS


@pytest.fixture(scope="module")
def recorded():
    return json.loads((RESULTS / "disentanglement.json").read_text(encoding="utf-8"))


def test_every_row_and_seed_is_recorded_with_its_settings(recorded):
    assert list(recorded["rows"]) == list(benchmark.ROWS)
    assert recorded["settings"] == benchmark.SETTINGS
    for name, row in benchmark.ROWS.items():
        assert recorded["models"][name] == {
            "model": row.model,
            "settings": {**row.settings},
            "training": list(row.training),
        }
        assert recorded["rows"][name]["seeds"] == [0, 1, 2, 3, 4]


def test_what_the_library_reaches(recorded):
    """Of the mean over seeds; without the terms everything is read from everything."""
    rows = recorded["rows"]
    plain, reached = rows[benchmark.BASELINE], rows[benchmark.REACHES]
    assert plain["modality_in_shared"]["mean"] > 0.9
    assert reached["modality_in_shared"]["mean"] <= 0.15
    assert reached["modality_in_private"]["mean"] >= 0.85
    assert reached["pearson"]["mean"] >= 0.98 * plain["pearson"]["mean"]


@pytest.mark.slow
def test_a_row_is_judged():
    row = benchmark.ROWS["MISA"]
    found = benchmark.run(row, 0, ["training.max_epochs=1", "model.encoder_blocks=1"])
    assert set(benchmark.SCORES) <= set(found)
    assert found["modality_in_shared"] > 0.9
    assert found["shared_in_shared"] > 0.3
