"""Bounds of mutual information are on their side of the truth."""

import json
import math

import pytest
import torch

from benchmarks import mutual_information as benchmark

RESULT = benchmark.RESULTS / "mutual_information.json"


@pytest.fixture(scope="module")
def rows():
    return json.loads(RESULT.read_text(encoding="utf-8"))["bounds"]


def test_every_bound_at_every_information_is_recorded(rows):
    names = [*benchmark.BOUNDS, f"InfoNCE, N = {benchmark.SMALL}"]
    expected = {(name, information) for name in names for information in benchmark.INFORMATION}
    assert {(row["bound"], row["information"]) for row in rows} == expected
    assert all(len(row["seeds"]) == len(benchmark.SEEDS) for row in rows)


def test_committed_bounds_are_on_the_right_side(rows):
    """Of every seed by itself, by two standard errors."""
    for row in rows:
        sign = 1 if row["side"] == "upper" else -1
        assert row["gap"] == pytest.approx(sign * (row["mean"] - row["information"]))
        for seed in [row, *row["seeds"]]:
            assert sign * (seed["mean"] - row["information"]) > 2 * seed["standard_error"], row["bound"]


def test_committed_bounds_are_worth_having(rows):
    """Lower bounds find most of the information, or most of what their batch allows; CLUB comes near its own limit."""
    for row in rows:
        if row["bound"] in ("MINE", "NWJ", "InfoNCE"):
            assert row["mean"] > 0.88 * row["information"]
        elif row["bound"].startswith("InfoNCE, N"):
            assert 0.5 * row["information"] < row["mean"] < math.log(benchmark.SMALL)
        else:
            rho = benchmark.correlation(row["information"])
            assert row["mean"] == pytest.approx(benchmark.FEATURES * rho**2 / (1 - rho**2), rel=0.02)


def test_the_data_have_the_information():
    """The determinant of the covariance says so."""
    for information in benchmark.INFORMATION:
        x, y = benchmark.samples(benchmark.correlation(information), 200_000, torch.Generator().manual_seed(0))
        matrix = torch.cov(torch.cat((x, y), 1).T.double())
        sets = [matrix[: x.shape[1], : x.shape[1]], matrix[x.shape[1] :, x.shape[1] :]]
        found = (sum(part.logdet() for part in sets) - matrix.logdet()) / 2
        assert found.item() == pytest.approx(information, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", benchmark.BOUNDS)
def test_trained_anew(name):
    """Two nats, a fifth of the steps, another seed."""
    for part, found in benchmark.measure(name, 2.0, seed=17, steps=300).items():
        sign = 1 if benchmark.is_upper(part) else -1
        assert sign * (found["mean"] - 2.0) > 2 * found["standard_error"]
        if part in ("MINE", "NWJ", "InfoNCE"):
            assert found["mean"] > 1.6


@pytest.mark.slow
def test_without_training_club_is_no_upper_bound():
    """What the forgotten step of the released code comes to."""
    (found,) = benchmark.measure("CLUB", 2.0, seed=0, steps=0).values()
    assert found["mean"] < 0.5


def test_the_figure(rows, tmp_path):
    benchmark.draw(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert benchmark.PICTURE.exists()
