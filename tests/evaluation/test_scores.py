import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score

from mmdisentangle.evaluation import TaskScores
from mmdisentangle.evaluation.scores import is_better, mode_of


def compute(task, num_outputs, prediction, target, batches=3):
    scores = TaskScores(task, num_outputs)
    for part, true in zip(prediction.chunk(batches), target.chunk(batches), strict=True):
        scores.update(part, true)
    return {name: float(value) for name, value in scores.compute().items()}


def test_classification_agrees_with_sklearn():
    prediction, target = torch.randn(60, 4), torch.randint(0, 4, (60,))
    found = compute("classification", 4, prediction, target)
    chosen = prediction.argmax(1)
    assert found["accuracy"] == pytest.approx(accuracy_score(target, chosen))
    assert found["macro_f1"] == pytest.approx(f1_score(target, chosen, average="macro"))
    # Macro F1 is not symmetric for unequal classes in other averages; this is the trap of swapped arguments.
    assert compute("classification", 4, prediction, torch.zeros(60, dtype=torch.long))["accuracy"] == pytest.approx(
        float((chosen == 0).float().mean())
    )


@pytest.mark.parametrize("labels", [1, 3])
def test_multilabel_agrees_with_sklearn_on_logits(labels):
    # Logits within [0, 1] only: taken for probabilities, half of them would fall below the threshold.
    prediction, target = torch.rand(60, labels), torch.randint(0, 2, (60, labels)).float()
    prediction[::3] -= 1.5
    found = compute("multilabel", labels, prediction, target, batches=20)
    chosen = (prediction > 0).int()
    average = "macro" if labels > 1 else "binary"
    assert found["macro_f1"] == pytest.approx(f1_score(target.int(), chosen, average=average))


@pytest.mark.parametrize("outputs", [1, 2])
def test_regression_agrees_with_scipy(outputs):
    prediction = 30 + 5 * torch.randn(60, outputs)
    target = prediction + torch.randn(60, outputs)
    found = compute("regression", outputs, prediction, target)
    expected = np.mean([pearsonr(prediction[:, i], target[:, i]).statistic for i in range(outputs)])
    assert found["pearson"] == pytest.approx(expected, rel=1e-4)
    assert found["mae"] == pytest.approx(float((prediction - target).abs().mean()))


def test_regression_target_may_lack_the_output_axis():
    prediction = torch.randn(9, 1)
    assert compute("regression", 1, prediction, prediction.squeeze(1)) == {"mae": 0.0, "pearson": pytest.approx(1.0)}


def test_constant_predictions_have_no_correlation_and_no_warning():
    assert math.isnan(compute("regression", 1, torch.ones(9, 1), torch.randn(9))["pearson"])


def test_reset_forgets():
    scores = TaskScores("classification", 2)
    scores.update(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    scores.reset()
    scores.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert float(scores.compute()["accuracy"]) == 1.0


def test_which_way_is_better():
    assert [mode_of(f"val/{name}") for name in ("accuracy", "macro_f1", "pearson")] == ["max"] * 3
    assert [mode_of(f"val/{name}") for name in ("mae", "task", "total")] == ["min"] * 3
    assert is_better("val/task", 1.0, None)
    assert is_better("val/task", 1.0, 2.0)
    assert not is_better("val/task", 1.0, 1.0)
    assert is_better("val/accuracy", 0.5, 0.4)
    assert not is_better("val/accuracy", float("nan"), None)
