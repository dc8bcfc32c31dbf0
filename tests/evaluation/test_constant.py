import pytest
import torch

from mmdisentangle.data import MultimodalDataset
from mmdisentangle.evaluation import constant_scores


def dataset(target, **settings):
    return MultimodalDataset.from_arrays({"a": torch.zeros(len(target), 1, 1)}, target, **settings)


def test_each_score_has_its_own_best_answer():
    targets = torch.tensor([-3.0, -3, -3, -3, 0, 1, 1.5, 2, 3])
    found = constant_scores(dataset(targets), ["acc7", "mae", "acc2_non0", "corr"])
    # -3 is most often right, the median has the least error, and any positive answer the most signs.
    assert found["acc7"] == pytest.approx(4 / 9)
    assert found["mae"] == pytest.approx(float((targets - targets.median()).abs().mean()))
    assert found["acc2_non0"] == pytest.approx(0.5)
    assert found["corr"] != found["corr"]


def test_a_constant_has_no_correlation():
    found = constant_scores(dataset(torch.randn(40)), ["pearson", "corr", "sims_corr"])
    assert all(value != value for value in found.values())


def test_classes_and_labels():
    classes = dataset(torch.tensor([2, 0, 2, 1, 2]), task="classification", num_outputs=3)
    assert constant_scores(classes)["accuracy"] == pytest.approx(0.6)
    labels = dataset(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), task="multilabel")
    # Everything labelled: F1 of .8 and .5; the majority alone: .8 and 0.
    assert constant_scores(labels)["macro_f1"] == pytest.approx(0.65)


def test_several_outputs():
    targets = torch.tensor([[0.0, 1.0], [0.0, 3.0], [6.0, 2.0]])
    assert constant_scores(dataset(targets))["mae"] == pytest.approx((6 / 3 + 2 / 3) / 2)
