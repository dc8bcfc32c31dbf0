import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cityblock, jensenshannon
from scipy.special import rel_entr, softmax
from scipy.stats import norm

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import lengths_to_mask, temporal_invariance
from mmdisentangle.functional.temporal_invariance import TEMPORAL_AGGREGATIONS, TEMPORAL_DIVERGENCES
from tests.oracles import expect
from tests.oracles.draws import coin, masked_sequences, normal, right_padded, seeds, sequences
from tests.oracles.temporal_invariance import temporal_invariance as oracle

divergences = st.sampled_from(TEMPORAL_DIVERGENCES)
aggregations = st.sampled_from(TEMPORAL_AGGREGATIONS)
of_probabilities = st.sampled_from([name for name in TEMPORAL_DIVERGENCES if name != "gaussian_w2"])
each_divergence = pytest.mark.parametrize("divergence", TEMPORAL_DIVERGENCES)
each_aggregation = pytest.mark.parametrize("aggregation", TEMPORAL_AGGREGATIONS)
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def close(actual, expected):
    torch.testing.assert_close(actual, expected, **CLOSE)


# ---- closed form


def logits(*probabilities):
    return torch.tensor([probabilities], dtype=torch.float64).log()


@pytest.mark.parametrize(
    ("divergence", "expected"),
    [
        (
            "js",
            (0.5 * math.log(0.5 / 0.625) + 0.5 * math.log(0.5 / 0.375)) / 2
            + (0.75 * math.log(0.75 / 0.625) + 0.25 * math.log(0.25 / 0.375)) / 2,
        ),
        ("kl", 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)),
        ("symmetric_kl", 0.25 * math.log(3) / 2),
        ("total_variation", 0.25),
    ],
)
@each_aggregation
def test_two_coins(divergence, aggregation, expected):
    x = logits([0.5, 0.5], [0.75, 0.25])
    loss = temporal_invariance(x, divergence=divergence, aggregation=aggregation)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@each_aggregation
def test_gaussian_of_two_frames(aggregation):
    # Means 0 and 3, deviations 1 and 2.
    x = torch.tensor([[[-1.0, 1.0], [1.0, 5.0]]], dtype=torch.float64)
    assert temporal_invariance(x, divergence="gaussian_w2", aggregation=aggregation).item() == pytest.approx(10.0)


@pytest.mark.parametrize(("divergence", "limit"), [("js", math.log(2)), ("total_variation", 1.0)])
@each_aggregation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_disjoint_frames_reach_the_bound(divergence, limit, aggregation, dtype):
    x = torch.tensor([[[0.0, 1000.0], [1000.0, 0.0]]], dtype=dtype)
    loss = temporal_invariance(x, divergence=divergence, aggregation=aggregation)
    assert loss.item() == pytest.approx(limit, rel=1e-6)


@each_divergence
@each_aggregation
def test_constant_sequences_cost_nothing(divergence, aggregation):
    x = torch.randn(3, 1, 8).expand(3, 6, 8).clone().requires_grad_()
    loss = temporal_invariance(x, divergence=divergence, aggregation=aggregation)
    loss.backward()
    assert loss == 0
    assert x.grad.abs().max() < 1e-7


# ---- oracles


@given(masked_sequences(), divergences, aggregations, st.sampled_from([0.3, 1.0, 4.0]))
def test_loops(problem, divergence, aggregation, temperature):
    x, mask = problem
    terms, valid = oracle(x.numpy(), mask.numpy(), divergence, aggregation, temperature)

    def loss(reduction):
        return temporal_invariance(
            x, mask, divergence=divergence, aggregation=aggregation, temperature=temperature, reduction=reduction
        )

    close(loss("none"), torch.from_numpy(terms))
    close(loss("sum"), torch.tensor(terms.sum()))
    close(loss("mean"), torch.tensor(terms.sum() / max(valid.sum(), 1)))


