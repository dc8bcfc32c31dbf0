import numpy as np
import pytest
import torch

from mmdisentangle.data import MultimodalDataset, MultimodalSample, Standardizer
from mmdisentangle.errors import CheckpointError, DataError, ModalityError, ShapeError


def make():
    generator = torch.Generator().manual_seed(0)
    sequences = [5 + 3 * torch.randn(length, 2, generator=generator) for length in (4, 0, 9, 30)]
    return MultimodalDataset.from_arrays({"a": sequences, "b": torch.ones(4, 6, 1)})


def frames(data, name="a"):
    return torch.cat([sample.inputs[name] for sample in data])


def test_result_has_mean_zero_and_deviation_one():
    data = make()
    scaled = frames(Standardizer.fit(data).apply(data))
    torch.testing.assert_close(scaled.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.ones(2), atol=1e-6, rtol=0)


def test_statistics_agree_with_numpy_in_float64():
    data = make()
    x = frames(data).double().numpy()
    standardizer = Standardizer.fit(data)
    np.testing.assert_allclose(standardizer.location["a"], x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(standardizer.scale["a"], x.std(0), rtol=1e-12)


def test_robust_ignores_wild_values():
    x = torch.randn(1, 4001, 1, generator=torch.Generator().manual_seed(0))
    x[0, :40] = 1e6
    robust = Standardizer.fit(MultimodalDataset.from_arrays({"a": x}), method="robust")
    assert abs(robust.location["a"][0]) < 0.1
    assert abs(robust.scale["a"][0] - 1) < 0.1


def test_constant_channels_and_integers_of_any_size_are_divided_by_one():
    for value in (0.0, 1.0, 0.1, 1e6):
        data = MultimodalDataset.from_arrays({"a": torch.full((3, 7, 1), value)})
        for method in ("standard", "robust"):
            standardizer = Standardizer.fit(data, method=method)
            assert standardizer.scale["a"] == (1.0,)
            assert frames(standardizer.apply(data)).abs().max() <= 1e-6 * abs(value)


def test_nan_takes_no_part_and_stays():
    x = torch.tensor([[[1.0], [float("nan")], [3.0], [float("inf")]]])
    standardizer = Standardizer.fit(MultimodalDataset.from_arrays({"a": x}))
    assert standardizer.location["a"] == (2.0,)
    assert standardizer.scale["a"] == (1.0,)
    scaled = standardizer(MultimodalSample({"a": x[0]})).inputs["a"].squeeze(-1)
    assert scaled[0] == -1
    assert scaled[1].isnan()
    assert scaled[3] == float("inf")


def test_save_and_load_to_the_last_bit(tmp_path):
    standardizer = Standardizer.fit(make())
    standardizer.save(tmp_path / "s.json")
    assert Standardizer.load(tmp_path / "s.json") == standardizer


def test_target_id_and_dtype_stay():
    sample = MultimodalSample({"a": torch.ones(2, 2).double()}, torch.tensor(7.0), "i")
    scaled = Standardizer.fit(make())(sample)
    assert scaled.target is not None
    assert scaled.target.item() == 7.0
    assert scaled.id == "i"
    assert scaled.inputs["a"].dtype == torch.float64


def test_errors(tmp_path):
    standardizer = Standardizer.fit(make())
    with pytest.raises(ModalityError, match="names the modality 'c'"):
        standardizer(MultimodalSample({"c": torch.ones(1, 1)}))
    with pytest.raises(ShapeError, match="2 features"):
        standardizer(MultimodalSample({"a": torch.ones(1, 3)}))
    with pytest.raises(DataError, match="no sample of data set 'data' has a frame of 'a'"):
        Standardizer.fit(MultimodalDataset.from_arrays({"a": torch.ones(2, 0, 1)}))
    for text in ("{", "[]", '{"location": {"a": [1]}}', '{"location": {"a": ["x"]}, "scale": {}}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(CheckpointError, match="not a file written by"):
            Standardizer.load(tmp_path / "bad.json")
