import dataclasses
import math
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DataError, DtypeError, SettingError, ShapeError
from mmdisentangle.evaluation import independence_test, two_sample_test
from mmdisentangle.evaluation import permutation as module
from mmdisentangle.functional import distance_correlation, hsic, maximum_mean_discrepancy
from tests.oracles import expect
from tests.oracles.draws import normal, seeds

STATISTICS = [
    ({"statistic": "hsic"}, lambda x, y: hsic(x, y, kernel="rbf")),
    ({"statistic": "hsic", "kernel": "linear"}, hsic),
    ({"statistic": "distance_correlation"}, distance_correlation),
]
each_statistic = pytest.mark.parametrize(("settings", "function"), STATISTICS, ids=["rbf", "linear", "distance"])


# ---- the statistic


@each_statistic
def test_it_is_that_of_the_function(settings, function):
    x, y = normal(0, 12, 3), normal(1, 12, 2)
    assert independence_test(x, y, permutations=9, **settings).statistic == pytest.approx(function(x, y).item())


def test_the_discrepancy_is_that_of_the_function():
    x, y = normal(0, 9, 3), normal(1, 6, 3)
    result = two_sample_test(x, y, permutations=9)
    assert result.statistic == pytest.approx(maximum_mean_discrepancy(x, y).item())
    assert result.name == "mmd"
    assert (result.samples, result.groups, result.permutations) == (15, 15, 9)


# ---- oracles: all arrangements there are


@each_statistic
def test_against_all_permutations(settings, function):
    """24 permutations of 4 samples, drawn often, come in equal shares."""
    x, y = normal(2, 4, 2), normal(3, 4, 2) + normal(2, 4, 2)
    values = torch.stack([function(x, y[list(order)]) for order in permutations(range(4))])
    result = independence_test(x, y, permutations=6000, **settings)
    expected = (values >= values[0] - 1e-12).double().mean().item()
    assert result.p_value == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 6000))
    assert result.null_mean == pytest.approx(values.mean().item(), rel=0.05)
    for share, value in result.null_quantiles.items():
        assert (values <= value + 1e-12).double().mean() >= share - 0.05
        assert (values >= value - 1e-12).double().mean() >= 1 - share - 0.05


def test_against_all_ways_to_deal():
    x, y = normal(0, 3, 2), normal(1, 3, 2) + 1
    joined = torch.cat((x, y))
    values = []
    for chosen in combinations(range(6), 3):
        rest = [i for i in range(6) if i not in chosen]
        values.append(maximum_mean_discrepancy(joined[list(chosen)], joined[rest]).item())
    result = two_sample_test(x, y, permutations=6000)
    assert result.statistic == pytest.approx(values[0])
    expected = np.mean(np.array(values) >= values[0] - 1e-12)
    assert result.p_value == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 6000))
    assert result.null_mean == pytest.approx(np.mean(values), abs=0.02)


def test_groups_change_places_with_groups_of_their_size():
    """Two groups of two and one of three: y as it is, or with the two short groups exchanged."""
    groups = torch.tensor([5, 7, 5, 9, 9, 7, 9])
    x, y = normal(0, 7, 2), normal(1, 7, 2)
    swapped = y[[1, 0, 5, 3, 4, 2, 6]]
    values = [hsic(x, z, kernel="rbf").item() for z in (y, swapped)]
    result = independence_test(x, y, groups=groups, permutations=400)
    assert result.groups == 3
    assert result.null_mean == pytest.approx(np.mean(values), abs=0.2 * abs(values[0] - values[1]))
    assert sorted(values)[1] == pytest.approx(result.null_quantiles[0.99])
    assert result.p_value == pytest.approx(1 if values[0] < values[1] else 0.5, abs=0.1)


