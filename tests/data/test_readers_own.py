"""Own layouts that are cut off, lie about their size or contradict themselves."""

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mmdisentangle.data import load_dataset, load_npz, read_file
from mmdisentangle.errors import DataError
from tests.data.research_files import SIZES, write_folder, write_npz, write_safetensors


def npy(shape, dtype="<f8", content=b"\0" * 8):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    return header.getvalue() + content


def zipped(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def assert_refused_for_free(path, message):
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        read_file(path)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("shape", [(2**30,), (2**40, 2**40), (2**63, 2)])
def test_an_npz_that_declares_more_than_it_has(tmp_path, shape, compression):
    path = zipped(tmp_path / "x.npz", {"train_target": npy(shape)}, compression)
    assert_refused_for_free(path, "the array 'train_target.npy' declares the shape")


def test_an_npz_whose_directory_lies_about_the_size(tmp_path):
    size = 2**32 - 2 - 128
    path = zipped(tmp_path / "x.npz", {"train_target": npy((size,), "|u1")}, zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(raw)
    assert_refused_for_free(path, "declares the shape")


def test_object_arrays_stay_unread(tmp_path):
    np.savez(tmp_path / "x.npz", train_target=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"not an \.npz file of plain arrays"):
        read_file(tmp_path / "x.npz")


@pytest.mark.parametrize("length", [10, 100, 1000, 3000])
@pytest.mark.parametrize("writer", [write_npz, write_safetensors])
def test_own_files_that_are_cut_off(tmp_path, writer, length):
    path = tmp_path / ("x.npz" if writer is write_npz else "x.safetensors")
    writer(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"x\.(npz|safetensors)"):
        read_file(path)


def safetensors(tmp_path, metadata, **tensors):
    arrays = {"train_a": torch.ones(2, 3, 1), "train_target": torch.zeros(2)} | tensors
    save_file(arrays, tmp_path / "x.safetensors", metadata={"task": '"regression"', "format": "pt"} | metadata)
    return tmp_path / "x.safetensors"


def test_safetensors_holds_bfloat16_and_ignores_foreign_metadata(tmp_path):
    values = torch.tensor([[[1.5]], [[-2.0]]], dtype=torch.bfloat16)
    data = load_dataset(safetensors(tmp_path, {"format": "pt", "author": "me"}, train_b=values))
    assert data.modalities == {"a": 1, "b": 1}
    assert [sample.inputs["b"].item() for sample in data] == [1.5, -2.0]


def test_safetensors_with_class_names(tmp_path):
    names = {"task": '"classification"', "train_target": '["walk", "rest"]', "class_names": '["walk", "rest"]'}
    path = tmp_path / "x.safetensors"
    save_file({"train_a": torch.ones(2, 3, 1)}, path, metadata=names)
    data = load_dataset(path)
    assert (data.class_names, data.targets.tolist()) == (("walk", "rest"), [0, 1])


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"task": "regression"}, "the metadata 'task' must be JSON, got 'regression'; write it with json.dumps"),
        ({"train_ids": "[1, 2]"}, "the metadata 'train_ids' must be a text or a list of texts"),
        ({"train_ids": '["a"]'}, "'a' has 2 samples and the list of ids has 1"),
        ({"task": '"rank"'}, "'task' must be one of .* got 'rank'"),
    ],
)
def test_wrong_metadata(tmp_path, metadata, message):
    with pytest.raises(DataError, match=message):
        load_dataset(safetensors(tmp_path, metadata))


def test_zeros_are_values_where_lengths_are_stated(tmp_path):
    np.savez(tmp_path / "x.npz", task=np.array("regression"), train_a=np.zeros((2, 4, 1)), train_target=np.zeros(2),
             train_a_lengths=np.array([4, 2]), train_b=np.zeros((2, 3, 1)))  # fmt: skip
    data = read_file(tmp_path / "x.npz")
    assert [len(sample.inputs["a"]) for sample in data.splits["train"]] == [4, 2]
    assert [len(sample.inputs["b"]) for sample in data.splits["train"]] == [3, 3]
    assert data.findings["splits"]["train"]["modalities"]["b"]["missing"] == 0


