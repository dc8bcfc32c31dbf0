import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score

from mmdisentangle.errors import DataError, SettingError
from mmdisentangle.evaluation import probe_score
from mmdisentangle.evaluation.probes import feature_map, fit_ridge, split_folds

QUICK = {"permutations": 0, "bootstraps": 50}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("probe", ["linear", "nonlinear"])
def test_what_is_there_is_read_and_what_is_not_is_chance(probe):
    target = np.arange(300) % 3
    told = probe_score(np.eye(3)[target] + 0.01 * normal(300, 3), target, task="classification", probe=probe)
    assert told.score == told.normalized == 1.0
    assert told.p_value == 1 / 201
    silent = probe_score(normal(300, 3), target, task="classification", probe=probe)
    assert silent.chance == 1 / 3
    assert silent.interval[0] < 1 / 3 < silent.interval[1]
    assert silent.p_value > 0.05
    assert silent.normalized == pytest.approx((silent.score - 1 / 3) / (2 / 3))


def test_explained_variance_in_closed_form():
    x = normal(4000, 2)
    y = x[:, 0] + 0.5 * normal(4000, seed=1)
    found = probe_score(x, y, task="regression", **QUICK)
    assert found.score == pytest.approx(1 / 1.25, abs=0.02)
    assert found.interval[0] < 0.8 < found.interval[1]
    # Units of the target make no difference, those of several targets neither.
    several = probe_score(x, np.stack([1e6 * y, normal(4000, seed=2)], 1), task="regression", **QUICK)
    assert several.score == pytest.approx(0.4, abs=0.02)


def test_labels_are_judged_one_by_one():
    x = normal(1000, 2)
    labels = np.stack([x[:, 0] > 0, normal(1000, seed=1) > 0], 1)
    found = probe_score(x, labels, task="multilabel", **QUICK)
    assert found.score == pytest.approx(0.75, abs=0.03)
    assert found.chance == 0.5


def test_a_kernel_reads_what_a_line_cannot():
    x = normal(800, 2)
    target = (x[:, 0] * x[:, 1] > 0).astype(int)
    linear, nonlinear = (
        probe_score(x, target, task="classification", probe=probe, **QUICK).score for probe in ("linear", "nonlinear")
    )
    assert linear < 0.6
    assert nonlinear > 0.9


def test_rare_classes_count_as_much_as_others():
    target = (np.arange(1000) % 10 == 0).astype(int)
    codes = normal(1000, 1) + 2 * target[:, None]
    found = probe_score(codes, target, task="classification", **QUICK)
    # Two normal distributions two deviations apart: each class is right with probability Phi(1).
    assert found.score == pytest.approx(0.841, abs=0.04)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("probe", ["linear", "nonlinear"])
def test_score_against_a_loop_over_folds(task, probe):
    """Against scikit-learn's discriminant analysis of what a ridge regression says, fold by fold."""
    x, groups = normal(90, 4), np.arange(90) // 3
    noisy = x[:, 0] + 0.5 * normal(90, seed=1)
    y = np.digitize(noisy, [-0.8, 0.9]) if task == "classification" else (noisy - noisy.mean()) / noisy.std()
    outputs = np.eye(3)[y] if task == "classification" else y[:, None]
    predicted = np.zeros_like(y)
    for test in split_folds(groups, 5, 0):
        train = np.setdiff1d(np.arange(90), test)
        assert not set(groups[test]) & set(groups[train])
        features = feature_map(x[train], probe, 0)
        inside, outside = features.transform(x[train]), features.transform(x[test])
        penalty = fit_ridge(inside, outputs[train], outputs[train]).alpha
        models = [Ridge(penalty).fit(inside, column[train]) for column in outputs.T]
        told, answer = (np.stack([model.predict(part) for model in models], 1) for part in (inside, outside))
        if task == "classification":
            # Two of three indicators say all.
            analysis = LinearDiscriminantAnalysis(priors=[1 / 3] * 3).fit(told[:, :2], y[train])
            predicted[test] = analysis.predict(answer[:, :2])
        else:
            predicted[test] = answer[:, 0]
    expected = (balanced_accuracy_score if task == "classification" else r2_score)(y, predicted)
    found = probe_score(x, y, task=task, probe=probe, groups=groups, **QUICK)
    assert found.score == pytest.approx(expected, abs=1e-9)


