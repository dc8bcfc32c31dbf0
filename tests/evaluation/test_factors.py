"""DCI, MIG, SAP and modularity where the answer is known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from mmdisentangle.errors import DataError, DtypeError, SettingError, ShapeError
from mmdisentangle.evaluation import (
    dci,
    factor_metrics,
    modularity,
    mutual_information_gap,
    separated_attribute_predictability,
)
from mmdisentangle.evaluation.factors._chance import above_chance
from mmdisentangle.evaluation.factors._information import information_measure
from mmdisentangle.evaluation.factors._samples import read_samples

METRICS = [
    dci,
    mutual_information_gap,
    separated_attribute_predictability,
    modularity,
    lambda codes, factors: factor_metrics(codes, factors, predictor="lasso", resamples=2, permutations=4),
]
HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2


@pytest.fixture(scope="module")
def z():
    return np.random.default_rng(0).normal(size=(1500, 4))


def curved(z):
    return np.stack([-(z[:, 2] ** 3), np.exp(z[:, 0]), np.tanh(z[:, 1]), 5 * z[:, 3] + 1], 1)


class TestPerfectCodes:
    def test_information_needs_no_straight_line(self, z):
        gap = mutual_information_gap(curved(z), z)
        assert gap.score == 1
        assert gap.best_code.tolist() == [1, 2, 0, 3]
        assert gap.p_value == pytest.approx(1 / 21)
        assert modularity(curved(z), z).score == 1

    def test_dci(self, z):
        found = dci(curved(z)[:600], z[:600])
        assert (found.disentanglement, found.completeness) == (1, 1)
        assert found.informativeness > 0.98
        assert found.importance.argmax(0).tolist() == [1, 2, 0, 3]
        np.testing.assert_array_equal(found.importance.sum(0), 1)

    @pytest.mark.parametrize("predictor", ["boosting", "forest", "lasso"])
    def test_dci_of_classes_and_numbers(self, z, predictor):
        factors = np.stack([np.digitize(z[:400, 0], [-0.5, 0.5]), z[:400, 1]], 1)
        found = dci(factors[:, ::-1] * [2, -3], factors, discrete=[True, False], predictor=predictor)
        assert (found.disentanglement, found.completeness) == (1, 1)
        assert found.informativeness > 0.98

    def test_sap_is_the_squared_correlation(self, z):
        assert separated_attribute_predictability(z[:, ::-1] * 1e6 + 1, z).score == pytest.approx(1, abs=1e-6)
        x = np.linspace(-1, 1, 20001)
        # E[x x^3]^2 / (E[x^2] E[x^6]) of a uniform x.
        assert separated_attribute_predictability(x**3, x).score == pytest.approx(21 / 25, abs=1e-3)

    @pytest.mark.parametrize("count", [2, 3, 7])
    def test_classes(self, count):
        classes = np.random.default_rng(0).integers(0, count, (800, 3))
        codes = -3.0 * classes[:, ::-1]
        assert mutual_information_gap(codes, classes).score == pytest.approx(1)
        assert separated_attribute_predictability(codes, classes).score == pytest.approx(1)
        assert modularity(codes, classes).score == 1

    def test_neighbours(self, z):
        classes = np.digitize(z[:600], [-0.5, 0.5])
        assert mutual_information_gap(z[:600], classes, estimator="neighbours").score > 0.9
        # 1 - exp(-2 I) is the squared correlation of Gaussians.
        noisy = 0.6 * z[:, :2] + 0.8 * z[:, 2:]
        found = mutual_information_gap(noisy, z[:, :2], estimator="neighbours")
        assert found.score == pytest.approx(0.36, abs=0.05)


class TestEntangledCodes:
    def test_an_even_rotation_scores_near_0(self):
        z = np.random.default_rng(1).normal(size=(40000, 4))
        codes = z @ HADAMARD
        assert mutual_information_gap(codes, z).score < 0.02
        assert separated_attribute_predictability(codes, z).score < 0.02
        assert modularity(codes, z).score < 0.12
        found = dci(codes, z, predictor="lasso")
        assert found.disentanglement < 0.01
        assert found.completeness < 0.01
        assert found.informativeness > 0.99

    def test_a_rotation_in_the_plane_has_the_scores_of_theory(self):
        """Codes of correlation cos and sin with two factors, in closed form."""
        z = np.random.default_rng(2).normal(size=(40000, 2))
        angle = 0.5
        c, s = math.cos(angle) ** 2, math.sin(angle) ** 2
        codes = z @ np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        assert separated_attribute_predictability(codes, z).score == pytest.approx(c - s, abs=0.02)
        information = [-0.5 * math.log(1 - c), -0.5 * math.log(1 - s)]
        # Twenty bins lose a little of the larger one.
        assert modularity(codes, z).score == pytest.approx(1 - (information[1] / information[0]) ** 2, abs=0.02)
        gap = mutual_information_gap(codes, z)
        assert gap.score == pytest.approx((information[0] - information[1]) / math.log(20), abs=0.02)
        shares = np.array([c**0.5, s**0.5]) / (c**0.5 + s**0.5)
        entropy = -(shares * np.log2(shares)).sum()
        found = dci(codes, z, predictor="lasso")
        # The penalty makes the smaller coefficient a little smaller.
        assert found.disentanglement == pytest.approx(1 - entropy, abs=0.02)
        assert found.completeness == pytest.approx(1 - entropy, abs=0.02)


class TestIndependentCodes:
    def test_nothing_is_found(self, z):
        codes = np.random.default_rng(3).normal(size=(600, 5))
        found = factor_metrics(codes, z[:600], predictor="lasso")
        for name, score in found.scores.items():
            assert score.value < 0.05, name
            assert score.low <= score.chance <= max(score.high, 0.02), name
            assert score.p_value > 0.05, name

    def test_false_alarms_are_few(self):
        """Nothing beyond chance in nearly all of 40 draws, and the p-value is one."""
        generator = np.random.default_rng(0)
        p_values = []
        for _ in range(40):
            codes, factors = generator.normal(size=(200, 3)), generator.normal(size=(200, 3))
            p_values.append(modularity(codes, factors).p_value)
        assert sum(p <= 0.05 for p in p_values) <= 6

    def test_unequal_classes_are_chance(self):
        generator = np.random.default_rng(0)
        rare = (generator.random((500, 2)) < 0.05).astype(int)
        codes = generator.normal(size=(500, 3))
        assert separated_attribute_predictability(codes, rare).score < 0.1
        assert dci(codes, rare, predictor="lasso").informativeness < 0.15


class TestLaws:
    @settings(max_examples=15, deadline=None)
    @given(seed=st.integers(0, 2**20), dead=st.integers(0, 2))
    def test_order_scale_and_dead_codes_change_nothing(self, seed, dead):
        generator = np.random.default_rng(seed)
        factors = generator.normal(size=(150, 3))
        codes = factors @ generator.normal(size=(3, 3)) + generator.normal(size=(150, 3))
        order = generator.permutation(3)
        changed = np.concatenate([-3.0 * codes[:, order] + 2, np.full((150, dead), 7.0)], 1)
        for metric in (mutual_information_gap, separated_attribute_predictability, modularity):
            one, other = metric(codes, factors), metric(changed, factors)
            assert other.score == pytest.approx(one.score, abs=1e-9)
            assert 0 <= one.score <= 1

    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 2**20), classes=st.integers(2, 5))
    def test_information_agrees_with_sklearn(self, seed, classes):
        generator = np.random.default_rng(seed)
        codes, factors = generator.integers(0, 6, (100, 3)), generator.integers(0, classes, (100, 2))
        measure = information_measure("test", read_samples("test", codes, factors, None), "bins", 6, 3)
        rows = np.arange(100)
        found = measure(rows, rows)
        expected = [[mutual_info_score(code, factor) for factor in factors.T] for code in codes.T]
        np.testing.assert_allclose(found[0], expected, atol=1e-12)

    def test_chance_is_taken_off(self):
        null = np.full((10, 1, 1), 0.2)
        np.testing.assert_allclose(above_chance(np.array([[0.6]]), null), [[0.5]])
        np.testing.assert_allclose(above_chance(np.array([[0.2]]), null), [[0.0]])
        np.testing.assert_allclose(above_chance(np.array([[1.0]]), null), [[1.0]])
        np.testing.assert_allclose(above_chance(np.array([[0.6]]), null, ceiling=None), [[0.4]])

    def test_the_same_seed_gives_the_same_numbers(self, z):
        one, other = (factor_metrics(z[:100], z[:100], predictor="lasso", resamples=3) for _ in range(2))
        assert one.scores == other.scores

    def test_completeness_is_not_disentanglement(self, z):
        """Two codes for one factor are complete in no way, and disentangled; one code for two is the opposite."""
        codes = np.concatenate([z[:600, :2], z[:600, :2] + 0.01 * z[:600, 2:]], 1)
        twice = dci(codes, z[:600, :2], predictor="forest")
        assert twice.disentanglement > 0.99 > twice.completeness
        one = np.random.default_rng(0).integers(0, 2, (600, 2))
        both = np.stack([one @ [1.0, 2.0], np.random.default_rng(1).normal(size=600)], 1)
        found = dci(both, one, predictor="forest")
        assert found.completeness == 1
        assert found.disentanglement < 0.05
        assert mutual_information_gap(both, one).score == pytest.approx(1, abs=0.02)
        assert modularity(both, one).score < 0.05


class TestEdges:
    def test_a_constant_factor_is_left_out(self, z):
        factors = np.concatenate([z[:200, :2], np.ones((200, 1))], 1)
        found = factor_metrics(z[:200, :2], factors, predictor="lasso", resamples=3, permutations=8)
        assert np.isnan(found.mig.per_factor).tolist() == [False, False, True]
        assert np.isnan(found.dci.completeness_per_factor).tolist() == [False, False, True]
        assert all(score.value > 0.98 for score in found.scores.values())

    def test_only_constant_factors(self, z):
        found = factor_metrics(z[:50], np.ones((50, 2)), predictor="lasso", resamples=3, permutations=4)
        assert all(math.isnan(score.value) for score in found.scores.values())

    def test_constant_codes(self, z):
        found = factor_metrics(np.full((100, 3), 0.1), z[:100], predictor="lasso", resamples=3, permutations=4)
        assert all(score.value == 0 for score in found.scores.values())
        assert found.mig.best_code.tolist() == [-1] * 4

    def test_one_code(self, z):
        found = factor_metrics(z[:300, 0], z[:300, :2], predictor="lasso", resamples=3)
        assert found.mig.score == pytest.approx(0.5)
        assert math.isnan(found.dci.completeness)
        assert found.dci.disentanglement == pytest.approx(0.5)
        assert found.modularity.score == 1

    def test_one_factor(self, z):
        found = factor_metrics(z[:300, :2], z[:300, 0], predictor="lasso", resamples=3)
        assert found.mig.score == 1
        assert math.isnan(found.dci.disentanglement)
        assert math.isnan(found.modularity.score)

    @pytest.mark.parametrize("scale", [1e-150, 1e150])
    def test_any_scale(self, z, scale):
        found = factor_metrics(z[:100, :2] * scale, z[:100, :2] * scale, predictor="lasso", resamples=3)
        assert found.mig.score == found.modularity.score == 1
        assert found.sap.score == pytest.approx(1)

    def test_tensors_and_half_precision(self, z):
        codes = torch.as_tensor(z[:100]).requires_grad_().bfloat16()
        found = mutual_information_gap(codes, torch.as_tensor(z[:100]) > 0)
        assert found.score == mutual_information_gap(codes.float().detach().numpy(), (z[:100] > 0).astype(int)).score

    def test_types_say_what_classes_are(self):
        values = np.random.default_rng(0).integers(0, 3, (200, 1))
        codes = values + 0.01 * np.random.default_rng(1).normal(size=(200, 2))
        one = separated_attribute_predictability(codes, values).predictability
        other = separated_attribute_predictability(codes, values.astype(float), discrete=True).predictability
        np.testing.assert_array_equal(one, other)
        assert (separated_attribute_predictability(codes, values, discrete=False).predictability < 1).all()


@pytest.mark.parametrize("metric", METRICS)
class TestErrors:
    def test_nan(self, metric, z):
        broken = z.copy()
        broken[7, 2] = np.nan
        with pytest.raises(DataError, match="codes must be finite, got nan in column 2 of sample 7"):
            metric(broken, z)
        with pytest.raises(DataError, match="factors must be finite"):
            metric(z, broken)

    def test_shapes(self, metric, z):
        with pytest.raises(ShapeError, match="one row per sample, got 20 and 19"):
            metric(z[:20], z[:19])
        with pytest.raises(ShapeError, match=r"codes must have shape \[N, columns\], got \[20, 2, 2\]"):
            metric(z[:20].reshape(20, 2, 2), z[:20])
        with pytest.raises(DataError, match="at least 12 samples, got 5"):
            metric(z[:5], z[:5])

    def test_types(self, metric, z):
        with pytest.raises(DtypeError, match="factors must hold real numbers"):
            metric(z[:20], np.array(["a"] * 20))


def test_settings_are_checked(z):
    with pytest.raises(SettingError, match="for each of the 4 factors"):
        mutual_information_gap(z, z, discrete=[True])
    with pytest.raises(SettingError, match="estimator must be one of"):
        mutual_information_gap(z, z, estimator="bin")
    with pytest.raises(SettingError, match="predictor must be one of"):
        dci(z, z, predictor="tree")
    with pytest.raises(SettingError, match="permutations must be an integer of at least 2"):
        modularity(z, z, permutations=1)
