import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import gelu

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.functional import modality_graph_attention
from mmdisentangle.nn import DecoupledGraphFusion
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.graphs import modality_messages, read_out
from tests.oracles.layers import state

NAMES, WIDTH, OUT = ("audio", "text", "vision"), 4, 3


def fusion(names=NAMES, out_features=OUT, **settings):
    torch.manual_seed(0)
    return DecoupledGraphFusion(names, WIDTH, out_features, **settings).double()


def codes(seed, names=NAMES, batch=3):
    return [{name: normal(seed + 10 * k + i, batch, WIDTH) for i, name in enumerate(names)} for k in range(2)]


def drawn_masks(seed, share, names=NAMES, batch=3):
    return {name: coin(seed + i, batch, heads=share) for i, name in enumerate(names)}


def poisoned(family, masks, fill=math.nan):
    return {name: torch.where(masks[name].unsqueeze(1), x, fill) for name, x in family.items()}


# ---- oracle


@given(seeds, st.sampled_from([0.0, 0.5, 0.8, 1.0]), st.integers(2, 4), st.booleans())
@pytest.mark.parametrize("readout", ["paper", "mean", "attention"])
def test_loops(readout, seed, share, count, self_loops):
    names = ("a", "b", "c", "d")[:count]
    layer = fusion(names, self_loops=self_loops, readout=readout)
    families, masks = codes(seed, names), drawn_masks(seed, share, names)
    real = torch.stack(list(masks.values()), 1).numpy()
    w, fused = state(layer), []
    for kind, family in zip(("exclusive", "agnostic"), families, strict=True):
        received, attention = modality_messages(
            torch.stack(list(family.values()), 1).numpy(),
            w[f"{kind}.message.weight"],
            w[f"{kind}.score.weight"][0],
            w[f"{kind}.score.bias"][0],
            self_loops,
            real,
        )
        score = w[f"{kind}.readout.score.weight"][0] if readout == "attention" else None
        fused.append(read_out(received, real, readout, score))
        shown = getattr(layer.attention(*families, masks), kind)
        np.testing.assert_allclose(shown.detach().numpy(), attention, atol=1e-10)
    output = layer(*(poisoned(family, masks) for family in families), masks)
    np.testing.assert_allclose(output.exclusive.detach().numpy(), fused[0], atol=1e-10)
    np.testing.assert_allclose(output.agnostic.detach().numpy(), fused[1], atol=1e-10)
    np.testing.assert_allclose(output.fused.detach().numpy(), np.concatenate(fused, 1), atol=1e-10)


def test_it_is_the_function_with_the_weights_of_each_graph():
    layer, (exclusive, agnostic) = fusion(), codes(0)
    for graph, family, code in zip(
        (layer.exclusive, layer.agnostic), (exclusive, agnostic), layer(exclusive, agnostic)[1:], strict=True
    ):
        nodes = torch.stack(list(family.values()), 1)
        expected = modality_graph_attention(nodes, graph.message.weight, graph.score.weight[0], graph.score.bias)
        torch.testing.assert_close(code, expected.fused)


# ---- torch_geometric


def message_passing(layer, graph):
    """The attention of the paper as a torch_geometric layer: one node per modality, read out by a pooling layer."""
    from torch_geometric.nn import MessagePassing, global_add_pool
    from torch_geometric.utils import softmax

    class Attention(MessagePassing):
        def __init__(self):
            super().__init__(aggr="add")

        def forward(self, x, edge_index):
            return self.propagate(edge_index, h=layer.message(x))

        def message(self, h_i, h_j, index, size_i):
            self.weights = softmax(gelu(layer.score(torch.cat((h_i, h_j), -1))), index, num_nodes=size_i)
            return self.weights * h_j

    attention = Attention()
    nodes = attention(graph.x, graph.edge_index)
    return global_add_pool(nodes.sigmoid(), graph.batch, size=3), attention.weights


