import time

import pytest
import torch

from mmdisentangle.data import MultimodalBatch, MultimodalSample, collate
from mmdisentangle.errors import DataError, DtypeError, ModalityError, ShapeError


def sample(id_="s", target=0, **lengths):
    inputs = {name: torch.randn(length, {"a": 2, "b": 3}[name]) for name, length in lengths.items()}
    return MultimodalSample(inputs, None if target is None else torch.tensor(target), id_)


def test_collate_equals_a_frame_by_frame_copy():
    samples = [sample("0", 0, a=4, b=1), sample("1", 1, a=2), sample("2", 2, a=0, b=5), sample("3", 3, b=2)]
    batch = collate(samples, modalities=("a", "b"))
    for name, width, longest in (("a", 2, 4), ("b", 3, 5)):
        expected = torch.zeros(4, longest, width)
        mask = torch.zeros(4, longest, dtype=torch.bool)
        for row, one in enumerate(samples):
            for t, frame in enumerate(one.inputs.get(name, torch.zeros(0, width))):
                expected[row, t], mask[row, t] = frame, True
        assert torch.equal(batch.inputs[name], expected)
        assert torch.equal(batch.masks[name], mask)
    assert batch.present["a"].tolist() == [True, True, False, False]
    assert batch.present["b"].tolist() == [True, False, True, True]
    assert batch.target is not None
    assert batch.target.tolist() == [0, 1, 2, 3]
    assert batch.ids == ("0", "1", "2", "3")
    assert len(batch) == 4


def test_order_of_modalities_is_that_of_the_argument():
    batch = collate([sample(b=1, a=1), sample(a=1, b=1)], modalities=("b", "a"))
    assert list(batch.inputs) == list(batch.masks) == list(batch.present) == ["b", "a"]


def test_a_modality_missing_from_the_whole_batch_needs_its_width():
    batch = collate([sample(a=2), sample(a=1)], modalities=("a", "b"), widths={"a": 2, "b": 3})
    assert batch.inputs["b"].shape == (2, 0, 3)
    assert batch.masks["b"].shape == (2, 0)
    assert not batch.present["b"].any()
    with pytest.raises(ModalityError, match="no sample of the batch has 'b', so its width is unknown; give widths"):
        collate([sample(a=2)], modalities=("a", "b"))


def test_values_pass_unchanged_nan_included():
    x = torch.tensor([[float("nan"), float("inf")], [1.0, -0.0]])
    batch = collate([MultimodalSample({"a": x}), MultimodalSample({"a": x[:1]})], modalities=("a",))
    assert torch.equal(batch.inputs["a"][0].isnan(), x.isnan())
    assert batch.inputs["a"][0, 0, 1] == float("inf")
    assert batch.inputs["a"][1, 1].tolist() == [0.0, 0.0]
    assert batch.target is None


def test_double_and_half_keep_their_dtype():
    for dtype in (torch.float64, torch.bfloat16):
        batch = collate([MultimodalSample({"a": torch.ones(2, 1, dtype=dtype)})], modalities=("a",))
        assert batch.inputs["a"].dtype == dtype


def test_to_moves_every_tensor():
    batch = collate([sample(a=2, b=1)], modalities=("a", "b")).to("meta")
    assert isinstance(batch, MultimodalBatch)
    tensors = [*batch.inputs.values(), *batch.masks.values(), *batch.present.values(), batch.target]
    assert all(tensor is not None and tensor.device.type == "meta" for tensor in tensors)
    assert batch.ids == ("s",)


def test_collate_does_not_loop_over_frames():
    samples = [MultimodalSample({"a": torch.randn(5000, 8)}, torch.tensor(0), str(i)) for i in range(64)]
    collate(samples, modalities=("a",))
    start = time.perf_counter()
    collate(samples, modalities=("a",))
    # 320 000 frames: copying them one by one takes seconds.
    assert time.perf_counter() - start < 0.5


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MultimodalSample({"a": torch.ones(2, 2, dtype=torch.int64)}), DtypeError, r"inputs\['a'\].*floating"),
        (lambda: MultimodalSample({"a": [[1.0]]}, id="k"), DtypeError, r"MultimodalSample 'k'.*got list"),
        (lambda: MultimodalSample([torch.ones(2, 2)]), DtypeError, "must be a mapping"),
        (lambda: MultimodalSample({"a": torch.ones(2)}), ShapeError, r"shape \[T, D\], got \[2\]"),
        (lambda: MultimodalSample({}, torch.ones(2, 2)), ShapeError, "target must be a 0-dim tensor"),
        (lambda: MultimodalSample({}, 3), DtypeError, "target must be a torch.Tensor, got int"),
        (lambda: collate([], modalities=("a",)), DataError, "samples is empty"),
        (lambda: collate([sample(a=1)], modalities=("b",)), ModalityError, "sample 's' names the modality 'a'"),
        (
            lambda: collate([sample("x", a=1), MultimodalSample({"a": torch.ones(1, 5)}, id="y")], modalities=("a",)),
            ShapeError,
            "of sample 'y' must have 2 features on its last axis, got 5",
        ),
        (
            lambda: collate([sample("x", a=1), MultimodalSample({"a": torch.ones(1, 2).double()})], modalities=("a",)),
            DtypeError,
            "'a' in one dtype, got torch.float32 for sample 'x' and torch.float64",
        ),
        (
            lambda: collate([sample("x", a=1), sample("y", None, a=1)], modalities=("a",)),
            DataError,
            "sample 'y' has none",
        ),
        (
            lambda: collate([sample("x", a=1), sample("y", [1, 2], a=1)], modalities=("a",)),
            ShapeError,
            r"got \[\] for sample 'x' and \[2\] for sample 'y'",
        ),
        (
            lambda: collate([sample("x", 1, a=1), sample("y", 1.0, a=1)], modalities=("a",)),
            DtypeError,
            "all targets must have one dtype",
        ),
    ],
)
def test_wrong_input_gets_one_clear_sentence(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
