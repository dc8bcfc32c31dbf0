import itertools
import os
import signal
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import SettingError
from mmdisentangle.models import list_models
from mmdisentangle.testing.processes import run_processes
from mmdisentangle.training import RunFolder, fit
from mmdisentangle.training.sampling import ShareSampler
from tests.training import sharing

NUMBERS = st.integers(1, 7)


@given(count=st.integers(0, 40), size=st.integers(1, 12), world_size=NUMBERS, accumulate=NUMBERS, epoch=NUMBERS)
def test_shares_are_the_order_of_one_process(count, size, world_size, accumulate, epoch):
    whole = ShareSampler(count, size, seed=3)
    parts = [
        ShareSampler(count, size, seed=3, rank=rank, world_size=world_size, accumulate=accumulate)
        for rank in range(world_size)
    ]
    for sampler in (whole, *parts):
        sampler.set_epoch(epoch)
    steps = list(whole)
    batches = [list(part) for part in parts]
    assert sorted(itertools.chain.from_iterable(steps)) == list(range(count))
    assert all(
        len(of_rank) == len(part) == len(steps) * accumulate for of_rank, part in zip(batches, parts, strict=True)
    )
    for number, step in enumerate(steps):
        turns = range(number * accumulate, (number + 1) * accumulate)
        cells = [(rank, turn) for turn in turns for rank in range(world_size)]
        counts = [parts[rank].count(turn) for rank, turn in cells]
        taken = [batches[rank][turn][: parts[rank].count(turn)] for rank, turn in cells]
        assert list(itertools.chain.from_iterable(taken)) == step
        assert max(counts) - min(counts) <= 1
        # Who has nothing borrows a sample.
        assert all(batches[rank][turn] for rank, turn in cells)
        # The plain mean of weighted means is the mean over the step.
        weights = [parts[rank].weight(turn) for rank, turn in cells]
        assert [weight / len(cells) for weight in weights] == pytest.approx([n / len(step) for n in counts])


def test_one_process_has_weight_one():
    sampler = ShareSampler(10, 4)
    assert [sampler.weight(index) for index in range(len(sampler))] == [1.0, 1.0, 1.0]


def test_devices_without_processes(make_config, make_data, toy_model):
    with pytest.raises(SettingError, match=r"training.devices=2 needs as many processes, got 1; start .*torchrun"):
        fit(make_config("training.devices=2"), train=make_data(), model=toy_model)
    with pytest.raises(SettingError, match=r"training.strategy=fsdp shards the model over several processes, got one"):
        fit(make_config("training.strategy=fsdp"), train=make_data(), model=toy_model)


@pytest.mark.parametrize("accumulate", [2, 3, 5])
def test_accumulation_changes_nothing(make_config, make_data, toy_model, accumulate):
    """39 training samples in steps of 16: the last step has 7."""

    def outcome(*overrides):
        found = fit(make_config("model.dropout=0.0", *overrides), train=make_data(48, ragged=True), model=toy_model)
        return found.history, found.model.state_dict()

    compare(outcome(f"training.accumulate={accumulate}"), outcome())


def test_accumulation_in_a_model_of_per_sample_losses():
    overrides = ["data.batch_size=8", "model.disparity_weight=0"]
    history, _, _, state = sharing.train("mea", 30, ["training.accumulate=2", *overrides])
    wanted, _, _, expected = sharing.train("mea", 30, overrides)
    # The disparity is a batch statistic: its value is that of the parts, its weight is 0.
    drop = ("train/disparity",)
    compare((without(history, drop), state), (without(wanted, drop), expected))


def without(rows, names):
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