@given(seeds, st.sampled_from([0.3, 0.7, 1.0]), st.booleans())
def test_torch_geometric_passes_the_same_messages(seed, share, self_loops):
    layer, families, masks = fusion(self_loops=self_loops), codes(seed), drawn_masks(seed, share)
    output = layer(*(poisoned(family, masks) for family in families), masks)
    graphs = layer.to_pyg(*(poisoned(family, masks) for family in families), masks)
    # Without its node types the exclusive graph is of the same form as the agnostic one.
    for part, graph, code in (
        (layer.agnostic, graphs.agnostic.to_homogeneous(), output.agnostic),
        (layer.exclusive, graphs.exclusive.to_homogeneous(), output.exclusive),
    ):
        pooled, weights = message_passing(part, graph)
        torch.testing.assert_close(pooled, code, rtol=0, atol=1e-10)
        torch.testing.assert_close(weights, graph.edge_attr, rtol=0, atol=1e-10)
        parameters = list(part.parameters())
        ours = torch.autograd.grad(code.square().sum(), parameters, retain_graph=True)
        theirs = torch.autograd.grad(pooled.square().sum(), parameters, allow_unused=True, materialize_grads=True)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_the_graphs_of_torch_geometric():
    layer, families = fusion(), codes(0)
    masks = {"vision": torch.tensor([True, False, False]), "text": torch.tensor([True, True, False])}
    exclusive, agnostic = layer.to_pyg(*families, masks)
    exclusive.validate()
    agnostic.validate()
    assert exclusive.node_types == list(NAMES)
    pairs = [(a, "to", b) for a in NAMES for b in NAMES if a != b]
    # The third sample has audio alone, which hears itself.
    assert sorted(exclusive.edge_types) == sorted([*pairs, ("audio", "to", "audio")])
    assert exclusive["text"].batch.tolist() == [0, 1]
    torch.testing.assert_close(exclusive["text"].x, families[0]["text"][:2])
    assert exclusive["audio", "to", "text"].edge_index.tolist() == [[0, 1], [0, 1]]
    assert exclusive["vision", "to", "text"].edge_index.tolist() == [[0], [0]]
    assert exclusive["audio", "to", "audio"].edge_index.tolist() == [[2], [2]]
    attention = layer.attention(*families, masks)
    weights = exclusive["vision", "to", "text"].edge_attr
    torch.testing.assert_close(weights, attention.exclusive[:1, 1, 2:].detach())
    assert agnostic.node_types == ["modality"]
    assert agnostic["modality"].modality.tolist() == [0, 1, 2, 0, 1, 0]
    assert agnostic["modality"].batch.tolist() == [0, 0, 0, 1, 1, 2]
    assert agnostic["modality", "to", "modality"].edge_index.shape == (2, 6 + 2 + 1)
    assert not agnostic["modality"].x.requires_grad
    complete = layer.to_pyg(*families).exclusive
    assert sorted(complete.edge_types) == sorted(pairs)
    assert len(fusion(self_loops=True).to_pyg(*families).exclusive.edge_types) == 9


# ---- laws


@given(seeds, st.booleans(), st.sampled_from([0.5, 1.0]))
@pytest.mark.parametrize("readout", ["paper", "mean", "attention"])
def test_the_order_of_the_modalities_does_not_matter(readout, seed, self_loops, share):
    families, masks = codes(seed), drawn_masks(seed, share)
    layer = fusion(self_loops=self_loops, readout=readout)
    other = fusion(("vision", "audio", "text"), self_loops=self_loops, readout=readout)
    other.load_state_dict(layer.state_dict())
    expected = layer(*families, masks)
    torch.testing.assert_close(other(*families, masks).fused, expected.fused)
    order = [2, 0, 1]
    torch.testing.assert_close(
        other.attention(*families, masks).agnostic, layer.attention(*families, masks).agnostic[:, order][:, :, order]
    )


def test_codes_do_not_mix_the_graphs():
    layer, (exclusive, agnostic) = fusion(), codes(0)
    output = layer(exclusive, agnostic)
    torch.testing.assert_close(layer(exclusive, exclusive).exclusive, output.exclusive)
    torch.testing.assert_close(layer(agnostic, agnostic).agnostic, output.agnostic)
    assert not torch.allclose(layer(agnostic, agnostic).exclusive, output.exclusive)
    torch.testing.assert_close(output.fused, torch.cat((output.exclusive, output.agnostic), 1))


def test_masks_and_present_say_the_same():
    layer, families = fusion(), codes(0)
    here = {"text": torch.tensor([True, False, True]), "vision": torch.tensor([True, True, False])}
    expected = layer(*families, here)
    torch.testing.assert_close(layer(*families, present=here).fused, expected.fused)
    split = layer(*families, {"text": here["text"]}, present={"vision": here["vision"]})
    torch.testing.assert_close(split.fused, expected.fused)
    torch.testing.assert_close(
        layer(
            *families, {"text": torch.tensor([True, True, False])}, present={"text": torch.tensor([True, False, True])}
        ).fused,
        layer(*families, {"text": torch.tensor([True, False, False])}).fused,
    )
    assert not torch.allclose(layer(*families).fused, expected.fused)
    alone = fusion(("audio", "vision"))
    alone.load_state_dict(layer.state_dict())
    second = [{name: family[name][1:2] for name in ("audio", "vision")} for family in families]
    torch.testing.assert_close(alone(*second).fused, expected.fused[1:2])


def test_widths():
    layer = fusion()
    assert layer.out_features == 2 * OUT
    assert fusion(out_features=None).out_features == 2 * WIDTH
    shapes = {name: tuple(x.shape) for name, x in layer.state_dict().items()}
    graph = {"message.weight": (OUT, WIDTH), "score.weight": (1, 2 * OUT), "score.bias": (1,)}
    assert shapes == {f"{kind}.{k}": v for kind in ("exclusive", "agnostic") for k, v in graph.items()}


