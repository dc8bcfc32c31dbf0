import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import gelu

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import modality_graph_attention
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.graphs import modality_graph, slope


def problem(seed, batch=2, count=3, features=4, out_features=3):
    """Nodes, weight, score_weight and score_bias."""
    shapes = ((batch, count, features), (out_features, features), (2 * out_features,), (1,))
    return [normal(seed + i, *shape) for i, shape in enumerate(shapes)]


def poisoned(nodes, present, fill=math.nan):
    return torch.where(present.unsqueeze(-1), nodes, fill)


# ---- closed form


def test_equal_scores_average_the_others():
    nodes = torch.tensor([[[1.0], [2.0], [4.0]]])
    fused, attention = modality_graph_attention(nodes, torch.ones(1, 1), torch.zeros(2))
    torch.testing.assert_close(attention[0], (1 - torch.eye(3)) / 2)
    torch.testing.assert_close(fused[0, 0], torch.tensor([3.0, 2.5, 1.5]).sigmoid().sum())


def test_target_half_first():
    """A score of the target alone is the same for all its sources; one of the source is not."""
    nodes, weight = normal(0, 1, 3, 2), torch.eye(2, dtype=torch.float64)
    half, zeros = normal(1, 2), torch.zeros(2, dtype=torch.float64)
    of_target = modality_graph_attention(nodes, weight, torch.cat((half, zeros))).attention[0]
    torch.testing.assert_close(of_target, (1 - torch.eye(3, dtype=torch.float64)) / 2)
    of_source = modality_graph_attention(nodes, weight, torch.cat((zeros, half))).attention[0]
    scores = gelu(nodes[0] @ half)
    torch.testing.assert_close(of_source[0, 1:], scores[1:].softmax(0))
    torch.testing.assert_close(of_source[1, [0, 2]], scores[[0, 2]].softmax(0))


def test_two_modalities_exchange_their_messages():
    nodes, weight, score_weight, score_bias = problem(0, count=2)
    score_weight.requires_grad_(), score_bias.requires_grad_()
    fused, attention = modality_graph_attention(nodes, weight, score_weight, score_bias)
    torch.testing.assert_close(attention[0].detach(), 1 - torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(fused, (nodes @ weight.mT).sigmoid().sum(1))
    assert not any(g.any() for g in torch.autograd.grad(fused.sum(), (score_weight, score_bias)))


# ---- oracle


@given(
    seeds,
    st.integers(0, 3),
    st.integers(0, 5),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.4, 0.8, 1.0]),
    st.sampled_from([0.1, 1.0, 10.0]),
)
def test_loops(seed, batch, count, features, out_features, self_loops, bias, share, scale):
    nodes, weight, score_weight, score_bias = problem(seed, batch, count, features, out_features)
    nodes, score_bias = scale * nodes, score_bias if bias else torch.zeros(1, dtype=torch.float64)
    weights = (weight, score_weight, score_bias if bias else None)
    present = coin(seed, batch, count, heads=share)
    for mask, x in ((present, poisoned(nodes, present)), (None, nodes)):
        real = torch.ones_like(present) if mask is None else mask
        expected = modality_graph(
            nodes.numpy(), weight.numpy(), score_weight.numpy(), score_bias.item(), self_loops, real.numpy()
        )
        result = modality_graph_attention(x, *weights, self_loops=self_loops, present=mask)
        np.testing.assert_allclose(result.fused.numpy(), expected[0], atol=1e-10)
        np.testing.assert_allclose(result.attention.numpy(), expected[1], atol=1e-10)


@given(seeds, st.booleans(), st.booleans())
def test_slopes_of_the_loops(seed, self_loops, masked):
    tensors, (to_fused, to_attention) = problem(seed), (normal(seed + 9, 2, 3), normal(seed + 10, 2, 3, 3))
    directions = [normal(seed + 20 + i, *x.shape) for i, x in enumerate(tensors)]
    present = coin(seed, 2, 3) if masked else torch.ones(2, 3, dtype=torch.bool)

    def slow(nodes, weight, score_weight, score_bias):
        fused, attention = modality_graph(nodes, weight, score_weight, score_bias[0], self_loops, present.numpy())
        return (fused * to_fused.numpy()).sum() + (attention * to_attention.numpy()).sum()

    expected = slope(slow, [x.numpy() for x in tensors], [x.numpy() for x in directions])
    leaves = [poisoned(tensors[0], present), *tensors[1:]]
    leaves = [x.requires_grad_() for x in leaves]
    result = modality_graph_attention(*leaves, self_loops=self_loops, present=present if masked else None)
    gradients = torch.autograd.grad((result.fused * to_fused).sum() + (result.attention * to_attention).sum(), leaves)
    found = sum((gradient * direction).sum() for gradient, direction in zip(gradients, directions, strict=True))
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-8)


# ---- laws


@given(seeds, st.integers(2, 5), st.booleans())
def test_the_order_of_the_modalities_does_not_matter(seed, count, self_loops):
    nodes, *weights = problem(seed, count=count)
    present, order = coin(seed, 2, count), torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    expected = modality_graph_attention(nodes, *weights, self_loops=self_loops, present=present)
    result = modality_graph_attention(nodes[:, order], *weights, self_loops=self_loops, present=present[:, order])
    torch.testing.assert_close(result.fused, expected.fused)
    torch.testing.assert_close(result.attention, expected.attention[:, order][:, :, order])


