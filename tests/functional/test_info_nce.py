import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import info_nce
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.information import info_nce_terms

critics = st.sampled_from(["cosine", "dot", "bilinear"])
temperatures = st.sampled_from([0.1, 1.0, 3.0])


@st.composite
def problems(draw, least=1):
    """Codes, and settings that fit together."""
    samples, width, seed = draw(st.integers(least, 6)), draw(st.integers(1, 4)), draw(seeds)
    settings = {"critic": draw(critics), "temperature": draw(temperatures), "symmetric": draw(st.booleans())}
    other = draw(st.integers(1, 4)) if settings["critic"] == "bilinear" else width
    if settings["critic"] == "bilinear":
        settings["weight"] = normal(seed + 2, width, other)
    else:
        settings["negatives"] = draw(st.sampled_from(["other", "both"]))
    return normal(seed, samples, width), normal(seed + 1, samples, other), settings


# ---- closed form


def test_orthogonal_pairs():
    """Every partner has cosine 1, all others 0: log(1 + (n - 1) e^(-1 / tau)); 2 (n - 1) others for both."""
    x = torch.eye(5, dtype=torch.float64)
    rest = math.exp(-1 / 0.5)
    assert info_nce(x, 3 * x, temperature=0.5).item() == pytest.approx(math.log(1 + 4 * rest))
    assert info_nce(x, 3 * x, temperature=0.5, negatives="both").item() == pytest.approx(math.log(1 + 8 * rest))


@pytest.mark.parametrize(("negatives", "candidates"), [("other", 7), ("both", 13)])
def test_nothing_to_tell_costs_the_logarithm(negatives, candidates):
    x = torch.ones(7, 3, dtype=torch.float64)
    assert info_nce(x, x, negatives=negatives).item() == pytest.approx(math.log(candidates))


def test_one_sample_costs_nothing():
    x = normal(0, 1, 4).requires_grad_()
    for negatives in ("other", "both"):
        loss = info_nce(x, x.detach(), negatives=negatives)
        loss.backward()
        assert loss == 0
        assert (x.grad == 0).all()


# ---- oracle


@given(problems())
def test_loops(problem):
    x, y, settings = problem
    arrays = {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in settings.items()}
    expected = info_nce_terms(x.numpy(), y.numpy(), **arrays)
    torch.testing.assert_close(info_nce(x, y, **settings, reduction="none"), torch.from_numpy(expected))
    torch.testing.assert_close(info_nce(x, y, **settings).item(), expected.mean())
    torch.testing.assert_close(info_nce(x, y, **settings, reduction="sum").item(), expected.sum())


def test_it_is_cross_entropy():
    x, y = normal(0, 6, 4), normal(1, 6, 4)
    logits, target = x @ y.T / 0.7, torch.arange(6)
    expected = (
        torch.nn.functional.cross_entropy(logits, target) + torch.nn.functional.cross_entropy(logits.T, target)
    ) / 2
    torch.testing.assert_close(info_nce(x, y, critic="dot", temperature=0.7), expected)


# ---- laws


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(problem, random):
    x, y, settings = problem
    order = list(range(len(x)))
    random.shuffle(order)
    torch.testing.assert_close(info_nce(x[order], y[order], **settings), info_nce(x, y, **settings))


@given(problems())
def test_symmetric_is_the_mean_of_both_directions(problem):
    x, y, settings = problem
    weight = settings.pop("weight", None)
    settings["symmetric"] = False
    there = info_nce(x, y, weight=weight, **settings)
    back = info_nce(y, x, weight=None if weight is None else weight.T, **settings)
    settings["symmetric"] = True
    torch.testing.assert_close(info_nce(x, y, weight=weight, **settings), (there + back) / 2)


@given(problems())
def test_no_less_than_nothing_and_more_negatives_cost_more(problem):
    x, y, settings = problem
    assert info_nce(x, y, **settings) >= 0
    if settings["critic"] != "bilinear":
        settings.pop("negatives")
        assert info_nce(x, y, **settings, negatives="both") >= info_nce(x, y, **settings) - 1e-12


@given(problems(), seeds)
def test_a_mask_picks_samples(problem, seed):
    """Neither anchors nor negatives."""
    x, y, settings = problem
    mask = coin(seed, len(x), heads=0.6)
    dirty = [torch.where(mask.unsqueeze(1), codes, float("nan")) for codes in (x, y)]
    terms = info_nce(*dirty, mask=mask, reduction="none", **settings)
    torch.testing.assert_close(terms[mask], info_nce(x[mask], y[mask], reduction="none", **settings))
    assert (terms[~mask] == 0).all()
    torch.testing.assert_close(info_nce(*dirty, mask=mask, **settings), info_nce(x[mask], y[mask], **settings))


@given(seeds, st.sampled_from([0.01, 50.0]))
def test_cosines_do_not_see_lengths(seed, scale):
    x, y = normal(seed, 5, 3), normal(seed + 1, 5, 3)
    torch.testing.assert_close(info_nce(scale * x, y / scale), info_nce(x, y))