# ---- gradients


@pytest.mark.parametrize("readout", ["paper", "mean", "attention"])
def test_derivatives(readout):
    layer, families = fusion(readout=readout), codes(0)
    masks = {"text": torch.tensor([True, False, False]), "audio": torch.tensor([True, True, False])}
    tensors = [x.requires_grad_() for family in families for x in family.values()]

    def fused(*tensors):
        return layer(
            dict(zip(NAMES, tensors[:3], strict=True)), dict(zip(NAMES, tensors[3:], strict=True)), masks
        ).fused

    torch.autograd.gradcheck(fused, tensors)


def test_with_two_modalities_the_scores_do_not_learn():
    for self_loops in (False, True):
        layer = fusion(("a", "b"), self_loops=self_loops)
        layer(*codes(0, ("a", "b"))).fused.sum().backward()
        assert layer.exclusive.message.weight.grad.any()
        assert layer.exclusive.score.weight.grad.any() == self_loops


# ---- edges


@pytest.mark.parametrize("readout", ["paper", "mean", "attention"])
def test_a_sample_without_any_modality_gives_zero(readout):
    layer, families = fusion(readout=readout), codes(0)
    masks = {name: torch.tensor([False, True, True]) for name in NAMES}
    tensors = [poisoned(family, masks) for family in families]
    leaves = [x.requires_grad_() for family in tensors for x in family.values()]
    output = layer(*tensors, masks)
    assert (output.fused[0] == 0).all()
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(output.fused.sum(), leaves))
    assert layer(*codes(0, batch=0)).fused.shape == (0, 2 * OUT)


# ---- bad input


@pytest.mark.parametrize(
    ("exception", "words", "names", "settings"),
    [
        (ModalityError, ("at least 2",), ("a",), {}),
        (SettingError, ("features", "0"), NAMES, {"features": 0}),
        (SettingError, ("out_features", "0"), NAMES, {"out_features": 0}),
        (SettingError, ("level", "'utterance', 'frame'", "'word'"), NAMES, {"level": "word"}),
        (SettingError, ("self_loops", "'yes'"), NAMES, {"self_loops": "yes"}),
        (SettingError, ("readout", "'paper', 'mean', 'attention'", "'max'"), NAMES, {"readout": "max"}),
        (SettingError, ("window", "level='frame'"), NAMES, {"window": 1.0}),
        (SettingError, ("cross_window", "level='frame'"), NAMES, {"cross_window": 1.0}),
        (SettingError, ("max_neighbours", "level='frame'"), NAMES, {"max_neighbours": 3}),
        (SettingError, ("num_heads", "level='frame'"), NAMES, {"num_heads": 2}),
        (SettingError, ("conv", "level='frame'"), NAMES, {"conv": torch.nn.Identity}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(exception, words, names, settings):
    with expect.error(exception, "DecoupledGraphFusion: ", *words):
        DecoupledGraphFusion(names, **{"features": 4, **settings})


X, HERE = torch.zeros(2, 4), torch.ones(2, dtype=torch.bool)


@pytest.mark.parametrize(
    ("exception", "words", "exclusive", "masks"),
    [
        (ModalityError, ("exclusive lacks 'vision'",), {"vision": None}, None),
        (ModalityError, ("exclusive names the modality 'radio'",), {"radio": X}, None),
        (ShapeError, ("exclusive['text'] must have shape [B, D]", "[2, 1, 4]"), {"text": X.unsqueeze(1)}, None),
        (ShapeError, ("exclusive['text'] must have 4 features", "got 3"), {"text": X[:, :3]}, None),
        (ShapeError, ("batch size", "got 2", "exclusive['text']", "1."), {"text": X[:1]}, None),
        (DtypeError, ("exclusive['text']", "int64"), {"text": X.long()}, None),
        (ModalityError, ("masks names the modality 'radio'",), {}, {"radio": HERE}),
        (ShapeError, ("masks['text'] must have shape [2]", "[2, 1]"), {}, {"text": HERE.unsqueeze(1)}),
        (DtypeError, ("masks['text']", "boolean"), {}, {"text": HERE.float()}),
        (DtypeError, ("masks must be a mapping", "Tensor"), {}, HERE),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, exclusive, masks):
    full = dict.fromkeys(NAMES, X)
    given_codes = {name: x for name, x in {**full, **exclusive}.items() if x is not None}
    with expect.error(exception, "DecoupledGraphFusion: ", *words):
        DecoupledGraphFusion(NAMES, 4)(given_codes, full, masks)


@pytest.mark.bad_input
def test_timestamps_are_for_frames():
    with expect.error(SettingError, "timestamps", "level='frame'"):
        DecoupledGraphFusion(NAMES, 4)(dict.fromkeys(NAMES, X), dict.fromkeys(NAMES, X), timestamps={})
