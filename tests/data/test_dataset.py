import numpy as np
import pytest
import torch

from mmdisentangle import create_model
from mmdisentangle.data import MultimodalDataset, MultimodalSample
from mmdisentangle.errors import DataError, DtypeError, ModalityError, SettingError, ShapeError, UnknownNameError


def make(count=4, **settings):
    inputs = {"a": np.arange(count * 10, dtype=np.float32).reshape(count, 5, 2), "b": torch.ones(count, 3, 1)}
    return MultimodalDataset.from_arrays(inputs, **settings)


def test_from_arrays_keeps_values_and_cuts_to_lengths():
    data = make(target=torch.tensor([0.0, 1.0, 2.0, 3.0]), lengths={"a": [5, 0, 2, 1]}, ids=list("wxyz"))
    assert [len(sample.inputs["a"]) for sample in data] == [5, 0, 2, 1]
    assert data[2].inputs["a"].tolist() == [[20.0, 21.0], [22.0, 23.0]]
    assert data[2].id == "y"
    assert data.modalities == {"a": 2, "b": 1}
    assert (data.task, data.num_outputs) == ("regression", 1)
    batch = data.collate([data[1], data[2]])
    assert batch.present["a"].tolist() == [False, True]
    assert batch.inputs["a"].shape == (2, 2, 2)


def test_from_arrays_takes_ragged_sequences():
    data = MultimodalDataset.from_arrays({"a": [torch.ones(2, 1), torch.ones(7, 1)]})
    assert [len(sample.inputs["a"]) for sample in data] == [2, 7]
    assert data[0].target is None


def test_float64_of_numpy_becomes_the_dtype_of_new_models():
    """NumPy makes float64 unasked; what is a tensor, or of another dtype, was asked for."""
    rows = np.arange(24.0).reshape(4, 3, 2)
    inputs = {"a": rows, "b": list(rows), "c": torch.from_numpy(rows), "d": rows.astype(np.float16)}
    data = MultimodalDataset.from_arrays(inputs, np.linspace(0, 1, 4))
    found = {name: x.dtype for name, x in data[0].inputs.items()}
    assert found == {"a": torch.float32, "b": torch.float32, "c": torch.float64, "d": torch.float16}
    assert data.targets.dtype == torch.float32
    assert torch.equal(data[3].inputs["a"].double(), torch.from_numpy(rows[3]))
    batch = data.select(["a", "b"]).collate(list(data.select(["a", "b"])))
    create_model("late_fusion", modalities={"a": 2, "b": 2})(batch.inputs)
    torch.set_default_dtype(torch.float64)
    try:
        assert MultimodalDataset.from_arrays({"a": rows})[0].inputs["a"].dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_subset_and_select_keep_everything_else():
    data = make(target=[0, 1, 1, 0], task="classification", class_names=("u", "v"), groups=list("ppqq"), name="n")
    part = data.subset(torch.tensor([3, 1]))
    assert [sample.id for sample in part] == ["3", "1"]
    assert (part.groups, part.class_names, part.num_outputs, part.name) == (("q", "p"), ("u", "v"), 2, "n")
    only = data.select(["b"])
    assert only.modalities == {"b": 1}
    assert list(only[0].inputs) == ["b"]
    assert torch.equal(only.targets, data.targets)


def test_num_outputs_is_counted_from_target_or_names():
    assert make(target=torch.zeros(4, 3)).num_outputs == 3
    assert make(target=torch.zeros(4, 3), task="multilabel").num_outputs == 3
    assert make(target=[0, 0, 0, 0], task="classification", class_names=("u", "v", "w")).num_outputs == 3


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: make(task="rank"), SettingError, "task must be one of .*got 'rank'"),
        (lambda: make(target=[0, 1, 1, 0], task="classification"), DataError, "give class_names or num_outputs"),
        (lambda: make(target=[0, 1, 2, 0], task="classification", num_outputs=2), DataError, "in 0..1, got 2"),
        (lambda: make(target=[0.0] * 4, task="classification", num_outputs=2), DataError, "int64 class index"),
        (lambda: make(target=[0, 1, 2, 0]), DtypeError, "must be floating point, got torch.int64.*classification"),
        (lambda: make(target=torch.full((4, 2), 0.5), task="multilabel"), DataError, "0 and 1 only"),
        (lambda: make(target=torch.zeros(4, 2), num_outputs=3), ShapeError, r"3 values, got shape \[2\]"),
        (lambda: make(target=torch.zeros(3)), ShapeError, "target must have one entry per sample, got 3 for 4"),
        (lambda: make(ids=["1"]), ShapeError, "ids must have one entry per sample"),
        (lambda: make(groups=["p"]), DataError, "one group per sample, got 1 for 4"),
        (lambda: make(class_names=("u", "v"), num_outputs=3), DataError, "2 names, but num_outputs is 3"),
        (lambda: make(lengths={"c": [1] * 4}), ModalityError, "lengths names the modality 'c'"),
        (lambda: make(lengths={"a": [1, 2, 3, 6]}), DataError, "in 0..5, got 6 for sample 3"),
        (lambda: make(lengths={"a": [1.0] * 4}), ShapeError, "must be 4 integers"),
        (lambda: MultimodalDataset.from_arrays({"a": torch.ones(2, 3)}), ShapeError, r"\[N, T, d\], got \[2, 3\]"),
        (lambda: MultimodalDataset.from_arrays({"a": torch.ones(2, 3, 1).int()}), DtypeError, "floating point"),
        (
            lambda: MultimodalDataset.from_arrays({"a": [torch.ones(2, 3), torch.ones(2, 4)]}),
            ShapeError,
            r"sequences \[T, 3\], got \[2, 4\] for sample 1",
        ),
        (
            lambda: MultimodalDataset.from_arrays({"a": torch.ones(2, 3, 1), "b": torch.ones(3, 3, 1)}),
            ShapeError,
            "got 2 for 'a' and 3 for 'b'",
        ),
        (lambda: MultimodalDataset.from_arrays({"a": []}), DataError, "hold no sample"),
        (
            lambda: MultimodalDataset([MultimodalSample({"z": torch.ones(1, 1)}, id="i")], modalities={"a": 1}),
            ModalityError,
            "sample 'i': unknown modality 'z'",
        ),
        (
            lambda: MultimodalDataset([MultimodalSample({"a": torch.ones(1, 2)}, id="i")], modalities={"a": 1}),
            ShapeError,
            "'a' must have 1 features",
        ),
        (lambda: make().select(["c"]), ModalityError, "modalities names the modality 'c'"),
        (lambda: make().targets, DataError, "4 of 4 samples have a target of None"),
    ],
)
def test_wrong_input_gets_one_clear_sentence(build, error, message):
    with pytest.raises(error, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_load_dataset_suggests_the_nearest_name(tmp_path):
    from mmdisentangle.data import load_dataset

    with pytest.raises(UnknownNameError, match="did you mean 'basic-motions'"):
        load_dataset("basic_motion")
    with pytest.raises(FileNotFoundError, match="no such data file"):
        load_dataset(tmp_path / "none.npz")