@given(seeds, st.integers(1, 4), st.integers(1, 3), st.sampled_from([math.nan, math.inf, 1e30]), st.booleans())
def test_a_missing_modality_might_as_well_not_be_listed(seed, count, missing, fill, self_loops):
    nodes, *weights = problem(seed, count=count)
    expected = modality_graph_attention(nodes, *weights, self_loops=self_loops)
    places = torch.randperm(count + missing, generator=torch.Generator().manual_seed(seed))[:count]
    more = torch.full((2, count + missing, nodes.shape[2]), fill, dtype=torch.float64)
    more[:, places] = nodes
    present = torch.zeros(2, count + missing, dtype=torch.bool)
    present[:, places] = True
    leaf = more.requires_grad_()
    result = modality_graph_attention(leaf, *weights, self_loops=self_loops, present=present)
    torch.testing.assert_close(result.fused, expected.fused)
    torch.testing.assert_close(result.attention[:, places][:, :, places], expected.attention)
    assert (result.attention[~present] == 0).all()
    assert (result.attention.mT[~present] == 0).all()
    (gradient,) = torch.autograd.grad(result.fused.sum(), leaf)
    assert (gradient[~present] == 0).all()
    assert torch.isfinite(gradient).all()


@given(seeds, st.integers(1, 5), st.booleans())
def test_rows_of_the_attention_add_up_to_one(seed, count, self_loops):
    nodes, *weights = problem(seed, count=count)
    present = coin(seed, 2, count)
    attention = modality_graph_attention(nodes, *weights, self_loops=self_loops, present=present).attention
    torch.testing.assert_close(attention.sum(-1), present.double())
    if not self_loops and count > 1:
        alone = present.sum(1) == 1
        loops = attention.diagonal(dim1=1, dim2=2)
        torch.testing.assert_close(loops, (present & alone.unsqueeze(1)).double())


@given(seeds)
def test_a_lonely_node_hears_itself(seed):
    nodes, *weights = problem(seed)
    present = torch.tensor([[False, True, False], [False, False, True]])
    for self_loops in (False, True):
        fused = modality_graph_attention(nodes, *weights, self_loops=self_loops, present=present).fused
        torch.testing.assert_close(fused, (nodes[[0, 1], [1, 2]] @ weights[0].mT).sigmoid())


# ---- gradients


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("present", [None, [[True, True, True], [True, False, True], [False, True, False]]])
def test_first_and_second_derivatives(self_loops, present):
    tensors = [x.requires_grad_() for x in problem(0, batch=3)]
    present = None if present is None else torch.tensor(present)

    def attend(*tensors):
        return modality_graph_attention(*tensors, self_loops=self_loops, present=present)

    torch.autograd.gradcheck(attend, tensors)
    torch.autograd.gradgradcheck(attend, tensors)


# ---- edges


def test_nobody_there():
    tensors = [x.requires_grad_() for x in problem(0)]
    present = torch.zeros(2, 3, dtype=torch.bool)
    fused, attention = modality_graph_attention(*tensors, present=present)
    assert (fused == 0).all()
    assert (attention == 0).all()
    assert all((g == 0).all() for g in torch.autograd.grad(fused.sum() + attention.sum(), tensors))
    fused, attention = modality_graph_attention(*problem(0, count=0))
    assert fused.shape == (2, 3)
    assert (fused == 0).all()
    assert attention.shape == (2, 0, 0)
    assert modality_graph_attention(*problem(0, batch=0)).fused.shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    tensors = [x.to(dtype) for x in problem(0)]
    result = modality_graph_attention(*tensors)
    assert result.fused.dtype == result.attention.dtype == dtype
    expected = modality_graph_attention(*[x.double() for x in tensors])
    torch.testing.assert_close(result.fused.double(), expected.fused, rtol=2e-2, atol=2e-2)


def test_large_scores_stay_finite():
    tensors = [(1e4 * x).float().requires_grad_() for x in problem(0)]
    result = modality_graph_attention(*tensors)
    assert torch.isfinite(result.fused).all()
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(result.fused.sum(), tensors))


# ---- bad input


@pytest.mark.parametrize(
    ("exception", "words", "changes"),
    [
        (DtypeError, ("nodes must be", "list"), {"nodes": [1.0]}),
        (DtypeError, ("nodes must be", "int64"), {"nodes": torch.zeros(2, 3, 4).long()}),
        (ShapeError, ("nodes must have shape [B, M, d]", "[2, 4]"), {"nodes": torch.zeros(2, 4)}),
        (ShapeError, ("weight must have 4 features", "got 5"), {"weight": torch.zeros(3, 5)}),
        (ShapeError, ("score_weight", "6 in all", "got 5"), {"score_weight": torch.zeros(5)}),
        (ShapeError, ("score_weight", "[1, 6]"), {"score_weight": torch.zeros(1, 6)}),
        (ShapeError, ("score_bias", "[]"), {"score_bias": torch.zeros(())}),
        (ShapeError, ("score_bias", "got 2"), {"score_bias": torch.zeros(2)}),
        (SettingError, ("self_loops", "'no'"), {"self_loops": "no"}),
        (DtypeError, ("present must be a boolean", "float32"), {"present": torch.ones(2, 3)}),
        (ShapeError, ("present must have shape [2, 3]", "[2, 4]"), {"present": torch.ones(2, 4).bool()}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, changes):
    arguments = {
        "nodes": torch.zeros(2, 3, 4),
        "weight": torch.zeros(3, 4),
        "score_weight": torch.zeros(6),
        "score_bias": torch.zeros(1),
    }
    with expect.error(exception, "modality_graph_attention: ", *words):
        modality_graph_attention(**{**arguments, **changes})