def test_npz_splits(tmp_path):
    arrays = {"task": np.array("regression"), "dev_a": np.ones((2, 1, 1)), "dev_target": np.zeros(2)}
    np.savez(tmp_path / "x.npz", **arrays)
    assert len(load_npz(tmp_path / "x.npz", "validation")) == 2
    np.savez(tmp_path / "x.npz", **arrays, val_a=np.ones((2, 1, 1)), val_target=np.zeros(2))
    with pytest.raises(DataError, match="one split is there under two names"):
        read_file(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", **arrays, train_b=np.ones((2, 1, 1)), train_target=np.zeros(2))
    with pytest.raises(DataError, match="all splits must have the same modalities"):
        read_file(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", **arrays, modalities=np.array(["c"]))
    with pytest.raises(KeyError, match="no modality 'c'"):
        read_file(tmp_path / "x.npz")


def table(path, change):
    file = path / "labels.csv"
    file.write_text("\n".join(change(file.read_text().splitlines())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [lines[0]], "names no sample"),
        (lambda lines: ["id,part,score", *lines[1:]], "must have the columns id, split and at least one target"),
        (
            lambda lines: [lines[0], lines[1], lines[1]],
            "the sample 'videotrain0-0' is there 2 times in the split 'train'",
        ),
        (lambda lines: [lines[0], "../x,train,g,t,1"], "line 2: '../x' must be the plain name of a file"),
        (lambda lines: [lines[0], "x,..,g,t,1"], r"line 2: '\.\.' must be the plain name of a file"),
        (lambda lines: [lines[0], "x,train,g"], "line 2: expected 5 values"),
        (lambda lines: [lines[0], "x,train,g,t,1,2"], "line 2: expected 5 values"),
        (
            lambda lines: [lines[0], lines[1], lines[2].replace("train", "learn")],
            "names the split 'learn', but there is no folder of that name",
        ),
        (lambda lines: [lines[0], *(line.rsplit(",", 1)[0] + ",nan" for line in lines[1:])], "24 values that are NaN"),
    ],
)
def test_wrong_tables(tmp_path, change, message):
    write_folder(tmp_path / "own")
    table(tmp_path / "own", change)
    with pytest.raises(DataError, match=message) as caught:
        read_file(tmp_path / "own")
    assert "\n" not in str(caught.value)


def test_a_folder_with_two_validation_splits(tmp_path):
    write_folder(tmp_path / "own")
    (tmp_path / "own" / "dev").mkdir()
    table(tmp_path / "own", lambda lines: [*lines, "y,dev,g,t,1"])
    with pytest.raises(DataError, match="one split is there under two names"):
        read_file(tmp_path / "own")


@pytest.mark.parametrize("content", [b"", b"nonsense", npy((2**40, 4), "<f4"), npy((2,), "|O", b"cos\nsystem\n.")])
def test_wrong_arrays_in_a_folder(tmp_path, content):
    write_folder(tmp_path / "own")
    next((tmp_path / "own" / "train" / "audio").iterdir()).write_bytes(content)
    assert_refused_for_free(tmp_path / "own", r"is not an \.npy file of plain numbers, or is cut off")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold a dict of task and class_names"),
        ('{"taks": "regression"}', "must hold a dict of task and class_names, got .*'taks'"),
        ('{"task": "rank"}', "task must be one of .* got 'rank'"),
        ('{"class_names": "ab"}', "class_names must be a list of texts"),
        ('{"task": "multilabel"}', "0 and 1 only"),
    ],
)
def test_wrong_settings_of_a_folder(tmp_path, settings, message):
    write_folder(tmp_path / "own")
    (tmp_path / "own" / "dataset.json").write_text(settings)
    with pytest.raises(DataError, match=message):
        read_file(tmp_path / "own")


def test_folder_with_several_targets_and_strays(tmp_path):
    written = write_folder(tmp_path / "own")
    table(tmp_path / "own", lambda lines: [lines[0] + ",valence", *(line + ",0.5" for line in lines[1:])])
    np.save(tmp_path / "own" / "train" / "audio" / "stray.npy", np.ones((2, 4)))
    data = read_file(tmp_path / "own")
    train = data.splits["train"]
    assert (train.num_outputs, train.class_names) == (2, ("score", "valence"))
    np.testing.assert_array_equal(train.targets[:, 0].numpy(), written["train"].target)
    assert data.findings["splits"]["train"]["left_out"] == {
        "audio/": "1 files of samples that labels.csv does not name"
    }


def test_folder_with_numbered_classes(tmp_path):
    write_folder(tmp_path / "own")
    table(
        tmp_path / "own", lambda lines: [lines[0], *(f"{x.rsplit(',', 1)[0]},{i % 3}" for i, x in enumerate(lines[1:]))]
    )
    (tmp_path / "own" / "dataset.json").write_text(json.dumps({"task": "classification"}))
    data = load_dataset(tmp_path / "own")
    assert data.class_names == ("0", "1", "2")
    assert data.targets.tolist() == [index % 3 for index in range(SIZES["train"])]


def test_a_folder_of_nothing(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"a folder of data needs labels.csv .* found .*notes.txt"):
        read_file(tmp_path)
    (tmp_path / "shards.json").write_text("{}")
    with pytest.raises(DataError, match="is not an index of shards"):
        load_dataset(tmp_path)
