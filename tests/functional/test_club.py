import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import club, club_categorical, gaussian_log_likelihood
from tests.oracles import expect, information
from tests.oracles.draws import coin, normal, seeds


@st.composite
def gaussians(draw, least=2):
    """Means, log-variances and codes ``[N, D]``."""
    shape, seed = (draw(st.integers(least, 7)), draw(st.integers(1, 4))), draw(seeds)
    return tuple(normal(seed + i, *shape) for i in range(3))


@st.composite
def categoricals(draw):
    """Logits ``[N, C]`` and classes ``[N]``."""
    samples, classes, seed = draw(st.integers(2, 7)), draw(st.integers(1, 4)), draw(seeds)
    target = torch.randint(classes, (samples,), generator=torch.Generator().manual_seed(seed))
    return normal(seed, samples, classes, scale=2.0), target


# ---- closed form


def test_two_samples():
    """Own squares (1/2)^2, the other's (3/2)^2: half their difference, over a variance of 2."""
    y = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    log_variance = torch.full((2, 1), math.log(2), dtype=torch.float64)
    assert club(y / 2, log_variance, y).item() == pytest.approx(2 / 2 / 2)
    assert club(y / 2, log_variance, y, unbiased=False).item() == pytest.approx(2 / 2 / 2 / 2)


@pytest.mark.parametrize("information", [0.1, 1.0, 3.0])
def test_the_exact_conditional_of_gaussians(information):
    """In expectation rho^2 / (1 - rho^2), which is never below the information."""
    rho = math.sqrt(-math.expm1(-2 * information))
    x, noise = normal(0, 2, 200_000, 1)
    y = rho * x + math.sqrt(1 - rho**2) * noise
    bound = club(rho * x, torch.full_like(y, math.log1p(-(rho**2))), y).item()
    assert bound == pytest.approx(rho**2 / (1 - rho**2), rel=0.03)
    assert bound > information


def test_unbiased_is_right_in_small_batches():
    """Its mean over batches of 4 is that of large ones; with the own sample among the negatives 3/4 of it."""
    rho = 0.8
    exact = rho**2 / (1 - rho**2)
    found = {True: [], False: []}
    for seed in range(2_000):
        x, noise = normal(seed, 2, 4, 1)
        y = rho * x + 0.6 * noise
        for unbiased, values in found.items():
            values.append(club(rho * x, torch.full_like(y, math.log(0.36)), y, unbiased=unbiased))
    for unbiased, values in found.items():
        values = torch.stack(values)
        error = values.std() / math.sqrt(len(values))
        assert abs(values.mean() - exact * (1 if unbiased else 0.75)) < 4 * error


def test_labels_that_logits_know():
    """Two of each class: a logit of 1 for the own class, 2/3 of the others have 0 (own) and 1."""
    classes = torch.tensor([0, 0, 1, 1])
    logits = torch.nn.functional.one_hot(classes).double()
    assert club_categorical(logits, classes).item() == pytest.approx(1 - 1 / 3)
    assert club_categorical(logits, classes, unbiased=False).item() == pytest.approx(1 - 1 / 2)


# ---- oracles


@given(gaussians(), st.booleans())
def test_all_pairs(problem, unbiased):
    arrays = [x.numpy() for x in problem]
    expected = information.club(*arrays, unbiased=unbiased)
    assert club(*problem, unbiased=unbiased).item() == pytest.approx(expected, rel=1e-8, abs=1e-9)


@given(gaussians(least=1))
def test_likelihood_is_that_of_scipy(problem):
    mean, log_variance, y = (x.numpy() for x in problem)
    expected = stats.norm.logpdf(y, mean, np.exp(log_variance / 2)).sum(1).mean()
    assert gaussian_log_likelihood(*problem).item() == pytest.approx(expected, rel=1e-9)
    assert information.gaussian_log_likelihood(mean, log_variance, y) == pytest.approx(expected, rel=1e-9)


@given(categoricals(), st.booleans())
def test_all_pairs_of_classes(problem, unbiased):
    logits, classes = problem
    expected = information.club_categorical(logits.numpy(), classes.tolist(), unbiased=unbiased)
    one_hot = torch.nn.functional.one_hot(classes, logits.shape[1])
    for y in (classes, one_hot, one_hot.double()):
        assert club_categorical(logits, y, unbiased=unbiased).item() == pytest.approx(expected, rel=1e-8, abs=1e-9)


# ---- laws


