import numpy as np
import pytest

from mmdisentangle.data import load_npz
from mmdisentangle.errors import DataError, DtypeError


def arrays(**changes):
    generator = np.random.default_rng(0)
    values = {
        "task": np.array("classification"),
        "train_eeg": generator.normal(size=(6, 8, 2)),
        "train_eeg_lengths": np.array([8, 0, 3, 1, 2, 8]),
        "train_gaze": generator.normal(size=(6, 4, 1)).astype(np.float32),
        "train_target": np.array(["rest", "walk", "rest", "run", "run", "walk"]),
        "train_groups": np.array([1, 1, 2, 2, 3, 3]),
        "test_eeg": generator.normal(size=(2, 8, 2)),
        "test_gaze": generator.normal(size=(2, 4, 1)),
        "test_target": np.array(["run", "rest"]),
    }
    return {key: value for key, value in {**values, **changes}.items() if value is not None}


def save(tmp_path, **changes):
    np.savez(tmp_path / "own.npz", **arrays(**changes))
    return tmp_path / "own.npz"


def test_layout(tmp_path):
    data = load_npz(save(tmp_path))
    assert data.modalities == {"eeg": 2, "gaze": 1}
    assert data.class_names == ("rest", "run", "walk")
    assert data.targets.tolist() == [0, 2, 0, 1, 1, 2]
    assert data.groups == ("1", "1", "2", "2", "3", "3")
    assert [len(sample.inputs["eeg"]) for sample in data] == [8, 0, 3, 1, 2, 8]
    np.testing.assert_allclose(data[2].inputs["eeg"].numpy(), arrays()["train_eeg"][2, :3], rtol=1e-6)
    assert load_npz(tmp_path / "own.npz", "test").targets.tolist() == [1, 0]


def test_integer_classes_are_counted_over_all_splits(tmp_path):
    path = save(tmp_path, train_target=np.array([0, 1, 1, 0, 1, 0]), test_target=np.array([2, 0]))
    assert load_npz(path).num_outputs == load_npz(path, "test").num_outputs == 3


def test_regression_targets(tmp_path):
    path = save(tmp_path, task=np.array("regression"), train_target=np.arange(6))
    assert load_npz(path).targets.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"task": None}, DataError, "'task' must be one of .* got None; add task="),
        ({"task": np.array("clasification")}, DataError, "'task' must be one of .* got 'clasification'"),
        ({"train_target": None}, DataError, "no array 'train_target'; the file has .*'test_target'"),
        ({"train_target": np.zeros(6)}, DataError, "class names or integers for a classification, got float64"),
        ({"task": np.array("regression")}, DataError, "must hold numbers for a regression"),
        ({"class_names": np.array(["rest", "walk"])}, DataError, "holds 'run', which is not among class_names"),
        ({"train_eeg": np.zeros((6, 8, 2), int)}, DtypeError, "floating point"),
        ({"train_eeg": np.array([{}] * 6)}, DataError, "not an .npz file of plain arrays"),
        ({"train_gaze": None, "train_eeg": None, "train_eeg_lengths": None}, DataError, "no array 'train_<modality>'"),
    ],
)
def test_wrong_files_get_one_clear_sentence(tmp_path, changes, error, message):
    with pytest.raises(error, match=message) as caught:
        load_npz(save(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_not_an_archive(tmp_path):
    (tmp_path / "own.npz").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"not an \.npz file"):
        load_npz(tmp_path / "own.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "own.npz")
    with pytest.raises(DataError, match=r"not an \.npz file"):
        load_npz(tmp_path / "own.npz")
