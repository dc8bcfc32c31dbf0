import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import barlow_twins
from tests.oracles import expect
from tests.oracles.agreement import barlow_twins as slow
from tests.oracles.draws import coin, normal, seeds


@st.composite
def problems(draw):
    """Paired codes of one width."""
    shape = draw(st.integers(2, 8)), draw(st.integers(1, 5))
    seed = draw(seeds)
    return normal(seed, *shape), normal(seed + 1, *shape)


def test_orthogonal_designs():
    """C = I costs nothing, -I 4 per feature, exchanged features 1 per feature and 1 per entry beside the diagonal."""
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    assert barlow_twins(x, 5 * x + 2).item() == pytest.approx(0, abs=1e-15)
    assert barlow_twins(x, -x).item() == pytest.approx(8)
    assert barlow_twins(x, x.flip(1), redundancy_weight=0.1).item() == pytest.approx(2 + 0.1 * 2)


@given(problems(), st.sampled_from([0.0, 0.005, 1.0]))
def test_loops(problem, redundancy_weight):
    x, y = problem
    expected = slow(x.numpy(), y.numpy(), redundancy_weight)
    assert barlow_twins(x, y, redundancy_weight=redundancy_weight).item() == pytest.approx(expected, rel=1e-8, abs=1e-9)


@given(problems(), st.sampled_from([0.01, 30.0]))
def test_units_and_the_order_of_arguments_do_not_matter(problem, scale):
    x, y = problem
    expected = barlow_twins(x, y)
    torch.testing.assert_close(barlow_twins(scale * x + 1, y / scale), expected)
    torch.testing.assert_close(barlow_twins(y, x), expected)


@given(problems(), seeds)
def test_a_mask_picks_samples(problem, seed):
    x, y = problem
    mask = coin(seed, len(x))
    dirty = [torch.where(mask.unsqueeze(1), codes, float("nan")) for codes in (x, y)]
    torch.testing.assert_close(barlow_twins(*dirty, mask=mask), barlow_twins(x[mask], y[mask]))


@pytest.mark.parametrize("samples", [3, 7])
def test_derivatives(samples):
    """Fewer samples than features and more: both ways to multiply."""
    x, y = normal(0, samples, 5).requires_grad_(), normal(1, samples, 5).requires_grad_()
    mask = torch.arange(samples) != 1
    for given_mask in (None, mask):
        torch.autograd.gradcheck(lambda x, y, m=given_mask: barlow_twins(x, y, mask=m), (x, y))


@pytest.mark.parametrize("constant", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_features_cost_one_each(constant, dtype):
    x = torch.full((6, 3), constant, dtype=dtype, requires_grad=True)
    loss = barlow_twins(x, torch.randn(6, 3, dtype=dtype))
    loss.backward()
    assert loss == 3
    assert x.grad.isfinite().all()
    assert (x.grad != 0).any(), "a constant feature must be able to leave its constant"


@pytest.mark.parametrize("samples", [0, 1])
def test_fewer_than_two_samples(samples):
    x = torch.randn(samples, 3, requires_grad=True)
    loss = barlow_twins(x, torch.randn(samples, 3))
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()
    y = torch.randn(4, 3, requires_grad=True)
    loss = barlow_twins(y, y, mask=torch.arange(4) < samples)
    loss.backward()
    assert loss == 0
    assert (y.grad == 0).all()


X = torch.rand(4, 3)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("y must be", "floating", "int64"), (X, X.long()), {}),
        (ShapeError, ("y must have 3 features", "got 2"), (X, X[:, :2]), {}),
        (ShapeError, ("number of samples",), (X, X[:2]), {}),
        (SettingError, ("redundancy_weight", "0 <= redundancy_weight"), (X, X), {"redundancy_weight": -1.0}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "barlow_twins: ", *words):
        barlow_twins(*arguments, **settings)