def test_groups_stay_together():
    """Codes that name the person tell a target that is the person's only as long as persons are on both sides."""
    person = np.arange(300) // 10
    target = np.random.default_rng(3).permutation(30)[person] % 2
    codes = np.eye(30)[person]
    assert probe_score(codes, target, task="classification", **QUICK).score > 0.99
    assert probe_score(codes, target, task="classification", groups=person, **QUICK).score < 0.7


def test_p_value_knows_groups_of_one_target():
    """Six persons whose codes go with their target by accident: among samples that would be beyond doubt."""
    alarms = {"groups": 0, "samples": 0}
    for seed in range(20):
        person = np.repeat(np.arange(6), 20)
        codes = normal(6, 2, seed=seed)[person] + 0.1 * normal(120, 2, seed=seed + 100)
        target = normal(6, seed=seed + 200)[person]
        for name, groups in (("groups", person), ("samples", None)):
            found = probe_score(codes, target, task="regression", groups=groups, permutations=40, bootstraps=2)
            alarms[name] += found.p_value <= 0.05
    assert alarms["groups"] <= 4
    assert alarms["samples"] > 14


def test_p_value_holds_its_level():
    alarms = sum(
        probe_score(
            normal(60, 3, seed=seed), np.arange(60) % 2, task="classification", permutations=39, bootstraps=2, seed=seed
        ).p_value
        <= 0.05
        for seed in range(100)
    )
    # 5 expected; at most 12 with probability .999.
    assert alarms <= 12


def test_targets_are_exchanged_only_where_they_may_be():
    """A label that is the same for all codes of a sample cannot be told more than by chance within samples."""
    sample = np.repeat(np.arange(50), 2)
    target = sample % 2
    codes = target[:, None] + 0.1 * normal(100, 2)
    free = probe_score(codes, target, task="classification", permutations=50)
    bound = probe_score(codes, target, task="classification", permutations=50, permute_within=sample)
    assert free.p_value == 1 / 51
    assert bound.p_value == 1.0


def test_interval_narrows_with_groups_not_with_copies():
    target = np.arange(100) % 2
    codes = normal(100, 2) + target[:, None]
    few = probe_score(codes, target, task="classification", permutations=0)
    copies = np.tile(np.arange(100), 9)
    many = probe_score(codes[copies], target[copies], task="classification", groups=copies, permutations=0)
    widths = [high - low for low, high in (few.interval, many.interval)]
    assert widths[1] == pytest.approx(widths[0], rel=0.4)


def test_the_seed_decides():
    x, y = normal(80, 3), np.arange(80) % 2
    assert probe_score(x, y, task="classification", probe="nonlinear", seed=3) == probe_score(
        x, y, task="classification", probe="nonlinear", seed=3
    )


def test_constant_and_few_codes():
    target = np.arange(20) % 2
    assert probe_score(np.ones((20, 3)), target, task="classification", **QUICK).score == 0.5
    assert probe_score(np.zeros((20, 3)), normal(20), task="regression", probe="nonlinear", **QUICK).score < 0.05
    assert probe_score(normal(3, 1), np.array([0, 1, 1]), task="classification", **QUICK).score >= 0.0


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("codes", "target", "more", "error", "message"),
    [
        ([[np.nan], [1.0]], [0, 1], {}, DataError, "the codes hold NaN or infinities"),
        ([[0.0], [1.0]], [1, 1], {}, DataError, "the target is the same for all samples"),
        ([[0.0], [1.0]], [0, 1], {"groups": [1, 1]}, DataError, "at least 2 groups are needed to hold some out, got 1"),
        ([[0.0], [1.0]], [0, 1], {"probe": "deep"}, SettingError, "probe must be one of"),
        ([[0.0], [1.0]], [0, 1], {"folds": 1}, SettingError, "folds must be an integer of at least 2"),
        ([[0.0], [1.0]], [0.5, np.inf], {"task": "regression"}, DataError, "the target holds NaN or infinities"),
    ],
)
def test_wrong_input_gets_one_clear_sentence(codes, target, more, error, message):
    with pytest.raises(error, match=message):
        probe_score(np.array(codes), np.array(target), **{"task": "classification", **more})
