import pytest

from mmdisentangle.training import fit
from mmdisentangle.training.cost import CostMeter, peak_memory


def test_time_of_steps_and_of_waiting(monkeypatch):
    clock = iter([0.0, 0.0, 1.0, 5.0, 6.0, 12.0, 100.0, 102.0, 102.0, 110.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    meter = CostMeter()
    # Two steps of 4 and 6 s after a second each; then, validation in between, one of no time after 2 s.
    for steps in (2, 1):
        meter.on_train_epoch_start(None, None)
        for _ in range(steps):
            meter.on_train_batch_start(None, None, None, 0)
            meter.on_train_batch_end(None, None, None, None, 0)
    assert (meter.waiting, meter.computing) == (4.0, 10.0)
    cost = meter.cost()
    assert (cost.seconds, cost.seconds_per_epoch) == (110.0, 7.0)
    assert (cost.waiting, cost.steps_per_second) == (4 / 14, 3 / 14)


def test_nothing_trained_costs_no_steps():
    cost = CostMeter().cost()
    assert (cost.waiting, cost.steps_per_second, cost.seconds_per_epoch) == (0.0, 0.0, 0.0)


def test_memory_is_that_of_the_process():
    before = peak_memory()
    if before is None:
        pytest.skip("this system does not tell the memory of a process")
    held = bytearray(300 * 2**20)
    assert peak_memory() >= before
    del held
    assert 50 < peak_memory() < 100_000


def test_result_tells_its_cost(make_data, make_config, toy_model):
    cost = fit(make_config(epochs=2), train=make_data(), model=toy_model).cost
    assert 0 < cost.seconds_per_epoch < cost.seconds
    assert cost.memory >= cost.memory_before > 0
