import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdisentangle.data import MultimodalDataset, train_validation_split
from mmdisentangle.errors import DataError, SettingError


def make(target, **settings_):
    target = torch.as_tensor(target)
    return MultimodalDataset.from_arrays({"a": torch.zeros(len(target), 1, 1)}, target, **settings_)


def ids(data):
    return [sample.id for sample in data]


@settings(max_examples=100, deadline=None)
@given(
    counts=st.lists(st.integers(2, 20), min_size=2, max_size=4),
    fraction=st.floats(0.05, 0.9),
    seed=st.integers(0, 1000),
)
def test_every_class_is_split_by_the_fraction(counts, fraction, seed):
    target = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    data = make(target, task="classification", num_outputs=len(counts))
    training, validation = train_validation_split(data, fraction, seed=seed)
    assert set(ids(training)) | set(ids(validation)) == set(ids(data))
    assert not set(ids(training)) & set(ids(validation))
    for label, count in enumerate(counts):
        held_out = int((validation.targets == label).sum())
        assert held_out == min(max(round(fraction * count), 1), count - 1)


@settings(max_examples=100, deadline=None)
@given(groups=st.lists(st.sampled_from("pqrstu"), min_size=4, max_size=40), seed=st.integers(0, 1000))
def test_groups_stay_whole(groups, seed):
    if len(set(groups)) < 2:
        return
    data = make(torch.zeros(len(groups)), groups=groups)
    training, validation = train_validation_split(data, 0.3, seed=seed)
    assert training.groups is not None
    assert validation.groups is not None
    assert not set(training.groups) & set(validation.groups)
    assert len(training) + len(validation) == len(groups)
    assert min(len(training), len(validation)) > 0


def test_equal_groups_give_the_fraction():
    data = make(torch.zeros(40), groups=[f"g{index // 5}" for index in range(40)])
    _, validation = train_validation_split(data, 0.25)
    assert len(validation) == 10


def test_seed_decides_and_global_state_does_not():
    data = make(torch.zeros(50))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = ids(train_validation_split(data, seed=3)[1])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert ids(train_validation_split(data, seed=3)[1]) == first
    assert ids(train_validation_split(data, seed=4)[1]) != first


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_fraction_outside_the_interval(fraction):
    with pytest.raises(SettingError, match="fraction must be a finite number"):
        train_validation_split(make(torch.zeros(5)), fraction)


def test_too_little_data():
    with pytest.raises(DataError, match="cannot be split"):
        train_validation_split(make([0.0]))
    with pytest.raises(DataError, match="cannot be split"):
        train_validation_split(make([0, 1], task="classification", num_outputs=2))
    with pytest.raises(DataError, match="at least two groups"):
        train_validation_split(make([0.0, 1.0], groups=["p", "p"]))
