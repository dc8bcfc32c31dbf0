import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score

from mmdisentangle.errors import SettingError, ShapeError, UnknownNameError
from mmdisentangle.evaluation import TaskScores, list_metrics
from mmdisentangle.evaluation.scores import METRIC_SETS, mode_of

ALL = ("mosi", "sims")


def slow(prediction, target):
    """The definitions in numpy, scikit-learn and scipy, one at a time."""
    p, y = np.asarray(prediction, np.float64), np.asarray(target, np.float64)
    non = y != 0
    scores = {
        "acc2_has0": accuracy_score(y >= 0, p >= 0),
        "f1_has0": f1_score(y >= 0, p >= 0, average="weighted", zero_division=0),
        "acc2_non0": accuracy_score(y[non] > 0, p[non] > 0) if non.any() else math.nan,
        "f1_non0": f1_score(y[non] > 0, p[non] > 0, average="weighted", zero_division=0) if non.any() else math.nan,
        "acc5": accuracy_score(np.round(np.clip(y, -2, 2)), np.round(np.clip(p, -2, 2))),
        "acc7": accuracy_score(np.round(np.clip(y, -3, 3)), np.round(np.clip(p, -3, 3))),
        "mae": np.abs(p - y).mean(),
        "corr": pearsonr(p, y).statistic if min(np.ptp(p), np.ptp(y)) > 0 else math.nan,
    }
    p, y = np.clip(p, -1, 1), np.clip(y, -1, 1)

    def share(edges):
        def group(values):
            return [next((i for i, edge in enumerate(edges) if value <= edge), len(edges)) for value in values]

        return accuracy_score(group(y), group(p))

    scores["sims_acc2"] = share([0])
    scores["sims_acc3"] = share([-0.1, 0.1])
    scores["sims_acc5"] = share([-0.7, -0.1, 0.1, 0.7])
    scores["sims_f1"] = f1_score(y > 0, p > 0, average="weighted", zero_division=0)
    scores["sims_mae"] = np.abs(p - y).mean()
    scores["sims_corr"] = pearsonr(p, y).statistic if min(np.ptp(p), np.ptp(y)) > 0 else math.nan
    return scores


def fast(prediction, target, batches=3):
    scores = TaskScores("regression", 1, ALL)
    prediction, target = torch.as_tensor(prediction).float(), torch.as_tensor(target).float()
    for p, y in zip(prediction.unsqueeze(-1).chunk(batches), target.chunk(batches), strict=True):
        scores.update(p, y)
    return {name: float(value) for name, value in scores.compute().items()}


def assert_agree(found, expected, tolerance=1e-4):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=tolerance, nan_ok=True), name


@pytest.mark.parametrize("seed", range(10))
def test_random_data_agree_with_sklearn_and_scipy(seed):
    rng = np.random.default_rng(seed)
    # Sentiments are means of integer ratings: thirds, many of them exactly 0.
    target = (rng.integers(-9, 10, 90) / 3).astype(np.float32)
    prediction = (target + rng.normal(0, 1.5, 90)).astype(np.float32)
    assert_agree(fast(prediction, target), slow(prediction, target))


# Eighths are exact in every precision, and hold all halves, where rounding decides.
eighths = st.integers(-32, 32).map(lambda value: value / 8)


@given(st.lists(st.tuples(eighths, eighths), min_size=3, max_size=12))
def test_values_on_the_edges_agree(pairs):
    prediction, target = (np.array(values) for values in zip(*pairs, strict=True))
    assert_agree(fast(prediction, target, batches=1), slow(prediction, target), tolerance=2e-4)


def test_edges_by_hand():
    edges = [0.0, -0.1, 0.1, -0.7, 0.7]
    below = TaskScores("regression", 1, ["sims_acc2", "sims_acc3", "sims_acc5"])
    # A value on an edge is in the class of the value just below it.
    below.update(torch.tensor([[edge - 0.01] for edge in edges]), torch.tensor(edges))
    assert all(float(value) == 1.0 for value in below.compute().values())
    halves = TaskScores("regression", 1, ["acc5", "acc7"])
    # Halves go to the even number: .5 -> 0, 1.5 -> 2, 2.5 -> 2.
    halves.update(torch.tensor([[0.5], [1.5], [2.5]]), torch.tensor([0.0, 2.0, 2.0]))
    assert all(float(value) == 1.0 for value in halves.compute().values())
    zero = TaskScores("regression", 1, ["acc2_has0", "acc2_non0", "sims_acc2"])
    zero.update(torch.tensor([[1.0], [0.0]]), torch.tensor([0.0, 1.0]))
    # Zero is positive, left out or counted negative.
    assert {name: float(value) for name, value in zero.compute().items()} == {
        "acc2_has0": 1.0,
        "acc2_non0": 0.0,
        "sims_acc2": 0.0,
    }


