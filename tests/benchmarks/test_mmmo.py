"""The rows of the MMMO benchmark train, with clips that lack modalities, on made-up numbers."""

import json

import pytest
import torch

from benchmarks._measure import RESULTS
from benchmarks.mmmo import ROWS, SETTINGS, scores, train
from benchmarks.mmmo_data import MODALITIES, Clip


def clips(count, without=()):
    generator = torch.Generator().manual_seed(count)
    return [
        Clip(
            {
                name: torch.randn(2 + index % 3, width, generator=generator)
                for name, width in MODALITIES.items()
                if name not in without
            },
            1.0 + index % 5,
            f"{count}-{index}",
        )
        for index in range(count)
    ]


@pytest.mark.parametrize("row", ROWS)
def test_rows_survive_missing_modalities(row):
    training = [*clips(5), *clips(18, without=("text",)), *clips(3, without=("vision", "audio"))]
    scored = [*clips(2), *clips(3, without=("text",))]
    trained = train(row, 0, training, scored, {}, [*SETTINGS, "training.max_epochs=1", "data.batch_size=4"])
    assert trained.prediction.shape == (5,)
    assert trained.prediction.isfinite().all()
    if row == "constant":
        assert trained.prediction.tolist() == pytest.approx([sum(c.sentiment for c in training) / len(training)] * 5)
    elif row != "text":
        assert trained.prediction.unique().numel() > 1


def test_scores():
    three = [Clip({}, value, "") for value in (1.0, 4.0, 5.0)]
    values = scores(torch.tensor([2.0, 3.0, 4.0]), three)
    assert values["mae"] == pytest.approx(1)
    assert values["accuracy"] == pytest.approx(2 / 3)
    assert values["pearson"] == pytest.approx(0.9608, abs=1e-4)
    assert scores(torch.full((3,), 3.0), three)["pearson"] is None


def test_errors_of_the_cross_validation_are_those_of_the_page():
    recorded = json.loads((RESULTS / "mmmo_validation.json").read_text(encoding="utf-8"))
    assert list(recorded["rows"]) == list(ROWS)
    page = (RESULTS.parents[1] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    told = page.partition("`mmmo_validation.json`)")[2].partition(". ")[0]
    for row, name in (("rtil", "RTIL"), ("mea", "MEA"), ("late_fusion", "late fusion"), ("vision", "vision")):
        assert f"{recorded['rows'][row]['mae']:.3f} ({name})" in " ".join(told.split())
