import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import modality_triplet_loss
from tests.oracles import expect
from tests.oracles.distances import triplets
from tests.oracles.draws import coin, normal, seeds

margins = st.sampled_from([0.0, 0.2, 1.0, 2.5])


@st.composite
def problems(draw, most=12):
    """Features, classes and modalities of rows in any order."""
    rows, seed = draw(st.integers(0, most)), draw(seeds)
    features = normal(seed, rows, draw(st.integers(1, 3)))
    integers = st.lists(st.integers(0, draw(st.integers(0, 3))), min_size=rows, max_size=rows)
    target, modality = (torch.tensor(draw(integers), dtype=torch.int64) for _ in range(2))
    return features, target, modality


# ---- closed form


def test_one_triplet_per_anchor():
    """Two classes in two modalities, codes at 0, 90, 60 and 90 degrees."""
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.75**0.5], [0.0, 2.0]], dtype=torch.float64)
    target, modality = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    # cos: 0-2 1/2, 0-1 0; 1-3 1, 1-0 0; 2-0 1/2, 2-3 sqrt(3)/2; 3-1 1, 3-2 sqrt(3)/2.
    terms = [max(0.0, 0.6 - 0.5), 0.0, 0.6 - 0.5 + 0.75**0.5, max(0.0, 0.6 - 1 + 0.75**0.5)]
    loss = modality_triplet_loss(features, target, modality, margin=0.6)
    assert loss.item() == pytest.approx(sum(terms) / 4)


def test_codes_of_one_direction_cost_the_margin():
    target, modality = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    loss = modality_triplet_loss(torch.ones(4, 3), target, modality, margin=0.3)
    assert loss.item() == pytest.approx(0.3)


def test_separated_classes_cost_nothing():
    target, modality = torch.tensor([0, 1, 0, 1, 0, 1]), torch.tensor([0, 0, 1, 1, 2, 2])
    features = torch.eye(2)[target].requires_grad_()
    loss = modality_triplet_loss(features, target, modality, margin=0.9)
    loss.backward()
    assert loss == 0
    assert (features.grad == 0).all()


# ---- oracles


@given(problems(), margins)
def test_loops(problem, margin):
    features, target, modality = problem
    expected = triplets(features.numpy(), target.tolist(), modality.tolist(), margin)
    loss = modality_triplet_loss(features, target, modality, margin=margin)
    assert loss.item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_gradient_of_all_triplets():
    """Against the tensor of all triplets, ``[N, N, N]``, differentiated by autograd."""
    features = normal(0, 18, 4).requires_grad_()
    target, modality = torch.arange(18) % 5, torch.arange(18) // 6
    unit = features / features.norm(dim=1, keepdim=True)
    cosines = unit @ unit.mT
    alike, own = target == target.unsqueeze(1), modality == modality.unsqueeze(1)
    counted = (alike & ~own).unsqueeze(2) & (own & ~alike).unsqueeze(1)
    hinges = (0.2 - cosines.unsqueeze(2) + cosines.unsqueeze(1)).clamp(min=0)
    (expected,) = torch.autograd.grad(hinges[counted].mean(), features)
    (actual,) = torch.autograd.grad(modality_triplet_loss(features, target, modality), features)
    torch.testing.assert_close(actual, expected)


def test_no_tensor_of_triplets():
    """A thousand rows have 10^8 triplets or so."""
    target, modality = torch.arange(1200) % 4, torch.arange(1200) // 400
    loss = modality_triplet_loss(torch.randn(1200, 8), target, modality)
    assert 0.2 < loss < 0.6


# ---- laws


@given(problems(), margins, st.randoms(use_true_random=False))
def test_order_names_and_lengths_do_not_matter(problem, margin, random):
    features, target, modality = problem
    loss = modality_triplet_loss(features, target, modality, margin=margin)
    order = list(range(len(features)))
    random.shuffle(order)
    mixed = modality_triplet_loss(3 * features[order], 7 - target[order], 100 * modality[order], margin=margin)
    torch.testing.assert_close(mixed, loss)


@given(problems(), seeds)
def test_a_mask_picks_rows(problem, seed):
    features, target, modality = problem
    mask = coin(seed, len(features))
    dirty = torch.where(mask.unsqueeze(-1), features, float("nan"))
    picked = modality_triplet_loss(features[mask], target[mask], modality[mask])
    torch.testing.assert_close(modality_triplet_loss(dirty, target, modality, mask=mask), picked)


@given(problems(), margins)
def test_range(problem, margin):
    assert 0 <= modality_triplet_loss(*problem, margin=margin) <= 2 + margin + 1e-12


# ---- gradients


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("masked", [False, True])
def test_first_and_second_derivatives(margin, masked):
    features = normal(0, 9, 3).requires_grad_()
    target, modality = torch.arange(9) % 2, torch.arange(9) // 3
    mask = torch.arange(9) != 4 if masked else None

    def loss(features):
        return modality_triplet_loss(features, target, modality, margin=margin, mask=mask)

    torch.autograd.gradcheck(loss, (features,))
    torch.autograd.gradgradcheck(loss, (features,))


# ---- edges


@pytest.mark.parametrize(
    ("target", "modality"),
    [([], []), ([0], [0]), ([0, 0, 0], [0, 1, 0]), ([0, 1, 0], [0, 0, 0]), ([0, 1, 2], [0, 1, 2])],
)
def test_no_triplet(target, modality):
    features = torch.randn(len(target), 3, requires_grad=True)
    loss = modality_triplet_loss(features, torch.tensor(target).long(), torch.tensor(modality).long())
    loss.backward()
    assert loss == 0
    assert (features.grad == 0).all()


def test_zero_codes():
    features = torch.zeros(4, 3, requires_grad=True)
    loss = modality_triplet_loss(features, torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]), margin=0.3)
    loss.backward()
    assert loss.item() == pytest.approx(0.3)
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype):
    features, target, modality = normal(0, 12, 3).to(dtype), torch.arange(12) % 2, torch.arange(12) // 4
    loss = modality_triplet_loss(features, target, modality)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, modality_triplet_loss(features.float(), target, modality))


# ---- bad input

X, C = torch.rand(4, 3), torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("features must be", "list"), ([[1.0]], C, C), {}),
        (DtypeError, ("target must hold integers", "float32"), (X, C.float(), C), {}),
        (DtypeError, ("modality must hold integers", "bool"), (X, C, C.bool()), {}),
        (ShapeError, ("modality must have one entry for each of the 4 rows", "got 3"), (X, C, C[:3]), {}),
        (ShapeError, ("target must have shape", "[N]"), (X, X.long(), C), {}),
        (ShapeError, ("mask", "[4]", "[5]"), (X, C, C), {"mask": torch.ones(5).bool()}),
        (SettingError, ("margin", "0 <= margin", "-1"), (X, C, C), {"margin": -1}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "modality_triplet_loss: ", *words):
        modality_triplet_loss(*arguments, **settings)