@given(sequences(least_batch=1, least_frames=2))
def test_scipy(x):
    p = softmax(x.numpy(), -1)
    first, second = p[:, :-1], p[:, 1:]

    def terms(divergence):
        return temporal_invariance(x, divergence=divergence, reduction="none").numpy()

    with np.errstate(invalid="ignore"):
        # scipy takes the square root of a sum that rounding can make negative.
        distance = np.nan_to_num(jensenshannon(first, second, axis=-1))
    np.testing.assert_allclose(terms("js"), distance**2, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(terms("kl"), rel_entr(first, second).sum(-1), rtol=1e-6, atol=1e-12)
    expected = (rel_entr(first, second) + rel_entr(second, first)).sum(-1) / 2
    np.testing.assert_allclose(terms("symmetric_kl"), expected, rtol=1e-6, atol=1e-12)
    for b in range(x.shape[0]):
        for t in range(x.shape[1] - 1):
            distance = cityblock(p[b, t], p[b, t + 1]) / 2
            assert terms("total_variation")[b, t] == pytest.approx(distance, rel=1e-9, abs=1e-12)


def test_gaussian_w2_is_the_transport_of_quantiles():
    x = normal(3, 1, 2, 6)
    levels = (np.arange(200000) + 0.5) / 200000
    first, second = (norm.ppf(levels, frame.mean(), frame.std()) for frame in x[0].numpy())
    loss = temporal_invariance(x, divergence="gaussian_w2").item()
    assert loss == pytest.approx(((first - second) ** 2).mean(), rel=1e-3)


# ---- laws


@given(sequences(), aggregations)
def test_bounds(x, aggregation):
    terms = {
        name: temporal_invariance(x, divergence=name, aggregation=aggregation, reduction="none")
        for name in TEMPORAL_DIVERGENCES
    }
    slack = 1e-12
    assert all((t >= 0).all() for t in terms.values())
    js, kl, variation = terms["js"], terms["kl"], terms["total_variation"]
    assert (js <= math.log(2) + slack).all()
    assert (variation <= 1 + slack).all()
    assert (js <= math.log(2) * variation + slack).all()
    assert (variation.square() <= kl / 2 + slack).all(), "Pinsker"
    assert (js <= terms["symmetric_kl"] / 2 + slack).all()


@given(masked_sequences(), aggregations)
def test_reversed_time(problem, aggregation):
    x, mask = problem

    def terms(divergence, x, mask):
        return temporal_invariance(x, mask, divergence=divergence, aggregation=aggregation, reduction="none")

    flipped = x.flip(1), mask.flip(1)
    for name in ("js", "symmetric_kl", "total_variation", "gaussian_w2"):
        close(terms(name, *flipped).flip(-1), terms(name, x, mask))
    both = (terms("kl", x, mask) + terms("kl", *flipped).flip(-1)) / 2
    torch.testing.assert_close(both, terms("symmetric_kl", x, mask), rtol=1e-7, atol=1e-10)


@given(masked_sequences(), of_probabilities, aggregations, seeds)
def test_shifted_logits_are_the_same_distributions(problem, divergence, aggregation, seed):
    x, mask = problem
    shifted = x + normal(seed, *x.shape[:2], 1, scale=5.0)
    terms = [
        temporal_invariance(y, mask, divergence=divergence, aggregation=aggregation, reduction="none")
        for y in (x, shifted)
    ]
    torch.testing.assert_close(*terms, rtol=1e-7, atol=1e-10)


@given(masked_sequences(), aggregations, st.floats(-5, 5), st.sampled_from([0.5, 3.0]))
def test_gaussian_w2_has_the_units_of_a_square(problem, aggregation, shift, scale):
    x, mask = problem
    options = {"divergence": "gaussian_w2", "aggregation": aggregation}
    moved = temporal_invariance(scale * x + shift, mask, **options)
    torch.testing.assert_close(moved, scale**2 * temporal_invariance(x, mask, **options), rtol=1e-7, atol=1e-9)


@given(masked_sequences(), divergences, aggregations, st.sampled_from([0.25, 1.0, 7.0]))
def test_temperature_divides_the_logits(problem, divergence, aggregation, temperature):
    x, mask = problem
    options = {"divergence": divergence, "aggregation": aggregation}
    divided = x if divergence == "gaussian_w2" else x / temperature
    close(
        temporal_invariance(x, mask, temperature=temperature, **options), temporal_invariance(divided, mask, **options)
    )


@given(masked_sequences(), divergences, aggregations, st.randoms(use_true_random=False))
def test_order_of_samples_and_features(problem, divergence, aggregation, random):
    x, mask = problem
    samples, features = list(range(x.shape[0])), list(range(x.shape[2]))
    random.shuffle(samples)
    random.shuffle(features)
    options = {"divergence": divergence, "aggregation": aggregation, "reduction": "none"}
    expected = temporal_invariance(x, mask, **options)
    mixed = temporal_invariance(x[samples][:, :, features], mask[samples], **options)
    close(mixed, expected[samples] if aggregation == "sample" else expected)


@given(right_padded(), divergences)
def test_a_mask_cuts_the_sequence(problem, divergence):
    x, lengths = problem
    mask = lengths_to_mask(torch.tensor(lengths, dtype=torch.int64), x.shape[1])
    terms = temporal_invariance(x, mask, divergence=divergence, reduction="none")
    total = torch.zeros((), dtype=x.dtype)
    for b, length in enumerate(lengths):
        cut = temporal_invariance(x[b : b + 1, :length], divergence=divergence, reduction="none")[0]
        close(terms[b, : len(cut)], cut)
        assert (terms[b, len(cut) :] == 0).all()
        total = total + cut.sum()
    pairs = sum(max(length - 1, 0) for length in lengths)
    close(temporal_invariance(x, mask, divergence=divergence), total / max(pairs, 1))


@given(masked_sequences(), divergences)
def test_a_batch_of_one_is_its_own_average(problem, divergence):
    x, mask = (part[:1] for part in problem)
    results = [temporal_invariance(x, mask, divergence=divergence, aggregation=a) for a in TEMPORAL_AGGREGATIONS]
    torch.testing.assert_close(*results, rtol=1e-8, atol=1e-12)


@given(sequences(least_batch=1, least_frames=2), of_probabilities)
def test_averaging_over_the_batch_only_lowers_convex_divergences(x, divergence):
    batch = temporal_invariance(x, divergence=divergence, aggregation="batch")
    assert batch <= temporal_invariance(x, divergence=divergence) + 1e-12


@given(sequences(least_batch=1, least_frames=1), divergences)
def test_repeated_frames_add_nothing(x, divergence):
    twice = x.repeat_interleave(2, 1)
    results = [temporal_invariance(y, divergence=divergence, reduction="sum") for y in (x, twice)]
    close(*results)


# ---- gradients


@each_divergence
@each_aggregation
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("masked", [False, True])
def test_first_and_second_derivatives(divergence, aggregation, reduction, masked):
    x = normal(1, 2, 4, 3).requires_grad_()
    mask = torch.tensor([[True, True, True, False], [True, True, False, True]]) if masked else None

    def loss(x):
        return temporal_invariance(
            x, mask, divergence=divergence, aggregation=aggregation, temperature=0.7, reduction=reduction
        )

    torch.autograd.gradcheck(loss, x)
    torch.autograd.gradgradcheck(loss, x)


@each_divergence
@each_aggregation
def test_function_transforms(divergence, aggregation):
    x, mask = normal(2, 5, 2, 4, 3), coin(2, 5, 2, 4)

    def loss(x, mask):
        return temporal_invariance(x, mask, divergence=divergence, aggregation=aggregation)

    gradients = torch.func.vmap(torch.func.grad(loss))(x, mask)
    for k in range(5):
        leaf = x[k].clone().requires_grad_()
        loss(leaf, mask[k]).backward()
        close(gradients[k], leaf.grad)
    close(torch.func.vmap(loss)(x, mask), torch.stack([loss(a, b) for a, b in zip(x, mask, strict=True)]))
    hessian = torch.func.hessian(lambda y: loss(y, mask[0]))(x[0]) if divergence != "js" else None
    if hessian is not None:
        close(hessian.reshape(24, 24), hessian.reshape(24, 24).mT)


def test_second_derivative_of_js_is_not_silently_zero():
    x = normal(3, 1, 3, 4)
    hessian = torch.func.jacrev(torch.func.jacrev(temporal_invariance))(x).reshape(12, 12)
    close(hessian, hessian.mT)
    assert hessian.abs().max() > 1e-3


@given(masked_sequences(least_batch=1, least_frames=2, scales=(1.0, 5.0)), divergences)
def test_the_gradient_leaves_distributions_where_they_are(problem, divergence):
    x, mask = problem
    x.requires_grad_()
    temporal_invariance(x, mask, divergence=divergence, reduction="sum").backward()
    assert (x.grad[~mask] == 0).all()
    if divergence != "gaussian_w2":
        assert x.grad.sum(-1).abs().max() < 1e-10


# ---- edges

PRECISE = ("js", "kl", "symmetric_kl", "total_variation")


@pytest.mark.parametrize("divergence", PRECISE)
@pytest.mark.parametrize("step", [1e-3, 1e-2, 0.2, 1.0, 8.0])
def test_float32_is_as_good_as_its_input(divergence, step):
    """At the step 1e-3 the divergence is 2.5e-7 per unit of variance, where entropies lose every digit."""
    x = (normal(0, 4, 1, 64) + step * normal(1, 4, 6, 64)).float()
    single, double = x.clone().requires_grad_(), x.double().requires_grad_()
    losses = [temporal_invariance(y, divergence=divergence) for y in (single, double)]
    for loss in losses:
        loss.backward()
    # The total variation is of first order in the step, so the rounding of the log-sum-exp shows.
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=5e-5 if divergence == "total_variation" else 1e-6)
    error = (single.grad - double.grad).norm() / double.grad.norm()
    assert error < 2e-5


