import pytest
import torch

from mmdisentangle.data import make_shared_private
from mmdisentangle.errors import ModalityError, SettingError

WIDTHS = {"a": 8, "b": 6, "c": 5}


def explained(x, y):
    """Share of the variance of y that a linear map of x predicts on the second half of the samples."""
    x = torch.cat([x, torch.ones(len(x), 1)], -1).double()
    y = y.double()
    half = len(x) // 2
    weights = torch.linalg.lstsq(x[:half], y[:half]).solution
    residual = ((y[half:] - x[half:] @ weights) ** 2).mean(0)
    return 1 - residual / y[half:].var(0, correction=0)


def stacked(data, name):
    return torch.stack([sample.inputs[name] for sample in data.dataset])


def test_shared_factors_can_be_read_from_every_modality():
    data = make_shared_private(400, noise=0.05)
    for name in WIDTHS:
        score = explained(stacked(data, name).flatten(0, 1), torch.stack(data.shared[name]).flatten(0, 1))
        assert (score > 0.9).all()


def test_private_factors_can_be_read_from_their_own_modality_only():
    data = make_shared_private(1000, noise=0.05)
    for owner in WIDTHS:
        private = torch.stack(data.private[owner]).flatten(0, 1)
        for reader in WIDTHS:
            score = explained(stacked(data, reader).flatten(0, 1), private)
            assert (score > 0.9).all() if reader == owner else (score < 0.05).all()


def test_target_depends_on_shared_factors_alone():
    data = make_shared_private(400)
    target = data.dataset.targets.unsqueeze(-1)
    assert explained(data.shared_mean, target) > 0.999
    for name in WIDTHS:
        private = torch.stack(data.private[name]).mean(1)
        assert explained(private, target) < 0.05


def test_shared_process_is_one_process_at_every_rate():
    data = make_shared_private(5, lengths={"a": 64, "b": 16, "c": 32})
    for n in range(5):
        torch.testing.assert_close(data.shared["a"][n][::4], data.shared["b"][n])
        torch.testing.assert_close(data.shared["a"][n][::2], data.shared["c"][n])


def test_factors_have_unit_variance_at_every_time_and_are_smooth():
    data = make_shared_private(4000, lengths=50)
    shared = torch.stack(data.shared["a"])
    torch.testing.assert_close(shared.std(0), torch.ones(50, 2), atol=0.06, rtol=0)
    assert (shared.diff(dim=1).abs().mean() / shared.abs().mean()) < 0.2
    smoother = torch.stack(make_shared_private(4000, lengths=50, smoothness=4.0).shared["a"])
    assert smoother.diff(dim=1).abs().mean() < 0.5 * shared.diff(dim=1).abs().mean()


def test_noise_has_its_standard_deviation():
    quiet, loud = make_shared_private(300, noise=0.0), make_shared_private(300, noise=0.7)
    assert abs((stacked(loud, "b") - stacked(quiet, "b")).std() - 0.7) < 0.01


def test_ragged_clips_share_their_time_span():
    data = make_shared_private(200, lengths={"a": 100, "b": 20, "c": 40}, ragged=True)
    lengths = {name: torch.tensor([len(s.inputs[name]) for s in data.dataset]) for name in WIDTHS}
    assert lengths["a"].unique().numel() > 30
    assert lengths["a"].min() >= 50
    assert (lengths["a"] / 100 - lengths["b"] / 20).abs().max() <= 0.031
    assert [len(factor) for factor in data.private["c"]] == lengths["c"].tolist()


def test_shared_mean_is_that_of_the_clip_up_to_where_it_is_cut():
    data = make_shared_private(100, modalities={"a": 4}, lengths=1000, ragged=True)
    observed = torch.stack([factors.mean(0) for factors in data.shared["a"]])
    torch.testing.assert_close(observed, data.shared_mean, atol=0.05, rtol=0)


def test_missing_modalities():
    data = make_shared_private(1000, missing=0.3)
    present = torch.tensor([[name in sample.inputs for name in WIDTHS] for sample in data.dataset])
    assert ((present.float().mean(0) - 0.7).abs() < 0.06).all()
    assert present.any(1).all()
    assert all(len(s.inputs) == 1 for s in make_shared_private(20, missing=1.0).dataset)


@pytest.mark.parametrize(("task", "outputs"), [("classification", 4), ("multilabel", 3), ("regression", 2)])
def test_tasks(task, outputs):
    dataset = make_shared_private(200, task=task, num_outputs=outputs).dataset
    assert dataset.num_outputs == outputs
    if task == "classification":
        assert dataset.targets.bincount().tolist() == [50] * 4
    elif task == "multilabel":
        assert ((dataset.targets.mean(0) - 0.5).abs() < 0.2).all()
    else:
        torch.testing.assert_close(dataset.targets.std(0, correction=0), torch.ones(2))


def test_seed_decides_and_global_state_does_not():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = make_shared_private(3, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(stacked(make_shared_private(3, seed=5), "a"), stacked(first, "a"))
    assert not torch.equal(stacked(make_shared_private(3, seed=6), "a"), stacked(first, "a"))


def test_edges():
    assert make_shared_private(1, private_factors=0, lengths=1).private["a"][0].shape == (1, 0)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"num_samples": 0}, SettingError, "num_samples must be an integer of at least 1"),
        ({"noise": -1.0}, SettingError, "noise must be a finite number with 0 <= noise"),
        ({"missing": 1.5}, SettingError, "missing must be"),
        ({"lengths": {"a": 3}}, SettingError, "'b' has none"),
        ({"lengths": {"a": 3, "b": 3, "c": 3, "d": 3}}, ModalityError, "names the modality 'd'"),
        ({"task": "ranking"}, SettingError, "task must be one of"),
        ({"task": "classification", "num_outputs": 1}, SettingError, "num_outputs must be an integer of at least 2"),
        ({"modalities": {"a": 0}}, SettingError, r"modalities\['a'\] must be an integer of at least 1"),
    ],
)
def test_wrong_settings_get_one_clear_sentence(settings, error, message):
    with pytest.raises(error, match=message):
        make_shared_private(**settings)
