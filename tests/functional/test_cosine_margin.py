import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from torch.nn.functional import cross_entropy

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import cosine_logits, cosine_margin_loss
from tests.oracles import expect
from tests.oracles.codes import cosine_margin_terms
from tests.oracles.draws import coin, normal, seeds


@st.composite
def problems(draw, least=0):
    rows, classes, width = draw(st.integers(least, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    seed = draw(seeds)
    target = torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(seed))
    return normal(seed, rows, width), normal(seed + 1, classes, width), target


# ---- closed form


@pytest.mark.parametrize(("scale", "margin"), [(30.0, 0.5), (1.0, 0.0), (4.0, -0.2)])
def test_two_right_angles(scale, margin):
    features, prototypes = torch.tensor([[5.0, 0.0]], dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    loss = cosine_margin_loss(features, prototypes, torch.tensor([0]), scale=scale, margin=margin)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-scale * (1 - margin))), rel=1e-9, abs=1e-15)


def test_features_that_cannot_tell():
    features, prototypes = torch.ones(3, 2, dtype=torch.float64), torch.ones(4, 2, dtype=torch.float64)
    loss = cosine_margin_loss(features, prototypes, torch.tensor([0, 1, 3]), scale=2.0, margin=0.5)
    # Every cosine is one; the true class is handicapped by s m = 1.
    assert loss.item() == pytest.approx(math.log(3 + math.exp(-1)) + 1)


# ---- oracles