def test_whole_groups_are_dealt_out():
    """Four groups, two to each set: six ways, one of which (and its mirror image) is the data's."""
    x, y = normal(0, 8, 1), normal(1, 8, 1) + 9
    groups = (torch.arange(8) // 4, np.array(["a"] * 5 + ["b"] * 3))
    result = two_sample_test(x, y, groups=groups, permutations=3000)
    assert result.groups == 4
    assert result.p_value == pytest.approx(2 / 6, abs=0.05)
    assert two_sample_test(x, y, permutations=3000).p_value < 0.01


def test_chunks_change_nothing(monkeypatch):
    x, y = normal(0, 12, 3), normal(1, 12, 2)
    whole = independence_test(x, y, permutations=50), two_sample_test(x, y[:, :1].repeat(1, 3), permutations=50)
    monkeypatch.setattr(module, "_CHUNK", 2000)
    parts = independence_test(x, y, permutations=50), two_sample_test(x, y[:, :1].repeat(1, 3), permutations=50)
    for one, other in zip(whole, parts, strict=True):
        assert one.null_mean == pytest.approx(other.null_mean)
        assert one.p_value == other.p_value


# ---- laws


@given(seeds, st.integers(4, 9), st.sampled_from([1, 19, 99]))
def test_p_is_a_share_of_all_arrangements(seed, samples, count):
    x, y = normal(seed, samples, 2), normal(seed + 1, samples, 2)
    for result in (independence_test(x, y, permutations=count), two_sample_test(x, y, permutations=count)):
        assert round(result.p_value * (1 + count), 6) == round(result.p_value * (1 + count))
        assert 1 / (1 + count) <= result.p_value <= 1
        assert list(result.null_quantiles.values()) == sorted(result.null_quantiles.values())


def test_seeds():
    x, y = normal(0, 12, 3), normal(1, 12, 2)
    state = torch.random.get_rng_state()
    first, again, other = (independence_test(x, y, permutations=99, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.null_mean != other.null_mean
    assert torch.equal(torch.random.get_rng_state(), state)


def test_arrays_numbers_and_single_features():
    x = np.random.default_rng(0).normal(size=30).astype(np.float32)
    result = independence_test(x, torch.from_numpy(x).unsqueeze(1), permutations=99)
    assert result.p_value == 0.01
    labels = (x > 0).astype(np.int64)
    assert independence_test(x, labels, permutations=99, statistic="distance_correlation").p_value == 0.01
    assert two_sample_test(x, torch.from_numpy(x) + 3, permutations=99).p_value == 0.01


@each_statistic
def test_nothing_varies(settings, function):
    result = independence_test(torch.ones(6, 2), normal(0, 6, 2), permutations=19, **settings)
    assert result.statistic == 0
    assert result.p_value == 1


def test_ties_count():
    """Labels that hardly any permutation changes: what differs by rounding only is as large."""
    x, y = torch.arange(12.0), torch.zeros(12)
    y[5] = 0.1
    result = independence_test(x, y, kernel="linear", permutations=2000)
    # |x - mean| of the twelve is .5, 1.5, ... twice each; that of sample 5 is the least.
    assert result.p_value == 1


def test_frozen():
    result = two_sample_test(normal(0, 4, 1), normal(1, 4, 1), permutations=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.p_value = 0.0


# ---- bad input

X = torch.rand(6, 2)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (SettingError, ("statistic", "'hsic', 'distance_correlation'", "'mi'"), (X, X), {"statistic": "mi"}),
        (SettingError, ("kernel", "'gauss'"), (X, X), {"kernel": "gauss"}),
        (SettingError, ("permutations", "at least 1", "0"), (X, X), {"permutations": 0}),
        (SettingError, ("at least four samples", "got 3"), (X[:3], X[:3]), {}),
        (
            SettingError,
            ("no two of the 3 groups are of one size",),
            (X, X),
            {"groups": torch.tensor([0, 1, 1, 2, 2, 2])},
        ),
        (ShapeError, ("number of samples", "6 and 5"), (X, X[:5]), {}),
        (ShapeError, ("x must have shape [N, D] or [N]", "[1, 6, 2]"), (X[None], X), {}),
        (ShapeError, ("groups must have shape [6]", "[5]"), (X, X), {"groups": np.zeros(5)}),
        (DtypeError, ("y must be a tensor or an array of real numbers", "list"), (X, [[1.0]]), {}),
        (DtypeError, ("x must be a tensor or an array of real numbers", "<U1"), (np.array(["a"] * 6), X), {}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "independence_test: ", *words):
        independence_test(*arguments, **settings)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (SettingError, ("statistic", "'mmd'", "'t'"), (X, X), {"statistic": "t"}),
        (SettingError, ("each set needs at least two samples", "1 and 6"), (X[:1], X), {}),
        (SettingError, ("at least four groups", "got 3"), (X, X), {"groups": (np.zeros(6), np.arange(6) % 2)}),
        (ShapeError, ("same number of features", "2 and 1"), (X, X[:, :1]), {}),
        (ShapeError, ("groups of y must have shape [6]", "[5]"), (X, X), {"groups": (np.zeros(6), np.zeros(5))}),
        (DtypeError, ("groups must be a pair", "ndarray"), (X, X), {"groups": np.zeros(12)}),
    ],
)
@pytest.mark.bad_input
def test_bad_sets(exception, words, arguments, settings):
    with expect.error(exception, "two_sample_test: ", *words):
        two_sample_test(*arguments, **settings)


@pytest.mark.bad_input
@pytest.mark.parametrize("test", [independence_test, two_sample_test])
def test_one_nan_is_no_evidence(test):
    x, y = normal(0, 20, 2), normal(1, 20, 2)
    x[3, 0] = torch.nan
    with expect.error(DataError, "x holds NaN or infinities"):
        test(x, y)
