"""A row of the benchmark of disentanglement, trained for one epoch."""

import pytest

from benchmarks import disentanglement as benchmark


@pytest.mark.slow
def test_a_row_is_judged():
    row = benchmark.ROWS["MISA"]
    found = benchmark.run(row, 0, ["training.max_epochs=1", "model.encoder_blocks=1"])
    assert set(benchmark.SCORES) <= set(found)
    assert found["modality_in_shared"] > 0.9
    assert found["shared_in_shared"] > 0.3