@given(problems(), st.sampled_from([1.0, 30.0]), st.sampled_from([0.0, 0.35, 0.5, -0.5]))
def test_loops(problem, scale, margin):
    terms = cosine_margin_terms(*(part.numpy() for part in problem), scale, margin)
    options = {"scale": scale, "margin": margin}
    ours = cosine_margin_loss(*problem, reduction="none", **options)
    torch.testing.assert_close(ours, torch.from_numpy(terms).reshape(-1).double(), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(cosine_margin_loss(*problem, reduction="sum", **options), ours.sum())
    mean = ours.sum() / max(len(ours), 1)
    torch.testing.assert_close(cosine_margin_loss(*problem, **options), mean)


@given(problems(least=1))
def test_cosines_are_those_of_scipy(problem):
    expected = 1 - cdist(problem[0].numpy(), problem[1].numpy(), "cosine")
    np.testing.assert_allclose(cosine_logits(*problem[:2]).numpy(), expected, atol=1e-12)


# ---- laws


@given(problems(least=1), st.sampled_from([1.0, 30.0]))
def test_without_margin_it_is_the_cross_entropy(problem, scale):
    features, prototypes, target = problem
    plain = cross_entropy(scale * cosine_logits(features, prototypes), target, reduction="none")
    assert torch.equal(cosine_margin_loss(*problem, scale=scale, margin=0.0, reduction="none"), plain)


@given(problems(least=1), seeds)
def test_only_directions_count(problem, seed):
    features, prototypes, target = problem
    lengths = [normal(seed + i, len(part), 1).exp() for i, part in enumerate((features, prototypes))]
    scaled = cosine_margin_loss(features * lengths[0], prototypes * lengths[1], target)
    torch.testing.assert_close(scaled, cosine_margin_loss(*problem), rtol=1e-8, atol=1e-10)


@given(problems(least=1), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_margin_costs_more(problem, one, other):
    low, high = sorted((one, other))
    terms = [cosine_margin_loss(*problem, margin=m, reduction="none") for m in (low, high)]
    assert (terms[0] >= 0).all()
    assert (terms[1] >= terms[0] - 1e-9).all()


@given(problems(least=1), st.randoms(use_true_random=False))
def test_names_of_classes_do_not_matter(problem, random):
    features, prototypes, target = problem
    order = list(range(len(prototypes)))
    random.shuffle(order)
    renamed = torch.tensor([order.index(t) for t in target.tolist()])
    torch.testing.assert_close(
        cosine_margin_loss(features, prototypes[order], renamed), cosine_margin_loss(*problem), rtol=1e-9, atol=1e-12
    )


@given(problems(), seeds)
def test_a_mask_picks_rows(problem, seed):
    features, prototypes, target = problem
    mask = coin(seed, len(features))
    dirty = torch.where(mask.unsqueeze(-1), features, float("nan"))
    anything = torch.where(mask, target, 10**6)
    picked = features[mask], prototypes, target[mask]
    for reduction in ("mean", "sum"):
        ours = cosine_margin_loss(dirty, prototypes, anything, mask=mask, reduction=reduction)
        torch.testing.assert_close(ours, cosine_margin_loss(*picked, reduction=reduction))
    terms = cosine_margin_loss(dirty, prototypes, anything, mask=mask, reduction="none")
    assert (terms[~mask] == 0).all()


# ---- gradients


@pytest.mark.parametrize("masked", [False, True])
def test_first_and_second_derivatives(masked):
    features, prototypes = normal(0, 4, 3).requires_grad_(), normal(1, 3, 3).requires_grad_()
    target, mask = torch.tensor([0, 2, 1, 1]), torch.tensor([True, False, True, True]) if masked else None

    def loss(features, prototypes):
        return cosine_margin_loss(features, prototypes, target, scale=3.0, mask=mask)

    torch.autograd.gradcheck(loss, (features, prototypes))
    torch.autograd.gradgradcheck(loss, (features, prototypes))


def test_function_transforms():
    features, prototypes = normal(0, 5, 4, 3), normal(1, 3, 3)
    target = torch.tensor([[0, 1, 2, 0]] * 5)
    gradients = torch.func.vmap(torch.func.grad(cosine_margin_loss), (0, None, 0))(features, prototypes, target)
    for k in range(5):
        expected = torch.func.grad(cosine_margin_loss)(features[k], prototypes, target[k])
        torch.testing.assert_close(gradients[k], expected)


# ---- edges


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("masked", [False, True])
def test_no_rows(reduction, masked):
    rows = 3 if masked else 0
    features, prototypes = torch.randn(rows, 4, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    mask = torch.zeros(3, dtype=torch.bool) if masked else None
    target = torch.zeros(rows, dtype=torch.int64)
    loss = cosine_margin_loss(features, prototypes, target, mask=mask, reduction=reduction)
    assert (loss == 0).all()
    loss.sum().backward()
    assert (features.grad == 0).all()
    assert (prototypes.grad == 0).all()


def test_zero_vectors():
    features, prototypes = torch.zeros(2, 3, requires_grad=True), torch.eye(3, requires_grad=True)
    assert (cosine_logits(features, prototypes) == 0).all()
    loss = cosine_margin_loss(features, prototypes, torch.tensor([0, 1]), margin=0.0)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(3))
    assert torch.isfinite(features.grad).all()
    nothing = torch.zeros(3, 3, requires_grad=True)
    cosine_margin_loss(torch.eye(3), nothing, torch.tensor([0, 1, 2])).backward()
    assert torch.isfinite(nothing.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype):
    features, prototypes = normal(0, 8, 16).to(dtype).requires_grad_(), normal(1, 3, 16).to(dtype).requires_grad_()
    target = torch.arange(8) % 3
    loss = cosine_margin_loss(features, prototypes, target)
    assert loss.dtype == cosine_logits(features, prototypes).dtype == torch.float32
    torch.testing.assert_close(loss, cosine_margin_loss(features.float(), prototypes.float(), target))
    loss.backward()
    assert features.grad.dtype == prototypes.grad.dtype == dtype
    assert prototypes.dtype == dtype


def test_autocast_does_not_round_the_cosines():
    features, prototypes = torch.randn(8, 16), torch.randn(3, 16)
    expected = cosine_logits(features, prototypes)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(cosine_logits(features, prototypes), expected, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
def test_any_integer_target(dtype):
    features, prototypes = torch.randn(2, 3), torch.randn(3, 3)
    loss = cosine_margin_loss(features, prototypes, torch.tensor([2, 1]).to(dtype))
    assert loss == cosine_margin_loss(features, prototypes, torch.tensor([2, 1]))


# ---- bad input

X, W, T = torch.randn(4, 3), torch.randn(2, 3), torch.tensor([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("features must be", "list"), ([[1.0]], W, T), {}),
        (DtypeError, ("prototypes must be", "floating", "int64"), (X, W.long(), T), {}),
        (ShapeError, ("features must have shape", "[N, D]", "[3]"), (X[0], W, T), {}),
        (ShapeError, ("prototypes must have 3 features", "got 2"), (X, W[:, :2], T), {}),
        (DtypeError, ("target", "integer", "float32"), (X, W, T.float()), {}),
        (DtypeError, ("target", "integer", "bool"), (X, W, T.bool()), {}),
        (DtypeError, ("target", "torch.Tensor", "list"), (X, W, [0, 1, 1, 0]), {}),
        (ShapeError, ("target", "[N]", "[4, 1]"), (X, W, T[:, None]), {}),
        (ShapeError, ("target", "4 rows", "got 3"), (X, W, T[:3]), {}),
        (ShapeError, ("mask", "[4]", "[5]"), (X, W, T), {"mask": torch.ones(5).bool()}),
        (DtypeError, ("mask", "boolean", "float32"), (X, W, T), {"mask": torch.ones(4)}),
        (SettingError, ("scale", "0 < scale", "0"), (X, W, T), {"scale": 0.0}),
        (SettingError, ("margin", "finite", "inf"), (X, W, T), {"margin": math.inf}),
        (SettingError, ("reduction", "'avg'"), (X, W, T), {"reduction": "avg"}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "cosine_margin_loss: ", *words):
        cosine_margin_loss(*arguments, **settings)


@pytest.mark.bad_input
def test_bad_cosines():
    with expect.error(ShapeError, "cosine_logits: prototypes must have 3 features", "got 2"):
        cosine_logits(X, W[:, :2])
    with expect.error(DtypeError, "cosine_logits: features", "int64"):
        cosine_logits(X.long(), W)


@pytest.mark.parametrize("size", [1e-22, 1e-14, 1e-8, 1e8, 1e15])
def test_gradient_is_finite_at_any_size(size):
    features = (normal(0, 4, 8).float() * size).requires_grad_()
    prototypes = normal(1, 3, 8).float()
    target = torch.tensor([0, 1, 2, 0])
    loss = cosine_margin_loss(features, prototypes, target)
    loss.backward()
    assert features.grad.isfinite().all()
    # The squares of 1e-22 have three digits left in float32.
    expected = cosine_margin_loss(features.detach() / size, prototypes, target)
    torch.testing.assert_close(loss, expected, rtol=1e-2 if size == 1e-22 else 1e-5, atol=0)


@pytest.mark.parametrize("wrong", [-100, -1, 3])
def test_a_class_that_does_not_exist_is_an_error(wrong):
    with pytest.raises(IndexError):
        cosine_margin_loss(torch.randn(2, 8), torch.eye(3, 8), torch.tensor([0, wrong]))
