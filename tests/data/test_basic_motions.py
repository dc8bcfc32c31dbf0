import pytest
import torch

from mmdisentangle.data import load_basic_motions
from mmdisentangle.errors import SettingError


def test_shapes_and_balance():
    for split in ("train", "test"):
        data = load_basic_motions(split)
        assert len(data) == 40
        assert data.modalities == {"accelerometer": 3, "gyroscope": 3}
        assert data.targets.bincount().tolist() == [10, 10, 10, 10]
        assert all(x.shape == (100, 3) and x.dtype == torch.float32 for s in data for x in s.inputs.values())
        assert all(torch.isfinite(x).all() for s in data for x in s.inputs.values())


def test_known_values():
    sample = load_basic_motions("train")[0]
    torch.testing.assert_close(sample.inputs["accelerometer"][0], torch.tensor([0.079106, 0.394032, 0.551444]))
    assert load_basic_motions("train").class_names == ("Badminton", "Running", "Standing", "Walking")


def test_unknown_split():
    with pytest.raises(SettingError, match="split must be one of 'train', 'test', got 'val'"):
        load_basic_motions("val")
