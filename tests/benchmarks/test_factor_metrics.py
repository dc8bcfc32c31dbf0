"""The committed scores of codes whose answer is known say what theory says, and can be measured again."""

import json

import pytest

from benchmarks._measure import RESULTS
from benchmarks.factor_metrics import CURVED_SAP, measure

# Modularity divides by the largest of four noisy numbers, which are equal in theory; it is above 0 by as much.
NEAR_0 = {"dci_disentanglement": 0.02, "dci_completeness": 0.02, "mig": 0.02, "sap": 0.02, "modularity": 0.25}


@pytest.fixture(scope="module")
def committed():
    return json.loads((RESULTS / "factor_metrics.json").read_text(encoding="utf-8"))


def check_perfect(row, *, curved=False, informative=0.99):
    for name, score in row.items():
        if name == "dci_informativeness":
            # Trees answer in steps.
            assert score["value"] > informative
        elif name == "sap" and curved:
            assert score["low"] <= CURVED_SAP <= score["high"]
        else:
            assert score["value"] == pytest.approx(1, abs=1e-9), name
            assert score["high"] == pytest.approx(1, abs=1e-9), name


def check_independent(row):
    for name, score in row.items():
        # Rescaled accuracies below 0 count as 0: chance is a little above.
        assert score["low"] <= score["chance"] <= score["high"] + 0.06, name
        assert score["value"] < 0.06, name
        assert score["p_value"] > 0.05, name


def test_perfect_codes_score_1(committed):
    check_perfect(committed["rows"]["perfect"])
    check_perfect(committed["rows"]["perfect, curved"], curved=True)
    check_perfect(committed["rows"]["perfect, classes"])


def test_entangled_codes_score_near_0(committed):
    entangled = committed["rows"]["entangled"]
    assert entangled["dci_informativeness"]["value"] > 0.9
    for name, limit in NEAR_0.items():
        assert entangled[name]["value"] < limit, name


def test_independent_codes_are_at_chance(committed):
    check_independent(committed["rows"]["independent"])
    check_independent(committed["rows"]["independent, classes"])


def test_a_small_run_says_the_same():
    rows = measure(600, seed=1, predictor="lasso", resamples=4)
    check_perfect(rows["perfect"])
    check_perfect(rows["perfect, classes"])
    check_independent(rows["independent"])
    assert rows["entangled"]["dci_disentanglement"]["value"] < 0.02
    assert rows["entangled"]["mig"]["value"] < 0.05
