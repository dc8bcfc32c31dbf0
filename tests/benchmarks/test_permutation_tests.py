"""Permutation tests hold their level: the committed 1,000 draws, and fewer drawn again."""

import json

import pytest
from scipy.stats import binom

from benchmarks import permutation_tests
from benchmarks._measure import RESULTS
from benchmarks.permutation_tests import LEVEL, LEVEL_HELD, MISUSE, POWER, ROWS, alarms

COMMITTED = json.loads((RESULTS / "permutation_tests.json").read_text(encoding="utf-8"))


def rows_of(kind):
    return [name for name, row in ROWS.items() if row[2] == kind]


def rate(name):
    row = COMMITTED["rows"][name]
    return row["alarms"] / row["draws"]


def test_the_committed_result_is_of_these_rows():
    assert {name: row["kind"] for name, row in COMMITTED["rows"].items()} == {
        name: row[2] for name, row in ROWS.items()
    }
    assert COMMITTED["permutations"] == permutation_tests.PERMUTATIONS


@pytest.mark.parametrize("name", rows_of(LEVEL_HELD))
def test_false_alarms(name):
    assert COMMITTED["rows"][name]["draws"] >= 1000
    assert 0.03 <= rate(name) <= 0.07


@pytest.mark.parametrize("name", rows_of(LEVEL_HELD))
def test_false_alarms_again(name):
    """Fewer draws and permutations (39: p <= .05 for two of 40); bounds that one run in a million misses."""
    draws = 200
    assert binom.ppf(5e-7, draws, LEVEL) <= alarms(name, draws, permutations=39) <= binom.isf(5e-7, draws, LEVEL)


@pytest.mark.parametrize("name", sorted({*rows_of(POWER)} - {"HSIC, linear: squares"}))
def test_power(name):
    assert rate(name) > 0.8
    assert alarms(name, 40) > 24


def test_the_linear_kernel_does_not_see_squares():
    assert rate("HSIC, linear: squares") < 0.6


@pytest.mark.parametrize("name", rows_of(MISUSE))
def test_samples_that_are_not_exchangeable(name):
    """The same data are in the rows with groups, which hold the level."""
    assert rate(name) > 0.3