@given(gaussians(), seeds)
def test_a_mask_picks_samples(problem, seed):
    mask = coin(seed, len(problem[0]))
    dirty = [torch.where(mask.unsqueeze(1), x, float("nan")) for x in problem]
    picked = [x[mask] for x in problem]
    torch.testing.assert_close(club(*dirty, mask=mask), club(*picked))
    torch.testing.assert_close(gaussian_log_likelihood(*dirty, mask=mask), gaussian_log_likelihood(*picked))


@given(categoricals(), seeds)
def test_a_mask_picks_labels(problem, seed):
    logits, classes = problem
    mask = coin(seed, len(logits))
    dirty = torch.where(mask.unsqueeze(1), logits, float("nan"))
    junk = torch.where(mask, classes, -100)
    torch.testing.assert_close(club_categorical(dirty, junk, mask=mask), club_categorical(logits[mask], classes[mask]))


@given(gaussians())
def test_a_shift_of_mean_and_y_changes_nothing(problem):
    mean, log_variance, y = problem
    torch.testing.assert_close(club(mean + 7, log_variance, y + 7), club(mean, log_variance, y))


def test_far_from_the_origin_in_float32():
    mean, log_variance, y = (normal(i, 64, 4) for i in range(3))
    far = club((mean + 1_000).float(), log_variance.float(), (y + 1_000).float())
    torch.testing.assert_close(far.double(), club(mean, log_variance, y), rtol=1e-2, atol=1e-3)


def test_no_table_of_pairs():
    """200,000 samples of 8 features: the differences of all pairs would take 2.5 TB."""
    x = torch.randn(200_000, 8)
    assert club(x / 2, torch.zeros_like(x), x).item() == pytest.approx(8 / 2, rel=0.02)


@given(categoricals(), seeds)
def test_normalisers_do_not_matter(problem, seed):
    logits, classes = problem
    shifted = logits + normal(seed, len(logits), 1)
    torch.testing.assert_close(club_categorical(shifted, classes), club_categorical(logits, classes))


# ---- gradients


def test_derivatives():
    problem = [normal(i, 5, 3).requires_grad_() for i in range(3)]
    for mask in (None, torch.tensor([True, False, True, True, True])):
        torch.autograd.gradcheck(lambda *x, m=mask: club(*x, mask=m), problem)
        torch.autograd.gradcheck(lambda *x, m=mask: gaussian_log_likelihood(*x, mask=m), problem)
        torch.autograd.gradcheck(lambda *x, m=mask: club_categorical(*x, mask=m), problem[:2])


# ---- edges


@pytest.mark.parametrize("samples", [0, 1])
@pytest.mark.parametrize("unbiased", [False, True])
def test_fewer_than_two_samples(samples, unbiased):
    for masked in (False, True):
        size = 4 if masked else samples
        mask = torch.arange(4) < samples if masked else None
        x = torch.randn(size, 3, requires_grad=True)
        loss = club(x, torch.zeros(size, 3), torch.randn(size, 3), unbiased=unbiased, mask=mask)
        loss = loss + club_categorical(x, torch.zeros(size, dtype=torch.long), unbiased=unbiased, mask=mask)
        loss.backward()
        assert loss == 0
        assert (x.grad == 0).all()


def test_constant_codes_carry_no_information():
    y = torch.full((6, 3), 0.3)
    assert club(normal(0, 6, 3).float(), torch.zeros(6, 3), y) == 0


X = torch.rand(4, 3)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("mean must be", "list"), ([[1.0]], X, X), {}),
        (ShapeError, ("log_variance and mean", "[4, 2]"), (X, X[:, :2], X), {}),
        (ShapeError, ("y and mean", "[3, 3]"), (X, X, X[:3]), {}),
        (ShapeError, ("mask", "[4]", "[5]"), (X, X, X), {"mask": torch.ones(5).bool()}),
        (SettingError, ("unbiased", "True or False"), (X, X, X), {"unbiased": 1}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "club: ", *words):
        club(*arguments, **settings)


@pytest.mark.parametrize(
    ("exception", "words", "arguments"),
    [
        (DtypeError, ("y must hold integer classes", "float32", "1 axes"), (X, X[:, 0])),
        (DtypeError, ("y must hold integer classes", "bool"), (X, X[:, 0] > 0)),
        (ShapeError, ("one weight for each of 3 classes", "got 2"), (X, X[:, :2])),
        (ShapeError, ("4 rows", "got 3"), (X, torch.zeros(3, dtype=torch.long))),
        (ShapeError, ("logits must have shape",), (X[0], torch.zeros(3, dtype=torch.long))),
    ],
)
@pytest.mark.bad_input
def test_bad_labels(exception, words, arguments):
    with expect.error(exception, "club_categorical: ", *words):
        club_categorical(*arguments)