def test_js_at_its_working_point():
    x = (normal(0, 4, 1, 128) + 1e-3 * normal(1, 4, 9, 128)).float()
    precise = temporal_invariance(x.double()).item()
    assert 1e-7 < precise < 1e-6
    assert temporal_invariance(x).item() == pytest.approx(precise, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@each_divergence
@each_aggregation
@pytest.mark.parametrize("frames", [0, 1, 4])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_half_precision_gives_float32(dtype, divergence, aggregation, frames, reduction):
    x = normal(0, 3, frames, 16).to(dtype).requires_grad_()
    options = {"divergence": divergence, "aggregation": aggregation, "reduction": reduction}
    loss = temporal_invariance(x, **options)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, temporal_invariance(x.detach().float(), **options))
    loss.sum().backward()
    assert x.grad.dtype == dtype


@each_divergence
@each_aggregation
@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3), (2, 1, 3), (2, 5, 0), (0, 0, 3), (1, 2, 1)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("masked", [False, True])
def test_nothing_to_compare(divergence, aggregation, shape, reduction, masked):
    x = torch.randn(shape, requires_grad=True)
    if shape == (1, 2, 1) and divergence == "gaussian_w2":
        return
    mask = torch.ones(shape[:2], dtype=torch.bool) if masked else None
    loss = temporal_invariance(x, mask, divergence=divergence, aggregation=aggregation, reduction=reduction)
    pairs = max(shape[1] - 1, 0)
    assert loss.shape == (() if reduction != "none" else (pairs,) if aggregation == "batch" else (shape[0], pairs))
    assert (loss == 0).all()
    loss.sum().backward()
    assert x.grad.shape == x.shape
    assert (x.grad == 0).all()


