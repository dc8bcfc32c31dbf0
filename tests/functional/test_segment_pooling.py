import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import masked_mean, pool_segments


def slow(x, segments, num_segments, pooling):
    """One frame after the other."""
    values = torch.zeros(x.shape[0], num_segments, x.shape[2], dtype=x.dtype)
    mask = torch.zeros(x.shape[0], num_segments, dtype=torch.bool)
    for b in range(x.shape[0]):
        for s in range(num_segments):
            own = [x[b, t] for t in range(x.shape[1]) if int(segments[b, t]) == s]
            if own:
                values[b, s] = {"mean": sum(own) / len(own), "first": own[0], "last": own[-1]}[pooling]
                mask[b, s] = True
    return values, mask


@settings(max_examples=100, deadline=None)
@given(
    batch=st.integers(0, 3),
    frames=st.integers(0, 7),
    num_segments=st.integers(0, 5),
    pooling=st.sampled_from(["mean", "first", "last"]),
    seed=st.integers(0, 99),
)
def test_equals_the_loop(batch, frames, num_segments, pooling, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, frames, 2, generator=generator, dtype=torch.float64)
    # Beyond both ends of the range, in no order.
    segments = torch.randint(-2, num_segments + 2, (batch, frames), generator=generator)
    found = pool_segments(x, segments, num_segments, pooling=pooling)
    values, mask = slow(x, segments, num_segments, pooling)
    torch.testing.assert_close(found.values, values, rtol=1e-12, atol=0)
    assert torch.equal(found.mask, mask)


def test_one_segment_of_all_real_frames_is_the_masked_mean():
    x, mask = torch.randn(3, 5, 4, dtype=torch.float64), torch.rand(3, 5) > 0.4
    found = pool_segments(x, torch.where(mask, 0, -1), 1)
    torch.testing.assert_close(found.values.squeeze(1), masked_mean(x, mask, 1))


def test_each_frame_its_own_segment_changes_nothing():
    x = torch.randn(2, 6, 3)
    assert torch.equal(pool_segments(x, torch.arange(6).expand(2, 6), 6).values, x)


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_gradient_and_frames_of_no_segment(pooling):
    segments = torch.tensor([[-1, 0, 0, 2, 2, 9]])
    x = torch.randn(1, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: pool_segments(x, segments, 3, pooling=pooling).values, x)
    poisoned = x.detach().clone()
    poisoned[0, 0], poisoned[0, 5] = float("nan"), float("inf")
    poisoned.requires_grad_(True)
    values = pool_segments(poisoned, segments, 3, pooling=pooling).values
    assert torch.equal(values, pool_segments(x, segments, 3, pooling=pooling).values)
    values.square().sum().backward()
    assert poisoned.grad is not None
    assert (poisoned.grad[0, [0, 5]] == 0).all()
    assert poisoned.grad.isfinite().all()


def test_half_precision_sums_in_float32():
    # In bfloat16 a running sum of ones stops at 256.
    found = pool_segments(torch.ones(1, 1000, 1, dtype=torch.bfloat16), torch.zeros(1, 1000, dtype=torch.int64), 1)
    assert found.values.dtype == torch.bfloat16
    assert found.values.item() == 1.0


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"segments": torch.zeros(2, 3)}, DtypeError, "segments must be an integer tensor, got torch.float32"),
        ({"segments": torch.zeros(2, 3, dtype=torch.bool)}, DtypeError, "must be an integer tensor"),
        ({"segments": torch.zeros(2, 4, dtype=torch.int64)}, ShapeError, r"\[2, 3\], got \[2, 4\]"),
        ({"x": torch.zeros(2, 3)}, ShapeError, "x"),
        ({"num_segments": -1}, SettingError, "num_segments must be an integer of at least 0"),
        ({"pooling": "max"}, SettingError, "pooling must be one of"),
    ],
)
def test_wrong_input(change, error, message):
    given = {"x": torch.zeros(2, 3, 1), "segments": torch.zeros(2, 3, dtype=torch.int64), "num_segments": 2, **change}
    with pytest.raises(error, match=message):
        pool_segments(**given)
