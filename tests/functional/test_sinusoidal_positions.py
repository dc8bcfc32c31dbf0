import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError
from mmdisentangle.functional import sinusoidal_positions
from tests.oracles import expect
from tests.oracles.layers import sinusoid


def test_first_positions():
    expected = [[0.0, 1.0, 0.0, 1.0], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]]
    torch.testing.assert_close(sinusoidal_positions(torch.tensor([0, 1]), 4), torch.tensor(expected))


@given(st.lists(st.integers(0, 2000), max_size=4), st.integers(1, 9))
def test_loops(positions, features):
    table = sinusoidal_positions(torch.tensor(positions, dtype=torch.int64), features)
    assert table.shape == (len(positions), features)
    for row, position in zip(table.numpy(), positions, strict=True):
        np.testing.assert_allclose(row, sinusoid(position, features), atol=2e-4)


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 8))
def test_products_know_only_the_distance(one, other, half):
    a, b, c, d = sinusoidal_positions(torch.tensor([one, other, one + 7, other + 7]), 2 * half)
    assert (a @ a).item() == pytest.approx(half, rel=1e-4)
    assert (a @ b).item() == pytest.approx((c @ d).item(), abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.float32, torch.float64, torch.float16])
def test_always_float32(dtype):
    table = sinusoidal_positions(torch.tensor([[3, 4]], dtype=dtype), 6)
    assert table.dtype == torch.float32
    assert table.shape == (1, 2, 6)
    torch.testing.assert_close(table, sinusoidal_positions(torch.tensor([[3, 4]]), 6))


def test_fractions_lie_between():
    table = sinusoidal_positions(torch.tensor([1.0, 1.5, 2.0]), 1).squeeze(-1)
    torch.testing.assert_close(table, torch.tensor([1.0, 1.5, 2.0]).sin())


@pytest.mark.bad_input
def test_bad_input():
    with expect.error(DtypeError, "sinusoidal_positions: positions", "list"):
        sinusoidal_positions([0, 1], 4)
    with expect.error(SettingError, "sinusoidal_positions: features", "at least 1", "0"):
        sinusoidal_positions(torch.tensor([0]), 0)