@each_divergence
@each_aggregation
@pytest.mark.parametrize("pattern", [[False] * 4, [True, False, True, False], [False, False, True, False]])
def test_no_valid_pair(divergence, aggregation, pattern):
    x = torch.full((2, 4, 3), float("nan"))
    mask = torch.tensor([pattern, pattern])
    x[mask] = 1.0
    x.requires_grad_()
    loss = temporal_invariance(x, mask, divergence=divergence, aggregation=aggregation)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


@each_divergence
@each_aggregation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [30.0, 89.0, 1000.0])
def test_saturated_logits(divergence, aggregation, dtype, gap):
    x = torch.tensor([[[0.0, 0.0, gap], [gap, 0.0, 0.0], [0.0, gap, 1.0], [0.0, gap, 1.0]]], dtype=dtype)
    x.requires_grad_()
    loss = temporal_invariance(x, divergence=divergence, aggregation=aggregation)
    loss.backward()
    assert torch.isfinite(loss)
    assert loss > 0
    assert torch.isfinite(x.grad).all()
    if aggregation == "sample":
        mask = np.ones((1, 4), bool)
        if divergence == "kl" and gap == 1000:
            # The oracle's q underflows; log(p / q) is the difference of the logits.
            assert loss.item() == pytest.approx(2 * gap / 3, rel=1e-6)
        elif divergence == "symmetric_kl" and gap == 1000:
            assert loss.item() <= 2 * gap / 3 * (1 + 1e-6)
        else:
            terms, _ = oracle(x.detach().double().numpy(), mask, divergence, "sample", 1.0)
            # The moments of frames with a gap of 1000 lose three digits in their difference.
            assert loss.item() == pytest.approx(terms.mean(), rel=1e-3 if divergence == "gaussian_w2" else 1e-5)


