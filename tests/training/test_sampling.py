"""Loaders whose batches depend on seed and epoch alone, and training from data on disk."""

import json
import os
import subprocess
import sys

import pytest
import torch

from mmdisentangle.data import MultimodalSample, SampleStream, Standardizer, load_shards, write_shards
from mmdisentangle.errors import DataError, SettingError
from mmdisentangle.training import Config, DataConfig, fit
from mmdisentangle.training.runs import fingerprint
from mmdisentangle.training.sampling import ShareSampler, share_loader


def weights(result):
    return torch.cat([parameter.flatten() for parameter in result.model.parameters()])


@pytest.fixture
def on_disk(make_data, tmp_path):
    write_shards(tmp_path / "shards", {"train": make_data()}, samples_per_shard=10)
    return load_shards(tmp_path / "shards")


def test_batches_are_the_same_for_any_number_of_processes(make_data, add_noise):
    data = make_data(20)

    def batches(num_workers, epochs):
        sampler = ShareSampler(len(data), 6, seed=3)
        loader = share_loader(data, sampler, add_noise, seed=3, num_workers=num_workers)
        found = {}
        for epoch in epochs:
            sampler.set_epoch(epoch)
            found[epoch] = [(batch.ids, batch.inputs["a"]) for batch in loader]
        return found

    expected = batches(0, (0, 1, 2))
    for num_workers, epochs in ((1, (0, 1, 2)), (2, (0, 1, 2)), (0, (2,)), (2, (2,))):
        for epoch, rows in batches(num_workers, epochs).items():
            assert [ids for ids, _ in rows] == [ids for ids, _ in expected[epoch]]
            assert all(torch.equal(x, y) for (_, x), (_, y) in zip(rows, expected[epoch], strict=True))
    # Order and noise differ from epoch to epoch, the noise also from sample to sample.
    assert expected[0][0][0] != expected[1][0][0]
    noise = {}
    for epoch in (0, 1):
        for ids, x in expected[epoch]:
            for id_, row in zip(ids, x, strict=True):
                noise[epoch, id_] = (row - data[int(id_)].inputs["a"])[0, 0].item()
    assert len(set(noise.values())) == 2 * len(data)


def test_training_is_the_same_for_any_number_of_processes(make_data, make_config, toy_model, add_noise):
    found = [
        fit(make_config(f"data.num_workers={n}"), train=make_data(), model=toy_model, transform=add_noise)
        for n in (0, 2)
    ]
    assert torch.equal(weights(found[0]), weights(found[1]))
    assert found[0].history == found[1].history
    assert all(0 < result.cost.waiting < 1 for result in found)


def test_run_with_processes_resumes_to_the_same_bits(
    make_data, make_config, toy_model, add_noise, tmp_path, monkeypatch
):
    config, given = make_config("data.num_workers=2"), {"model": toy_model, "transform": add_noise}
    whole = fit(config, train=make_data(), **given)
    calls = 0

    def fail(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mmdisentangle.training.cost.CostMeter.on_train_epoch_start", fail)
        with pytest.raises(OSError, match="No space left"):
            fit(config, train=make_data(), out=tmp_path / "run", **given)
    resumed = fit(config, train=make_data(), out=tmp_path / "run", **given)
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.history == whole.history


def test_shards_train_to_the_same_bits_as_memory(make_data, make_config, toy_model, on_disk):
    config = make_config("data.standardize=none")
    memory, disk = (fit(config, train=data, test=data, model=toy_model) for data in (make_data(), on_disk))
    assert torch.equal(weights(memory), weights(disk))
    assert memory.scores == disk.scores
    # Means and deviations are merged from pieces, which rounds otherwise.
    scaled = [fit(make_config(), train=data, model=toy_model).standardizer for data in (make_data(), on_disk)]
    torch.testing.assert_close(
        *(torch.tensor(standardizer.scale["a"], dtype=torch.float64) for standardizer in scaled), rtol=1e-12, atol=0
    )


def test_run_on_shards_is_known_by_its_hashes(make_data, make_config, toy_model, on_disk, tmp_path, monkeypatch):
    write_shards(tmp_path / "other", {"train": make_data(seed=1)}, samples_per_shard=10)
    config = make_config(epochs=1)
    fit(config, train=on_disk, model=toy_model, out=tmp_path / "run")
    assert json.loads((tmp_path / "run/run.json").read_text())["training_data"] == on_disk.samples.digest()
    monkeypatch.setattr("mmdisentangle.data._shard_file.ShardFile.read", lambda *_: pytest.fail("read a sample"))
    assert fingerprint(on_disk) != fingerprint(load_shards(tmp_path / "other"))


def test_a_change_that_makes_nan_stops_before_training(make_config, toy_model, on_disk):
    broken = Standardizer({"a": (0.0,) * 4, "b": (0.0,) * 3}, {"a": (0.0,) * 4, "b": (1.0,) * 3}).apply(on_disk)
    with pytest.raises(DataError, match="holds NaN or infinity in 'a'"):
        fit(make_config(), train=broken, model=toy_model)


def test_number_of_processes_is_checked():
    with pytest.raises(SettingError, match=r"data.num_workers must be an integer of at least 0, got -1"):
        Config(data=DataConfig(num_workers=-1))


LIMITED = """
import resource, sys, torch
from mmdisentangle.data import load_shards
from mmdisentangle.training import fit, load_config
from tests.toy_model import ToyModel
torch.set_num_threads(1)
settings = ["training.max_epochs=1", "training.accelerator=cpu", "data.batch_size=16", "data.num_workers=1"]
config = load_config(overrides=settings)
data = load_shards(sys.argv[1])
# Once around, so that everything is imported and the allocator has what it needs.
fit(config, train=data.subset(range(64)), model=ToyModel)
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 32 * 2**20,) * 2)
print(sorted(fit(config, train=data, model=ToyModel).scores))
try:
    samples = list(data)
except (MemoryError, RuntimeError):
    print("does not fit into memory")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts private memory apart from mapped files")
def test_data_larger_than_the_memory_it_is_given(tmp_path, repository):
    """64 MB of frames train with 32 MB to spare for each process; the same samples held in memory do not fit."""
    samples = (
        MultimodalSample({"a": torch.randn(2000, 4), "b": torch.randn(10, 3)}, torch.tensor(float(n % 2)), str(n))
        for n in range(2048)
    )
    write_shards(tmp_path / "shards", {"train": SampleStream(samples, {"a": 4, "b": 3})}, samples_per_shard=64)
    assert sum(file.stat().st_size for file in (tmp_path / "shards").iterdir()) > 64e6
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "shards")],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["['validation']", "does not fit into memory"]