@pytest.mark.parametrize("information", [0.5, 1.5])
def test_log_n_minus_the_loss_is_below_the_information(information):
    """One Gaussian feature with the best critic, log p(y|x) / p(y) up to what only depends on x."""
    rho = math.sqrt(-math.expm1(-2 * information))
    values = []
    for seed in range(200):
        x, noise = normal(seed, 2, 32)
        y = rho * x + math.sqrt(1 - rho**2) * noise
        features_x = torch.stack((rho * x, torch.ones_like(x)), 1) / (1 - rho**2)
        features_y = torch.stack((y, -(rho**2) * y**2 / 2), 1)
        loss = info_nce(features_x, features_y, critic="dot", temperature=1.0, symmetric=False)
        values.append(math.log(32) - loss.item())
    values = torch.tensor(values)
    error = values.std() / math.sqrt(len(values))
    assert information - 0.25 < values.mean() < information + 2 * error


# ---- gradients


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "settings",
    [{}, {"negatives": "both"}, {"critic": "dot", "symmetric": False}, {"critic": "dot", "reduction": "none"}],
)
def test_derivatives(masked, settings):
    x, y = normal(0, 4, 3).requires_grad_(), normal(1, 4, 3).requires_grad_()
    mask = torch.tensor([True, False, True, True]) if masked else None

    def loss(x, y):
        return info_nce(x, y, mask=mask, temperature=0.8, **settings)

    torch.autograd.gradcheck(loss, (x, y))
    torch.autograd.gradgradcheck(loss, (x, y))


# ---- edges


@pytest.mark.parametrize("samples", [0, 1, 3])
@pytest.mark.parametrize("negatives", ["other", "both"])
@pytest.mark.parametrize("masked", [False, True])
def test_nothing_to_compare(samples, negatives, masked):
    """No sample, one, or a mask without any."""
    x = torch.randn(samples, 4, requires_grad=True)
    if samples > 1 and not masked:
        return
    mask = torch.zeros(samples, dtype=torch.bool) if masked else None
    loss = info_nce(x, torch.randn(samples, 4), mask=mask, negatives=negatives)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


@pytest.mark.parametrize("negatives", ["other", "both"])
@pytest.mark.parametrize("left", [0, 1, 2])
def test_no_nan_on_the_way(negatives, left):
    """Not in the end alone: anomaly detection looks at every step of the backward pass."""
    x = torch.randn(3, 4, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        info_nce(x, torch.randn(3, 4), mask=torch.arange(3) < left, negatives=negatives).backward()


def test_zero_codes():
    x = torch.zeros(4, 3, requires_grad=True)
    loss = info_nce(x, torch.randn(4, 3))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(4))
    assert x.grad.isfinite().all()


def test_huge_scores():
    x = (1e4 * torch.eye(3)).requires_grad_()
    for y in (x.detach(), x.detach().roll(1, 0)):
        loss = info_nce(x, y, critic="dot")
        loss.backward()
        assert loss.isfinite()
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype):
    x, y = normal(0, 20, 8).to(dtype), normal(1, 20, 8).to(dtype)
    loss = info_nce(x, y)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, info_nce(x.float(), y.float()))


# ---- bad input

X, Y = torch.rand(4, 3), torch.rand(4, 2)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("x must be", "list"), ([[1.0]], X), {}),
        (ShapeError, ("number of samples", "4 and 3"), (X, X[:3]), {}),
        (ShapeError, ("y must have 3 features", "got 2"), (X, Y), {}),
        (ShapeError, ("mask", "[4]", "[5]"), (X, X), {"mask": torch.ones(5).bool()}),
        (ShapeError, ("weight", "[3, 2]", "[2, 3]"), (X, Y), {"critic": "bilinear", "weight": torch.ones(2, 3)}),
        (SettingError, ("critic='bilinear' and weight belong together",), (X, Y), {"critic": "bilinear"}),
        (SettingError, ("belong together", "'cosine'"), (X, Y), {"weight": torch.ones(3, 2)}),
        (
            SettingError,
            ("has no score within one", "negatives='other'"),
            (X, Y),
            {"critic": "bilinear", "weight": torch.ones(3, 2), "negatives": "both"},
        ),
        (SettingError, ("critic", "'cosin'", "did you mean 'cosine'"), (X, X), {"critic": "cosin"}),
        (SettingError, ("negatives", "'all'"), (X, X), {"negatives": "all"}),
        (SettingError, ("temperature", "0 < temperature"), (X, X), {"temperature": 0.0}),
        (SettingError, ("symmetric", "True or False"), (X, X), {"symmetric": 1}),
        (SettingError, ("reduction", "'avg'"), (X, X), {"reduction": "avg"}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "info_nce: ", *words):
        info_nce(*arguments, **settings)