def test_gradient_of_js_where_tanh_saturates():
    x = torch.tensor([[[0.0, 30.0, 1.0], [31.0, 0.0, -2.0], [7.0, 0.0, 16.0]]])
    single, double = x.clone().requires_grad_(), x.double().requires_grad_()
    temporal_invariance(single).backward()
    temporal_invariance(double).backward()
    # Two probabilities of one add up to the rounding of one.
    torch.testing.assert_close(single.grad.double(), double.grad, rtol=1e-5, atol=2e-7)
    torch.autograd.gradcheck(lambda y: temporal_invariance(y, reduction="none"), double)


# ---- bad input

X = torch.randn(2, 3, 4)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (DtypeError, ("x must be", "torch.Tensor", "list"), ([[[1.0]]],), {}),
        (DtypeError, ("x must be", "floating", "torch.int64"), (X.long(),), {}),
        (ShapeError, ("x must have shape", "[B, T, D]", "[3, 4]"), (X[0],), {}),
        (DtypeError, ("mask must be", "boolean", "torch.float32"), (X, torch.ones(2, 3)), {}),
        (ShapeError, ("mask must have shape", "[2, 3]", "[2, 4]"), (X, torch.ones(2, 4).bool()), {}),
        (SettingError, ("divergence", "'js'", "'jsd'"), (X,), {"divergence": "jsd"}),
        (SettingError, ("aggregation", "'sample', 'batch'", "'time'"), (X,), {"aggregation": "time"}),
        (SettingError, ("reduction", "'none', 'mean', 'sum'", "'avg'"), (X,), {"reduction": "avg"}),
        (SettingError, ("temperature", "0 < temperature", "0"), (X,), {"temperature": 0.0}),
        (SettingError, ("temperature", "finite", "nan"), (X,), {"temperature": float("nan")}),
        (SettingError, ("temperature", "finite", "'1'"), (X,), {"temperature": "1"}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "temporal_invariance: ", *words):
        temporal_invariance(*arguments, **settings)
