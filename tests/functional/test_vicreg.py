import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import vicreg
from tests.oracles import expect
from tests.oracles.agreement import vicreg as slow
from tests.oracles.draws import coin, normal, seeds


@st.composite
def problems(draw):
    """Paired codes of one width, some of them of little variance."""
    shape = draw(st.integers(2, 8)), draw(st.integers(1, 5))
    seed = draw(seeds)
    return normal(seed, *shape, scale=draw(st.sampled_from([0.1, 1.0]))), normal(seed + 1, *shape)


def test_one_feature():
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    terms = vicreg(x, x / 4, invariance_weight=2.0, variance_weight=3.0, covariance_weight=5.0)
    # Deviations sqrt(2) and sqrt(2) / 4 against 1.
    variance = (1 - 2**0.5 / 4) / 2
    assert terms.invariance.item() == pytest.approx(0.75**2)
    assert terms.variance.item() == pytest.approx(variance)
    assert terms.covariance.item() == pytest.approx(0, abs=1e-15)
    assert terms.total.item() == pytest.approx(2 * 0.75**2 + 3 * variance)


def test_two_equal_features():
    """Covariance 2 beside the diagonal, twice, over two features, in both sets."""
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    assert vicreg(x, x).covariance.item() == pytest.approx(8)
    assert vicreg(x, x).total.item() == pytest.approx(8)


@given(problems(), st.sampled_from([0.0, 1.0, 2.5]))
def test_loops(problem, deviation):
    x, y = problem
    terms = vicreg(x, y, deviation=deviation)
    expected = slow(x.numpy(), y.numpy(), deviation)
    assert [term.item() for term in terms[1:]] == pytest.approx(expected, rel=1e-8, abs=1e-9)
    assert terms.total.item() == pytest.approx(25 * expected[0] + 25 * expected[1] + expected[2], rel=1e-8, abs=1e-9)


@given(problems(), seeds)
def test_a_mask_picks_samples(problem, seed):
    x, y = problem
    mask = coin(seed, len(x))
    dirty = [torch.where(mask.unsqueeze(1), codes, float("nan")) for codes in (x, y)]
    for masked, picked in zip(vicreg(*dirty, mask=mask), vicreg(x[mask], y[mask]), strict=True):
        torch.testing.assert_close(masked, picked)


@given(problems())
def test_a_shift_of_both_changes_nothing(problem):
    x, y = problem
    for moved, still in zip(vicreg(x + 3, y + 3), vicreg(x, y), strict=True):
        torch.testing.assert_close(moved, still)


@pytest.mark.parametrize("samples", [3, 7])
def test_derivatives(samples):
    x, y = normal(0, samples, 5, scale=0.3).requires_grad_(), normal(1, samples, 5).requires_grad_()
    for mask in (None, torch.arange(samples) != 1):
        torch.autograd.gradcheck(lambda x, y, m=mask: tuple(vicreg(x, y, mask=m)), (x, y))


@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_constant_codes_are_seen(constant):
    x = torch.full((6, 3), constant, requires_grad=True)
    terms = vicreg(x, x, deviation=0.7)
    terms.total.backward()
    assert terms.variance.item() == pytest.approx(0.7)
    assert terms.covariance == 0
    assert x.grad.isfinite().all()


def test_nearly_constant_codes_are_pushed_apart():
    """What an epsilon under the root would weaken: the gradient keeps its size."""
    x = (1e-6 * normal(0, 6, 3)).requires_grad_()
    vicreg(x, x.detach()).variance.backward()
    wide = (0.1 * normal(0, 6, 3)).requires_grad_()
    vicreg(wide, wide.detach()).variance.backward()
    torch.testing.assert_close(x.grad, wide.grad)


@pytest.mark.parametrize("samples", [0, 1])
def test_fewer_than_two_samples(samples):
    x, y = torch.randn(samples, 3, requires_grad=True), torch.randn(samples, 3)
    terms = vicreg(x, y)
    terms.total.backward()
    assert terms.variance == terms.covariance == 0
    assert terms.invariance.item() == pytest.approx((x - y).square().mean().item() if samples else 0)
    assert x.grad.isfinite().all()


X = torch.rand(4, 3)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("x must be", "list"), ([[1.0]], X), {}),
        (ShapeError, ("y must have 3 features", "got 2"), (X, X[:, :2]), {}),
        (SettingError, ("invariance_weight", "-1"), (X, X), {"invariance_weight": -1.0}),
        (SettingError, ("variance_weight", "nan"), (X, X), {"variance_weight": float("nan")}),
        (SettingError, ("covariance_weight", "'1'"), (X, X), {"covariance_weight": "1"}),
        (SettingError, ("deviation", "-2"), (X, X), {"deviation": -2}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "vicreg: ", *words):
        vicreg(*arguments, **settings)
