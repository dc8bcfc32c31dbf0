import json
import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader

from mmdisentangle.data import (
    LazySamples,
    MultimodalDataset,
    MultimodalSample,
    SampleStream,
    Standardizer,
    _statistics,
    load_dataset,
    load_shards,
    train_validation_split,
    write_shards,
)
from mmdisentangle.errors import DataError, SettingError


def make(count=11, *, seed=0, **description):
    """Ragged samples; of ``b``, every third is missing."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (count, 2), generator=generator).tolist()
    samples = []
    for index, (a, b) in enumerate(lengths):
        inputs = {"a": torch.randn(a, 3, generator=generator)}
        if index % 3:
            inputs["b"] = torch.randn(b, 2, generator=generator).double()
        samples.append(MultimodalSample(inputs, torch.tensor(index / 4), f"clip {index} é"))
    return MultimodalDataset(samples, modalities={"a": 3, "b": 2}, **description)


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.id == other.id
        assert one.inputs.keys() == other.inputs.keys()
        assert all(torch.equal(one.inputs[m], x) and one.inputs[m].dtype == x.dtype for m, x in other.inputs.items())
        assert (one.target is None) == (other.target is None)
        assert one.target is None or (torch.equal(one.target, other.target) and one.target.dtype == other.target.dtype)


@pytest.fixture
def shards(tmp_path):
    def write(data=None, samples_per_shard=4, **splits):
        write_shards(tmp_path / "shards", splits or {"train": data or make()}, samples_per_shard=samples_per_shard)
        return tmp_path / "shards"

    return write


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 12), samples_per_shard=st.integers(1, 13), seed=st.integers(0, 99))
def test_what_is_written_is_read(tmp_path_factory, count, samples_per_shard, seed):
    data = make(count, seed=seed)
    folder = tmp_path_factory.mktemp("shards") / "own"
    write_shards(folder, {"train": data}, samples_per_shard=samples_per_shard)
    found = load_shards(folder)
    assert isinstance(found.samples, LazySamples)
    assert_same(found, data)
    assert found.ids == data.ids
    assert torch.equal(found.targets, data.targets)
    assert len(list(folder.glob("*.safetensors"))) == -(-count // samples_per_shard)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_floating_dtype(shards, dtype):
    data = MultimodalDataset.from_arrays({"a": torch.randn(3, 4, 2).to(dtype)}, torch.randn(3).to(dtype))
    found = load_shards(shards(data))
    assert_same(found, data)
    assert torch.equal(found.targets, data.targets)


def test_description_and_splits(shards):
    words = {"task": "classification", "class_names": ("no", "yes"), "name": "own"}
    arrays = {"a": torch.zeros(4, 2, 1)}
    train = MultimodalDataset.from_arrays(arrays, torch.tensor([0, 1, 1, 0]), groups=list("qpqr"), **words)
    test = MultimodalDataset.from_arrays(arrays, **words)
    folder = shards(train=train, test=test, samples_per_shard=3)
    found = load_shards(folder, "train")
    assert repr(found) == repr(train)
    assert found.class_names == train.class_names
    assert found.groups == train.groups
    assert found.find_without_target() is None
    unlabelled = load_dataset(folder, "test")
    assert (unlabelled.groups, unlabelled[-1].target, unlabelled.find_without_target()) == (None, None, "0")
    with pytest.raises(DataError, match="4 of 4 samples have a target of None"):
        unlabelled.targets  # noqa: B018
    with pytest.raises(DataError, match="has no split 'validation', it has train, test"):
        load_shards(folder, "validation")


def test_index_tells_what_is_in_it(shards):
    data = make(7)
    index = json.loads((shards(data) / "shards.json").read_text())
    part = index["splits"]["train"]
    lengths = [len(sample.inputs["b"]) for sample in data if "b" in sample.inputs]
    assert part["samples"] == 7
    assert part["modalities"]["b"] == {"frames": sum(lengths), "longest": max(lengths), "missing": 3}
    assert [shard["samples"] for shard in part["shards"]] == [4, 3]


def test_a_stream_is_never_held_together(shards):
    alive = []

    class Counted(MultimodalSample):
        def __post_init__(self):
            super().__post_init__()
            alive.append(1)

        def __del__(self):
            alive.pop()

    most = 0

    def stream():
        nonlocal most
        for index in range(40):
            yield Counted({"a": torch.full((2, 1), float(index))}, torch.tensor(0.5), str(index))
            most = max(most, len(alive))

    groups = (f"person {index // 20}" for index in range(40))
    found = load_shards(shards(train=SampleStream(stream(), {"a": 1}, groups=groups)))
    # One shard is being collected while the last one may still be referred to.
    assert most <= 10
    assert found[25].inputs["a"].tolist() == [[25.0], [25.0]]
    assert found.groups == ("person 0",) * 20 + ("person 1",) * 20


def test_samples_are_memory_of_their_own(shards):
    data = load_shards(shards())
    data[0].inputs["a"].zero_()
    assert_same(data, make())
    assert len(pickle.dumps(data[0])) < 2000
    with pytest.raises(IndexError, match="sample 11 of 11"):
        data[11]


def test_views_are_lazy_and_equal_to_those_in_memory(shards):
    memory, disk = make(groups=list("ppqqrrsstuv")), load_shards(shards(make(groups=list("ppqqrrsstuv"))))
    chosen = [7, 2, 2, 9]
    for view in (
        lambda data: data.subset(chosen),
        lambda data: data.subset(chosen).subset([3, 0]),
        lambda data: data.select(["b"]),
        lambda data: train_validation_split(data, 0.3, seed=5)[1],
        lambda data: data.map(_double).subset([1, 3]),
    ):
        found = view(disk)
        assert isinstance(found.samples, LazySamples)
        assert_same(found, view(memory))
        assert found.modalities == view(memory).modalities
        assert (found.ids, found.groups) == (view(memory).ids, view(memory).groups)
        assert torch.equal(found.targets, view(memory).targets)
    assert_same(disk.samples[2:8:3], memory.samples[2:8:3])


def _double(sample):
    return MultimodalSample({m: 2 * x for m, x in sample.inputs.items()}, sample.target, sample.id)


def test_making_views_and_targets_reads_no_sample(shards, monkeypatch):
    data = load_shards(shards())
    monkeypatch.setattr("mmdisentangle.data._shard_file.ShardFile.read", lambda *_: pytest.fail("read a sample"))
    view = Standardizer({"a": (0.0,) * 3}, {"a": (1.0,) * 3}).apply(data.select(["a"]).subset(range(5)))
    assert len(view.targets) == len(view.ids) == 5
    assert data.find_not_finite() is None
    assert data.subset([1]).select(["a"]).find_not_finite() is None


def test_a_change_that_makes_nan_is_found(shards):
    data = load_shards(shards()).map(lambda s: MultimodalSample({"a": s.inputs["a"] / 0}, s.target, s.id))
    assert data.find_not_finite() == ("clip 0 é", "a")


def test_digest_follows_content_choice_and_modalities(shards, tmp_path):
    data = load_shards(shards())
    write_shards(tmp_path / "again", {"train": make()}, samples_per_shard=4)
    write_shards(tmp_path / "other", {"train": make(seed=1)}, samples_per_shard=4)
    views = [data, data.subset([0, 1]), data.subset([1, 0]), data.select(["a"]), load_shards(tmp_path / "other")]
    digests = [view.samples.digest() for view in views]
    assert None not in digests
    assert len(set(digests)) == 5
    assert load_shards(tmp_path / "again").samples.digest() == digests[0]
    assert data.map(_double).samples.digest() is None


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loader_processes_open_the_files_themselves(shards, method):
    data = Standardizer.fit(make()).apply(load_shards(shards()))
    expected = [batch.inputs["a"] for batch in DataLoader(data, batch_size=3, collate_fn=data.collate)]
    loader = DataLoader(data, batch_size=3, collate_fn=data.collate, num_workers=2, multiprocessing_context=method)
    found = [batch.inputs["a"] for batch in loader]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("method", ["standard", "robust"])
def test_statistics_of_a_stream_equal_those_of_memory(shards, method, monkeypatch):
    monkeypatch.setattr(_statistics, "_VALUES_AT_ONCE", 60)
    data = make(40)
    found, expected = (Standardizer.fit(each, method=method) for each in (load_shards(shards(data)), data))
    for name in data.modalities:
        for part in ("location", "scale"):
            one, other = (torch.tensor(getattr(each, part)[name]).double() for each in (found, expected))
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-12)


def test_moments_merge_exactly_and_leave_out_nan(monkeypatch):
    monkeypatch.setattr(_statistics, "_VALUES_AT_ONCE", 1)
    generator = torch.Generator().manual_seed(0)
    # An offset of 1e6 deviations: sums of squares would keep no digit of the deviation in float32, four in float64.
    pieces = [1e6 + torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (1, 50, 7, 300)]
    pieces[1][3, 1], pieces[2][:, 2] = float("nan"), float("inf")
    samples = [MultimodalSample({"a": x}) for x in pieces]
    whole = torch.cat(pieces)
    for channel, (location, scale) in enumerate(_statistics.stream_statistics(samples, ["a"], "standard")["a"]):
        known = whole[:, channel][whole[:, channel].isfinite()]
        assert location == pytest.approx(float(known.mean()), rel=1e-15)
        assert scale == pytest.approx(float(known.std(correction=0)), rel=1e-9)


def test_quartiles_of_more_frames_than_are_kept(monkeypatch):
    monkeypatch.setattr(_statistics, "SAMPLED_FRAMES", 4000)
    # Long samples are high: a draw by samples instead of frames would be far off.
    samples = [
        MultimodalSample({"a": torch.full((1 + 9 * (n % 2), 1), float(n % 2)) + torch.rand(1, 1)}) for n in range(4000)
    ]
    frames = torch.cat([sample.inputs["a"] for sample in samples]).squeeze(-1)
    ((location, scale),) = _statistics.stream_statistics(samples, ["a"], "robust")["a"]
    assert location == pytest.approx(float(frames.quantile(0.5)), abs=0.05)
    assert scale == pytest.approx(float(frames.quantile(0.75) - frames.quantile(0.25)) / 1.349, abs=0.05)


def test_a_modality_without_frames_has_no_statistics(shards):
    data = MultimodalDataset([MultimodalSample({"a": torch.ones(2, 1)})], modalities={"a": 1, "b": 2}, name="d")
    with pytest.raises(DataError, match="no sample of data set 'd' has a frame of 'b'"):
        Standardizer.fit(load_shards(shards(data)))


@pytest.mark.bad_input
def test_what_cannot_be_written(shards, tmp_path):
    nan = MultimodalDataset.from_arrays({"a": torch.tensor([[[0.0]], [[float("nan")]]])})
    mixed = MultimodalDataset(
        [MultimodalSample({"a": torch.ones(1, 1)}, torch.tensor(0.0), "0"), MultimodalSample({}, None, "1")],
        modalities={"a": 1},
    )
    widths = [
        MultimodalSample({"a": torch.ones(1, 1)}, id="0"),
        MultimodalSample({"a": torch.ones(1, 1).half()}, id="1"),
    ]
    one = MultimodalDataset.from_arrays({"a": torch.ones(1, 1, 1)})
    two = MultimodalDataset.from_arrays({"a": torch.ones(1, 1, 2)})
    for splits, message in (
        ({}, "splits must be some of train, validation, test, got"),
        ({"dev": one}, r"got \['dev'\]"),
        ({"train": nan}, "train sample '1' holds NaN or infinity in 'a'; replace"),
        ({"train": mixed}, "train sample '1': either all samples of a split have a target or none"),
        ({"train": SampleStream(iter(widths), {"a": 1})}, "'1': 'a' must be torch.float32, got torch.float16"),
        ({"train": SampleStream([], {"a": 1})}, "train has no sample"),
        ({"train": SampleStream(one, {"a": 1}, groups=["p", "q"])}, "more groups than samples"),
        ({"train": SampleStream(one, {"a": 1}, groups=[])}, "fewer groups than samples"),
        ({"train": one, "test": two}, "test must be of the kind of the other splits"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            write_shards(tmp_path / "bad", splits)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "bad").exists()
    with pytest.raises(SettingError, match="samples_per_shard must be an integer of at least 1, got 0"):
        write_shards(tmp_path / "bad", {"train": one}, samples_per_shard=0)
    write_shards(tmp_path / "bad", {"train": one})
    assert not (tmp_path / "bad.part").exists()
    with pytest.raises(DataError, match="exists; choose another folder"):
        write_shards(tmp_path / "bad", {"train": one})
    (tmp_path / "new.part").mkdir()
    (tmp_path / "new.part" / "thesis.txt").touch()
    with pytest.raises(DataError, match="is in the way, and no conversion has written it"):
        write_shards(tmp_path / "new", {"train": one})
    assert (tmp_path / "new.part" / "thesis.txt").exists()


KILLED = """
import os, signal, sys, torch
from mmdisentangle.data import MultimodalSample, SampleStream, write_shards
def stream():
    for index in range(10):
        if index == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        yield MultimodalSample({"a": torch.zeros(1, 1)})