def test_f1_takes_the_truth_first():
    prediction, target = (
        torch.tensor([[1.0], [1.0], [1.0], [-1.0], [-1.0]]),
        torch.tensor([1.0, -1.0, -1.0, -1.0, -1.0]),
    )
    scores = TaskScores("regression", 1, ["f1_has0"])
    scores.update(prediction, target)
    found = float(scores.compute()["f1_has0"])
    assert found == pytest.approx(f1_score([1, 0, 0, 0, 0], [1, 1, 1, 0, 0], average="weighted"))
    assert found != pytest.approx(f1_score([1, 1, 1, 0, 0], [1, 0, 0, 0, 0], average="weighted"))


def test_scores_that_agree_on_the_first_batch_are_not_tied_together():
    scores = TaskScores("regression", 1, ["acc2_has0", "acc2_non0"])
    # No zero yet: the states of both are equal.
    scores.update(torch.tensor([[1.0]]), torch.tensor([1.0]))
    scores.update(torch.tensor([[-1.0]]), torch.tensor([0.0]))
    assert {name: float(value) for name, value in scores.compute().items()} == {"acc2_has0": 0.5, "acc2_non0": 1.0}


def test_only_neutral_truth_has_no_binary_score_without_zero():
    found = fast(np.array([0.5, -0.5, 1.0]), np.zeros(3))
    assert math.isnan(found["acc2_non0"])
    assert math.isnan(found["f1_non0"])
    assert math.isnan(found["corr"])
    assert found["acc2_has0"] == pytest.approx(2 / 3)


def test_nan_predictions_are_wrong_and_not_undefined_integers():
    scores = TaskScores("regression", 1, ALL)
    scores.update(torch.full((4, 1), torch.nan), torch.tensor([-3.0, 0.0, 0.5, 2.0]))
    found = scores.compute()
    for name in ("acc2_has0", "acc2_non0", "acc5", "acc7", "sims_acc2", "sims_acc3", "sims_acc5", "f1_has0"):
        assert float(found[name]) == 0.0, name
    assert math.isnan(float(found["mae"]))


def test_which_way_is_better():
    for name in (name for metrics in METRIC_SETS.values() for name in metrics):
        assert mode_of(f"val/{name}") == ("min" if name.endswith("mae") else "max")


def test_unknown_and_unfit_names():
    with pytest.raises(UnknownNameError, match="no score of a regression is called 'acc2'; did you mean 'acc"):
        TaskScores("regression", 1, ["acc2"])
    with pytest.raises(
        UnknownNameError, match="no score of a classification is called 'mosi'; known names: 'accuracy'"
    ):
        TaskScores("classification", 2, ["mosi"])
    with pytest.raises(SettingError, match="'acc7' judges a single sentiment; the data has 3 outputs"):
        TaskScores("regression", 3, ["acc7"])
    with pytest.raises(ShapeError, match=r"\[B\] or \[B, 1\]"):
        TaskScores("regression", 1, ["acc7"]).metrics["acc7"].update(torch.zeros(3, 2), torch.zeros(3, 2))
    assert {"acc2_has0", "sims_acc5", "mae"} <= set(list_metrics("regression"))


def test_further_scores_of_classes_and_labels():
    logits, target = torch.randn(40, 3), torch.randint(0, 3, (40,))
    scores = TaskScores("classification", 3, ["weighted_f1", "balanced_accuracy"])
    scores.update(logits, target)
    found, chosen = scores.compute(), logits.argmax(1)
    assert float(found["weighted_f1"]) == pytest.approx(f1_score(target, chosen, average="weighted"))
    recalls = [float((chosen[target == label] == label).float().mean()) for label in range(3)]
    assert float(found["balanced_accuracy"]) == pytest.approx(np.mean(recalls))
    labels = torch.randint(0, 2, (40, 3))
    micro = TaskScores("multilabel", 3, ["micro_f1"])
    micro.update(logits, labels.float())
    assert float(micro.compute()["micro_f1"]) == pytest.approx(f1_score(labels, logits > 0, average="micro"))
