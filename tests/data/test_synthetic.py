import math

import pytest
import torch

from mmdisentangle.data import SharedPrivateGenerator, make_shared_private
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


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("task", "outputs"), [("classification", 4), ("multilabel", 3), ("regression", 2)])
def test_tasks(task, outputs, ragged):
    dataset = make_shared_private(1000, task=task, num_outputs=outputs, ragged=ragged).dataset
    assert dataset.num_outputs == outputs
    if task == "classification":
        assert (dataset.targets.bincount() / 1000 - 0.25).abs().max() < 0.05
    elif task == "multilabel":
        assert ((dataset.targets.mean(0) - 0.5).abs() < 0.05).all()
    else:
        torch.testing.assert_close(dataset.targets.std(0), torch.ones(2), atol=0.07, rtol=0)


def test_seed_decides_and_global_state_does_not():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = make_shared_private(3, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(stacked(make_shared_private(3, seed=5), "a"), stacked(first, "a"))
    assert not torch.equal(stacked(make_shared_private(3, seed=6), "a"), stacked(first, "a"))


def test_draws_of_one_world_have_its_maps_and_its_target():
    world = SharedPrivateGenerator(seed=3, noise=0.0)
    train, test = world.draw(300, seed=0), world.draw(300, seed=1)
    assert not torch.equal(train.shared_mean, test.shared_mean)
    maps = [
        torch.linalg.lstsq(
            torch.cat([torch.cat(data.shared["a"]), torch.cat(data.private["a"])], -1), stacked(data, "a").flatten(0, 1)
        ).solution
        for data in (train, test)
    ]
    torch.testing.assert_close(maps[0], maps[1], atol=1e-4, rtol=0)
    weights = [torch.linalg.lstsq(d.shared_mean, d.dataset.targets.unsqueeze(1)).solution for d in (train, test)]
    torch.testing.assert_close(weights[0], weights[1], atol=1e-4, rtol=0)
    other = SharedPrivateGenerator(seed=4, noise=0.0).draw(300, seed=0)
    assert torch.equal(other.shared_mean, train.shared_mean)
    assert not torch.allclose(stacked(other, "a"), stacked(train, "a"))


def test_the_world_and_a_draw_of_the_same_seed_share_no_number():
    world = SharedPrivateGenerator(seed=0)
    drawn = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    numbers = world._observations["a"].mixing.flatten() * 2
    assert torch.isin(numbers, drawn).sum() == 0


@pytest.mark.parametrize("about", ["shared", "private", "b"])
def test_mutual_information_is_that_of_the_gaussian(about):
    """Against the covariance of very many frames."""
    world = SharedPrivateGenerator(noise=0.4, lengths=1, seed=2)
    data = world.draw(30_000)
    x = stacked(data, "a")[:, 0].double()
    y = {"b": stacked(data, "b")[:, 0]}.get(about)
    if y is None:
        y = torch.cat((data.shared if about == "shared" else data.private)["a"])
    y = y.double()
    joint = torch.cat([x, y], 1).T.cov()
    width = x.shape[1]
    expected = (joint[:width, :width].logdet() + joint[width:, width:].logdet() - joint.logdet()) / 2
    assert world.mutual_information("a", about) == pytest.approx(float(expected), rel=0.03)


def test_mutual_information_of_one_channel_in_closed_form():
    world = SharedPrivateGenerator(modalities={"a": 1, "b": 1}, shared_factors=1, private_factors=0, noise=0.5)
    a, b = (float(world._observations[name].mixing) for name in "ab")
    signal, noise = a**2, 0.25
    assert world.mutual_information("a", "shared") == pytest.approx(0.5 * math.log(1 + signal / noise))
    assert world.mutual_information("a", "private") == pytest.approx(0.0, abs=1e-12)
    correlation = a * b / math.sqrt((a**2 + noise) * (b**2 + noise))
    assert world.mutual_information("a", "b") == pytest.approx(-0.5 * math.log(1 - correlation**2))
    assert world.mutual_information("b", "a") == pytest.approx(world.mutual_information("a", "b"))


@pytest.mark.parametrize("settings", [{"noise": 0.0}, {"observation": "network"}, {"cues": {"a": 0.5}}])
def test_mutual_information_without_a_closed_form(settings):
    with pytest.raises(SettingError, match="is known for observation='linear' with noise and without cues"):
        SharedPrivateGenerator(**settings).mutual_information("a", "shared")


def test_mutual_information_of_unknown_names():
    world = SharedPrivateGenerator()
    with pytest.raises(ModalityError, match="modality names the modality 'd'"):
        world.mutual_information("d", "shared")
    with pytest.raises(SettingError, match="about must be another modality, 'shared' or 'private', got 'a' twice"):
        world.mutual_information("a", "a")


def test_redundant_frames_repeat_the_one_before():
    data = make_shared_private(200, lengths=50, redundancy=0.6)
    x = stacked(data, "a")
    repeated = (x[:, 1:] == x[:, :-1]).all(-1)
    assert abs(repeated.float().mean() - 0.6) < 0.02
    # The factors are those of what the frame shows.
    shared = torch.stack(data.shared["a"])
    assert ((shared[:, 1:] == shared[:, :-1]).all(-1) == repeated).all()
    assert make_shared_private(3, redundancy=1.0).dataset[0].inputs["a"].unique(dim=0).shape[0] == 1


def test_gaps_take_one_segment_out_of_every_modality():
    data = make_shared_private(200, lengths={"a": 100, "b": 50, "c": 10}, gaps=0.3, ragged=True)
    starts = set()
    for name, whole in (("a", 100), ("b", 50)):
        for times, sample in zip(data.times[name], data.dataset, strict=True):
            frames = (times * whole).round().long()
            jumps = frames.diff() - 1
            assert (jumps > 0).sum() <= 1
            span = int(frames[-1]) + 1
            assert len(frames) == len(sample.inputs[name]) >= 0.7 * span - 0.5 * whole * 0.3
            starts.add(int(jumps.argmax()))
    assert len(starts) > 20
    kept = sum(len(times) for times in make_shared_private(100, lengths=100, gaps=0.3).times["a"])
    assert kept == 7000
    # Something always stays.
    assert all(len(times) == 1 for times in make_shared_private(20, gaps=1.0).times["a"])


def test_a_network_hides_factors_from_linear_maps():
    linear, network = (
        make_shared_private(2000, lengths=1, noise=0.01, observation=kind) for kind in ("linear", "network")
    )
    scores = [explained(stacked(data, "a")[:, 0], torch.cat(data.shared["a"])).mean() for data in (linear, network)]
    assert scores[0] > 0.99
    assert 0.2 < scores[1] < 0.95


def test_target_of_chosen_factors():
    data = make_shared_private(500, target_factors=["a", "shared"])
    target = data.dataset.targets.unsqueeze(-1)
    both = torch.cat([data.shared_mean, data.private_mean["a"]], -1)
    assert explained(both, target) > 0.999
    assert explained(data.shared_mean, target) < 0.95
    assert explained(data.private_mean["a"], target) < 0.95
    only = make_shared_private(500, target_factors=["b"])
    assert explained(only.private_mean["b"], only.dataset.targets.unsqueeze(-1)) > 0.999


def test_cues_follow_the_target_where_they_are_told_to():
    world = SharedPrivateGenerator(cues={"b": 0.9}, noise=0.0)
    train, test = world.draw(4000, seed=0), world.draw(4000, seed=1, cues={})
    for data, expected in ((train, 0.9), (test, 0.0), (world.draw(4000, cues={"b": -0.5}), -0.5)):
        found = torch.corrcoef(torch.stack([data.cues["b"], data.dataset.targets]))[0, 1]
        assert abs(found - expected) < 0.04
        assert abs(data.cues["b"].std() - 1) < 0.05
        # Its modality alone shows it.
        cue = data.cues["b"].unsqueeze(-1)
        assert explained(stacked(data, "b")[:, 0], cue) > 0.999
    assert explained(stacked(test, "a")[:, 0], test.cues["b"].unsqueeze(-1)) < 0.02
    with pytest.raises(SettingError, match="cues names 'a', which shows no cue in this world"):
        world.draw(3, cues={"a": 0.1})


def test_difficulty_sets_what_is_left_open():
    hard = SharedPrivateGenerator(difficulty="hard", noise=0.2)
    assert (hard.noise, hard.observation, hard.redundancy, hard.gaps) == (0.2, "network", 0.6, 0.3)
    scores = []
    for difficulty in ("easy", "medium", "hard"):
        data = make_shared_private(1000, difficulty=difficulty)
        first = torch.stack([sample.inputs["a"].mean(0) for sample in data.dataset])
        scores.append(float(explained(first, data.dataset.targets.unsqueeze(-1))))
    assert scores[0] > scores[1] > scores[2] > 0.05


def test_factors_by_name():
    data = make_shared_private(5, private_factors=3)
    assert {name: tuple(x.shape) for name, x in data.factors.items()} == {
        "shared": (5, 2),
        "a": (5, 3),
        "b": (5, 3),
        "c": (5, 3),
    }


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
        ({"modalities": {"shared": 3}}, ModalityError, "'shared' names the shared factors"),
        ({"difficulty": "brutal"}, SettingError, "difficulty must be one of"),
        ({"observation": "quadratic"}, SettingError, "observation must be one of"),
        ({"redundancy": 1.5}, SettingError, "redundancy must be"),
        ({"gaps": -0.1}, SettingError, "gaps must be"),
        ({"target_factors": "shared"}, SettingError, "target_factors must be a list such as"),
        ({"target_factors": []}, SettingError, "target_factors must be a list such as"),
        ({"target_factors": ["d"]}, ModalityError, "target_factors names the modality 'd'"),
        ({"target_factors": ["a"], "private_factors": 0}, SettingError, "need private_factors of at least 1"),
        ({"cues": {"d": 0.5}}, ModalityError, "cues names the modality 'd'"),
        ({"cues": {"a": 1.5}}, SettingError, r"cues\['a'\] must be"),
    ],
)
def test_wrong_settings_get_one_clear_sentence(settings, error, message):
    with pytest.raises(error, match=message):
        make_shared_private(**settings)