def compare(found, wanted):
    """Equal up to the rounding of float32, which a few epochs enlarge."""
    for row, expected in zip(found[0], wanted[0], strict=True):
        assert row == pytest.approx(expected, rel=2e-4, abs=2e-5, nan_ok=True)
    assert found[1].keys() == wanted[1].keys()
    for name, value in found[1].items():
        torch.testing.assert_close(
            value, wanted[1][name], rtol=2e-3, atol=2e-4, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_the_first_process_speaks_for_all():
    assert run_processes(sharing.on_first, [(), ()]) == [(rank, "from 0", "nothing in 0.") for rank in range(2)]
    for message in run_processes(sharing.wrong_devices, [(), ()]):
        assert "training.devices=3 needs as many processes, got 2" in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count", "overrides"),
    [
        # 9 validation samples: one process has none of the last.
        ("toy", 48, ["data.batch_size=8"]),
        # 36 training samples: the last step has one, so one of the processes has none.
        ("rtil", 45, ["data.batch_size=35"]),
        ("mea", 45, ["data.batch_size=8", "training.accumulate=2", "model.disparity_weight=0"]),
        ("rtil", 45, ["data.batch_size=7", "training.strategy=fsdp", "training.selection=last"]),
        ("mea", 45, ["data.batch_size=35", "training.strategy=fsdp"]),
        ("toy", 48, ["data.batch_size=16", "training.patience=1", "optim.lr=1.0", "training.max_epochs=12"]),
    ],
)
def test_two_processes_train_as_one(tmp_path, name, count, overrides):
    history, scores, epoch, state = sharing.train(name, count, without_processes(overrides))
    found = run_processes(sharing.train, [(name, count, overrides, tmp_path / "run")] * 2)
    drop = ("train/disparity",) if "training.accumulate=2" in overrides else ()
    for result in found:
        compare((without(result[0], drop), result[3]), (without(history, drop), state))
        assert result[2] == epoch
        assert result[1].keys() == scores.keys()
        for part in scores:
            assert result[1][part] == pytest.approx(scores[part], rel=1e-4, nan_ok=True)
    # Every process has the same result, to the last bit.
    assert found[0][0] == found[1][0]
    assert all(torch.equal(found[0][3][key], found[1][3][key]) for key in state)
    run = RunFolder(tmp_path / "run")
    assert run.read_json("metrics.json")["epoch"] == epoch
    assert run.read_json("history.json") == found[0][0]


def without_processes(overrides):
    return [override for override in overrides if "strategy" not in override and "accumulate" not in override]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize("cut", [4, 3])
def test_step_of_two_processes(name, kind, cut):
    """Loss, gradients and whole state of a real step; 8 samples, in equal and unequal parts."""
    loss, gradients, state = sharing.step(name, None, 0, 8, 8)
    for found in run_processes(sharing.step, [(name, kind, 0, cut, 8), (name, kind, cut, 8, 8)]):
        torch.testing.assert_close(found[0], loss, rtol=1e-9, atol=1e-9)
        assert found[1].keys() == gradients.keys()
        for key, gradient in gradients.items():
            assert (gradient is None) == (found[1][key] is None)
            if gradient is not None:
                torch.testing.assert_close(found[1][key], gradient, rtol=1e-7, atol=1e-9)
        assert found[2].keys() == state.keys()
        assert all(torch.equal(found[2][key], state[key]) for key in state)


PROGRAM = """
import sys
from tests.training import sharing
sharing.die_in_third_epoch(sys.argv[1], sys.argv[2:])
"""


@pytest.mark.slow
def test_run_of_two_processes_resumes(tmp_path, repository):
    """One is killed, the other ends; both go on from the last epoch, to the same bits."""
    environment = {
        "GLOO_SOCKET_IFNAME": "lo",
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
        "PYTHONPATH": str(repository),
    }
    overrides = ["data.batch_size=16"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "run"), *overrides],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=repository,
            stderr=subprocess.DEVNULL,
        )
        for rank in range(2)
    ]
    codes = [process.wait(timeout=200) for process in processes]
    assert codes[1] == -signal.SIGKILL
    assert codes[0] != 0
    folder = RunFolder(tmp_path / "run")
    assert folder.status == "unfinished"
    assert torch.load(folder.find_checkpoint(), weights_only=False)["epoch"] == 1
    found = run_processes(sharing.train_on, [(tmp_path / "run", overrides)] * 2)
    wanted = run_processes(sharing.train_on, [(tmp_path / "whole", overrides)] * 2)
    for result, expected in zip(found, wanted, strict=True):
        assert result[:2] == expected[:2]
        assert all(torch.equal(result[2][key], expected[2][key]) for key in expected[2])


@pytest.mark.slow
def test_sharded_run_resumes(tmp_path):
    overrides = ["data.batch_size=16", "training.strategy=fsdp"]
    stopped = run_processes(sharing.stop_in_third_epoch, [(tmp_path / "run", overrides)] * 2)
    assert stopped == ["the data are gone."] * 2
    written = torch.load(RunFolder(tmp_path / "run").find_checkpoint(), weights_only=False)
    assert written["epoch"] == 1
    found, _ = run_processes(sharing.train_on, [(tmp_path / "run", overrides)] * 2)
    wanted, _ = run_processes(sharing.train_on, [(tmp_path / "whole", overrides)] * 2)
    # The checkpoint has the whole state.
    assert {name: x.shape for name, x in written["state_dict"].items() if name.startswith("model.")} == {
        f"model.{name}": x.shape for name, x in wanted[2].items()
    }
    assert found[:2] == wanted[:2]
    assert all(torch.equal(found[2][key], wanted[2][key]) for key in wanted[2])


def free_port():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
