import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ShapeError
from mmdisentangle.functional import donsker_varadhan, nwj
from tests.oracles import expect, information
from tests.oracles.draws import coin, normal, seeds

BOUNDS = {"donsker_varadhan": donsker_varadhan, "nwj": nwj}
each_bound = pytest.mark.parametrize("name", BOUNDS)


@st.composite
def scores(draw):
    """Scores of own pairs ``[N]``, and of others ``[R, C]``."""
    seed = draw(seeds)
    others = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return normal(seed, draw(st.integers(1, 5))), normal(seed + 1, *others, scale=2.0)


# ---- closed form


@each_bound
def test_a_critic_that_says_nothing(name):
    assert BOUNDS[name](torch.zeros(3), torch.zeros(3, 3)) == 0


def test_constants():
    joint, marginal = torch.full((3,), 2.0), torch.full((4,), 0.5)
    assert donsker_varadhan(joint, marginal).item() == pytest.approx(1.5)
    assert nwj(joint, marginal).item() == pytest.approx(3 - math.exp(0.5))


@each_bound
def test_the_best_critic_of_gaussians_reaches_the_information(name):
    rho = 0.6
    x, noise = normal(0, 2, 20_000)
    y = rho * x + 0.8 * noise

    def critic(x, y):
        return -math.log(0.64) / 2 + (rho * x * y - rho**2 * (x**2 + y**2) / 2) / 0.64

    bound = BOUNDS[name](critic(x, y), critic(x.unsqueeze(1), y[:500]))
    assert bound.item() == pytest.approx(-math.log(0.64) / 2, abs=0.02)


# ---- oracles


@given(scores())
def test_loops(problem):
    joint, marginal = problem
    for name, bound in BOUNDS.items():
        expected = getattr(information, name)(joint.tolist(), marginal.flatten().tolist())
        assert bound(joint, marginal).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


# ---- laws


@given(scores())
def test_nwj_is_never_above(problem):
    assert nwj(*problem) <= donsker_varadhan(*problem) + 1e-12


@given(scores(), st.floats(-5, 5))
def test_a_constant_of_the_critic_does_not_matter_to_one(problem, constant):
    joint, marginal = problem
    expected = donsker_varadhan(joint, marginal)
    torch.testing.assert_close(donsker_varadhan(joint + constant, marginal + constant), expected)
    # The best constant makes both the same.
    best = marginal.flatten().logsumexp(0) - math.log(marginal.numel())
    torch.testing.assert_close(nwj(joint - best, marginal - best), expected)


@given(scores(), seeds)
def test_masks_pick_pairs(problem, seed):
    joint, marginal = problem
    mask, others = coin(seed, *joint.shape), coin(seed + 5, *marginal.shape)
    dirty = torch.where(mask, joint, float("nan")), torch.where(others, marginal, torch.inf)
    for bound in BOUNDS.values():
        found = bound(*dirty, mask=mask, marginal_mask=others)
        expected = bound(joint[mask], marginal[others]) if mask.any() and others.any() else torch.zeros_like(found)
        torch.testing.assert_close(found, expected)


# ---- gradients


@each_bound
def test_derivatives(name):
    joint, marginal = normal(0, 4).requires_grad_(), normal(1, 4, 4).requires_grad_()
    masks = {"mask": torch.arange(4) > 0, "marginal_mask": ~torch.eye(4, dtype=torch.bool)}
    for given_masks in ({}, masks):
        torch.autograd.gradcheck(lambda a, b, m=given_masks: BOUNDS[name](a, b, **m), (joint, marginal))


# ---- edges


@each_bound
@pytest.mark.parametrize(("own", "others"), [(0, 0), (1, 0), (0, 3)])
@pytest.mark.parametrize("masked", [False, True])
def test_without_pairs(name, own, others, masked):
    joint = torch.randn(4 if masked else own, requires_grad=True)
    marginal = torch.randn(4 if masked else others, requires_grad=True)
    masks = {"mask": torch.arange(4) < own, "marginal_mask": torch.arange(4) < others} if masked else {}
    # No NaN on the way either.
    with torch.autograd.set_detect_anomaly(True):
        bound = BOUNDS[name](joint, marginal, **masks)
        bound.backward()
    assert bound == 0
    for x in (joint, marginal):
        assert (x.grad == 0).all()


@each_bound
@pytest.mark.parametrize("size", [100.0, -100.0, 1e5])
def test_huge_scores(name, size):
    joint = torch.full((3,), size, requires_grad=True)
    marginal = torch.full((3, 3), size, requires_grad=True)
    bound = BOUNDS[name](joint, marginal)
    bound.backward()
    assert bound.isfinite()
    assert joint.grad.isfinite().all()
    assert marginal.grad.isfinite().all()
    assert (marginal.grad < 0).all() or size < 0


@each_bound
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(name, dtype):
    joint, marginal = normal(0, 20).to(dtype), normal(1, 20, 20).to(dtype)
    bound = BOUNDS[name](joint, marginal)
    assert bound.dtype == torch.float32
    torch.testing.assert_close(bound, BOUNDS[name](joint.float(), marginal.float()))


X = torch.rand(4)


@each_bound
@pytest.mark.parametrize(
    ("exception", "words", "arguments", "masks"),
    [
        (DtypeError, ("joint must be", "list"), ([1.0], X), {}),
        (ShapeError, ("joint must have shape", "[4, 1]"), (X[:, None], X), {}),
        (DtypeError, ("marginal must be", "int64"), (X, X.long()), {}),
        (ShapeError, ("mask", "[4]", "[3]"), (X, X), {"mask": torch.ones(3).bool()}),
        (ShapeError, ("marginal_mask", "[4]", "[3]"), (X, X), {"marginal_mask": torch.ones(3).bool()}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(name, exception, words, arguments, masks):
    with expect.error(exception, f"{name}: ", *words):
        BOUNDS[name](*arguments, **masks)
