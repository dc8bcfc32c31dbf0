import csv

import pytest
import torch

from mmdisentangle.data import MultimodalDataset, Standardizer, make_shared_private
from mmdisentangle.errors import DataError, ModalityError
from mmdisentangle.evaluation import Predictions, predict
from mmdisentangle.evaluation.prediction import check_same_kind


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_predictions_do_not_depend_on_the_batch_size_and_keep_the_order(toy_model, make_data):
    data = make_data(30, ragged=True, missing=0.2)
    model = toy_model(modalities=data.modalities, num_outputs=3, task="classification")
    model.train()
    whole, single = predict(model, data, batch_size=30), predict(model, data, batch_size=7)
    torch.testing.assert_close(whole.prediction, single.prediction)
    assert whole.ids == tuple(sample.id for sample in data)
    assert torch.equal(whole.target, data.targets)
    assert all(module.training for module in model.modules())


def test_standardizer_is_applied(toy_model, make_data):
    data = make_data(12)
    model = toy_model(modalities=data.modalities, num_outputs=3, task="classification")
    standardizer = Standardizer.fit(data)
    first = predict(model, data, standardizer=standardizer).prediction
    torch.testing.assert_close(first, predict(model, standardizer.apply(data)).prediction)
    assert not torch.allclose(first, predict(model, data).prediction)


def test_csv_of_classes(tmp_path):
    logits = torch.tensor([[2.0, 0.0], [-1.0, 1.0]])
    Predictions(logits, torch.tensor([0, 0]), ("x", "y,z"), "classification", ("rest", "walk")).write_csv(
        tmp_path / "p.csv"
    )
    rows = read(tmp_path / "p.csv")
    assert [(row["id"], row["target"], row["prediction"]) for row in rows] == [
        ("x", "rest", "rest"),
        ("y,z", "rest", "walk"),
    ]
    assert float(rows[0]["probability_rest"]) == pytest.approx(float(logits[0].softmax(0)[0]), rel=1e-6)


def test_csv_of_labels_and_numbers(tmp_path):
    values = torch.tensor([[2.0, -1.0]])
    Predictions(values, torch.tensor([[1.0, 1.0]]), ("x",), "multilabel", ("u", "v")).write_csv(tmp_path / "l.csv")
    row = read(tmp_path / "l.csv")[0]
    assert (row["target_v"], row["prediction_u"], row["prediction_v"]) == ("1", "1", "0")
    assert float(row["probability_v"]) == pytest.approx(float(torch.tensor(-1.0).sigmoid()), rel=1e-6)
    Predictions(values, None, ("x",), "regression").write_csv(tmp_path / "r.csv")
    assert read(tmp_path / "r.csv")[0] == {
        "id": "x",
        "target_0": "",
        "target_1": "",
        "prediction_0": "2",
        "prediction_1": "-1",
    }
    Predictions(values[:, :1], torch.tensor([0.5]), ("x",), "regression").write_csv(tmp_path / "s.csv")
    assert read(tmp_path / "s.csv")[0] == {"id": "x", "target": "0.5", "prediction": "2"}


def test_scores_need_targets():
    with pytest.raises(DataError, match="no target to compare with"):
        Predictions(torch.ones(1, 1), None, ("x",), "regression").scores()


def test_empty_data_set(toy_model, make_data):
    data = make_data(5)
    model = toy_model(modalities=data.modalities, num_outputs=3, task="classification")
    with pytest.raises(DataError, match="has no sample"):
        predict(model, data.subset([]))


def test_other_data_than_trained_on(make_data):
    identity = {"modalities": {"a": 4, "b": 3}, "task": "classification", "num_outputs": 3, "class_names": None}
    check_same_kind("run", make_data(), identity)
    with pytest.raises(ModalityError, match="run was trained on the modalities"):
        check_same_kind("run", make_shared_private(4, modalities={"a": 4}, task="classification").dataset, identity)
    with pytest.raises(DataError, match=r"run was trained for .*'classification'.* has .*'regression'"):
        check_same_kind("run", make_data(task="regression"), identity)
    named = MultimodalDataset.from_arrays(
        {"a": torch.ones(1, 1, 4), "b": torch.ones(1, 1, 3)}, [0], task="classification", class_names=("x", "y", "z")
    )
    with pytest.raises(DataError, match="class_names"):
        check_same_kind("run", named, identity)