write_shards(sys.argv[1], {"train": SampleStream(stream(), {"a": 1})}, samples_per_shard=2)
"""


def test_a_killed_conversion_leaves_nothing_that_loads(tmp_path, repository):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "own")]
    assert subprocess.run(command, cwd=repository, check=False).returncode == -9
    assert len(list((tmp_path / "own.part").iterdir())) == 3
    for folder in ("own", "own.part"):
        with pytest.raises((FileNotFoundError, DataError)):
            load_shards(tmp_path / folder)
    write_shards(tmp_path / "own", {"train": make()})
    assert_same(load_shards(tmp_path / "own"), make())
    assert not (tmp_path / "own.part").exists()


@pytest.mark.bad_input
def test_damage_is_found(shards, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder of shards"):
        load_shards(tmp_path / "none")
    folder = shards()
    file, index = folder / "train-00001.safetensors", folder / "shards.json"
    whole, text = file.read_bytes(), index.read_text()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    load_shards(folder)
    with pytest.raises(DataError, match="has changed since it was written"):
        load_shards(folder, verify=True)
    file.write_bytes(whole[:-4])
    with pytest.raises(DataError, match=f"must have {len(whole)} bytes, got {len(whole) - 4}"):
        load_shards(folder)
    tensors = load_file(folder / "train-00000.safetensors")
    del tensors["ids"]
    save_file(tensors, file)
    index.write_text(text.replace(f'"bytes": {len(whole)}', f'"bytes": {file.stat().st_size}'))
    with pytest.raises(DataError, match=r"is damaged \(KeyError"):
        load_shards(folder)[5]
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(DataError, match="is damaged"):
        load_shards(folder)[5]
    file.write_bytes(whole)
    index.write_text(text.replace('"a": 3', '"a": 4', 1))
    with pytest.raises(DataError, match=r"must have the modalities {'a': 4, 'b': 2}, got {'a': 3, 'b': 2}"):
        load_shards(folder)[5]
    file.unlink()
    for content, message in (
        ("{", "is not an index of shards"),
        ("[]", "is not an index of shards"),
        ("{}", "is not an index of shards"),
        (text.replace('"splits"', '"parts"'), "is not an index of shards .it lacks 'splits'"),
        (text.replace('"version": 1', '"version": 2'), "version 1, got 'mmdisentangle shards', version 2"),
        (text, "train-00001.safetensors is missing; convert the data again"),
    ):
        index.write_text(content)
        with pytest.raises(DataError, match=message):
            load_shards(folder)
