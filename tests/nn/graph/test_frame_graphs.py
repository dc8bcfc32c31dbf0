import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.nn import DecoupledGraphFusion
from mmdisentangle.nn.graph._timeline import timeline
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds, uniform
from tests.oracles.graphs import frame_graph, frame_line, read_out, slope
from tests.oracles.layers import state

NAMES, WIDTH, OUT = ("audio", "text", "vision"), 3, 4
LENGTHS = {"audio": 9, "text": 4, "vision": 6}


def fusion(names=NAMES, **settings):
    torch.manual_seed(0)
    settings = {"num_heads": None if "conv" in settings else 2, **settings}
    return DecoupledGraphFusion(names, WIDTH, OUT, level="frame", **settings).double()


def codes(seed, lengths=LENGTHS, batch=2):
    return [
        {name: normal(seed + 10 * k + i, batch, length, WIDTH) for i, (name, length) in enumerate(lengths.items())}
        for k in range(2)
    ]


def drawn_masks(seed, share, lengths=LENGTHS, batch=2):
    return {name: coin(seed + i, batch, length, heads=share) for i, (name, length) in enumerate(lengths.items())}


def all_real(lengths=LENGTHS, batch=2):
    return {name: torch.ones(batch, length, dtype=torch.bool) for name, length in lengths.items()}


def poisoned(family, masks, fill=math.nan):
    return {name: torch.where(masks[name].unsqueeze(-1), x, fill) for name, x in family.items()}


def drawn_timestamps(seed, lengths=LENGTHS, batch=2):
    return {
        name: (8 * uniform(seed + i, batch, length)).sort(1).values for i, (name, length) in enumerate(lengths.items())
    }


def slow(w, kind, family, masks, timestamps, *, readout, **edges):
    part = {key.removeprefix(f"{kind}."): x for key, x in w.items() if key.startswith(f"{kind}.")}
    shared = kind == "agnostic"
    names = ["projection" if shared else f"projections.{name}" for name in NAMES]
    arrays = [[None if family is None else family[name] for name in NAMES] for family in (family, masks, timestamps)]
    nodes, real = frame_graph(*arrays[:2], None if timestamps is None else arrays[2], part, names, 2, **edges)
    return read_out(nodes, real, readout, part["readout.score.weight"][0] if readout == "attention" else None)


def as_arrays(family):
    return None if family is None else {name: x.numpy() for name, x in family.items()}


# ---- closed form


def test_frames_share_the_time_of_the_longest_modality():
    masks = {"a": torch.ones(1, 6, dtype=torch.bool), "b": torch.tensor([[False, True, True, False]])}
    line = timeline(masks, None)
    assert line.times.tolist() == [[0.5, 1.5, 1.5, 2.5, 3.5, 4.5, 4.5, 5.5, 0.0, 0.0]]
    assert line.groups[0, :8].tolist() == [0, 0, 1, 0, 0, 0, 1, 0]
    assert line.mask.tolist() == [[True] * 8 + [False] * 2]
    assert line.order[0, :8].tolist() == [0, 1, 7, 2, 3, 4, 8, 5]


def test_timestamps_are_taken_as_they_are():
    masks = {"a": torch.tensor([[True, True, False]]), "b": torch.ones(1, 2, dtype=torch.bool)}
    timestamps = {"a": torch.tensor([[3.0, 1.0, math.nan]]), "b": torch.tensor([[2, -1]])}
    line = timeline(masks, timestamps)
    assert line.times.tolist() == [[-1.0, 1.0, 2.0, 3.0, 0.0]]
    assert line.order[0, :4].tolist() == [4, 1, 3, 0]


@given(seeds, st.sampled_from([0.0, 0.5, 1.0]), st.booleans())
def test_the_line_of_the_loops(seed, share, stamped):
    masks, timestamps = drawn_masks(seed, share), drawn_timestamps(seed) if stamped else None
    line = timeline(masks, timestamps)
    for b in range(2):
        stamps = None if timestamps is None else [x[b].numpy() for x in timestamps.values()]
        expected = frame_line([mask[b].numpy() for mask in masks.values()], stamps)
        assert line.mask[b].sum() == len(expected)
        assert line.times[b, : len(expected)].tolist() == [frame[0] for frame in expected]
        assert line.groups[b, : len(expected)].tolist() == [frame[1] for frame in expected]


# ---- oracle


@given(
    seeds,
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.sampled_from([None, 0.4, 3.0]),
    st.sampled_from([None, 1, 4, 30]),
    st.booleans(),
    st.booleans(),
)
@pytest.mark.parametrize("readout", ["paper", "mean", "attention"])
def test_loops(readout, seed, share, window, cross_window, max_neighbours, self_loops, stamped):
    if stamped and max_neighbours is None:
        max_neighbours = 20
    layer = fusion(
        window=window,
        cross_window=cross_window,
        max_neighbours=max_neighbours,
        self_loops=self_loops,
        readout=readout,
    )
    families, masks = codes(seed), drawn_masks(seed, share)
    timestamps = drawn_timestamps(seed) if stamped else None
    output = layer(*(poisoned(family, masks) for family in families), masks, timestamps=timestamps)
    edges = {
        "window": window,
        "cross_window": window if cross_window is None else cross_window,
        # No number at all: the default must not cut anything.
        "max_neighbours": math.inf if max_neighbours is None else max_neighbours,
        "self_loops": self_loops,
    }
    arrays = [as_arrays(x) for x in (*families, masks, timestamps)]
    for kind, family in zip(("exclusive", "agnostic"), arrays[:2], strict=True):
        expected = slow(state(layer), kind, family, *arrays[2:], readout=readout, **edges)
        np.testing.assert_allclose(getattr(output, kind).detach().numpy(), expected, atol=1e-10)
    torch.testing.assert_close(output.fused, torch.cat((output.exclusive, output.agnostic), 1))


@given(seeds, st.sampled_from([0.6, 1.0]), st.sampled_from(["paper", "mean"]))
def test_slopes_of_the_loops(seed, share, readout):
    lengths = {"audio": 4, "text": 2, "vision": 3}
    layer, (exclusive, agnostic), masks = (
        fusion(readout=readout),
        codes(seed, lengths),
        drawn_masks(seed, share, lengths),
    )
    parameters = dict(layer.exclusive.named_parameters(prefix="exclusive"))
    tensors = {**{f"code {name}": x for name, x in exclusive.items()}, **parameters}
    directions = {name: normal(seed + 30 + i, *x.shape) for i, (name, x) in enumerate(tensors.items())}
    cotangent, edges = normal(seed + 9, 2, OUT), {"window": 2.0, "cross_window": 2.0, "max_neighbours": 99}

    def number(*arrays):
        values = dict(zip(tensors, arrays, strict=True))
        family = {name: values[f"code {name}"] for name in NAMES}
        fused = slow(values, "exclusive", family, as_arrays(masks), None, readout=readout, self_loops=False, **edges)
        return (fused * cotangent.numpy()).sum()

    arrays = [x.detach().numpy() for x in tensors.values()]
    expected = slope(number, arrays, [x.numpy() for x in directions.values()])
    leaves = {name: x.requires_grad_() for name, x in poisoned(exclusive, masks).items()}
    output = layer(leaves, agnostic, masks)
    gradients = torch.autograd.grad((output.exclusive * cotangent).sum(), [*leaves.values(), *parameters.values()])
    found = sum((g * direction).sum() for g, direction in zip(gradients, directions.values(), strict=True))
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-8)


# ---- torch_geometric


def transformer_conv(attention):
    """TransformerConv with the weights of a graph."""
    from torch_geometric.nn import TransformerConv

    conv = TransformerConv(OUT, OUT // 2, heads=2).double()
    for name in ("query", "key", "value", "skip"):
        getattr(conv, f"lin_{name}").load_state_dict(getattr(attention, name).state_dict())
    return conv


def with_transformer_conv(layer, **settings):
    """The same layer with TransformerConv plugged in."""
    convolutions = tuple(transformer_conv(graph.attention) for graph in (layer.exclusive, layer.agnostic))
    other = fusion(conv=convolutions, **settings)
    kept = {name: x for name, x in layer.state_dict().items() if ".attention." not in name}
    incompatible = other.load_state_dict(kept, strict=False)
    assert all(".conv." in name for name in incompatible.missing_keys)
    return other


def gradients_of(layer, output, leaves):
    names = [name for name, _ in layer.named_parameters()]
    values = torch.autograd.grad(output.square().sum(), [*leaves, *layer.parameters()])
    parameters = dict(zip(names, values[len(leaves) :], strict=True))
    return values[: len(leaves)], {
        name.replace(".conv.lin_", ".attention."): parameters[name] for name in sorted(parameters)
    }


@given(seeds, st.sampled_from([0.3, 0.8, 1.0]), st.booleans(), st.booleans(), st.sampled_from([1, 3, 20]))
@pytest.mark.parametrize("readout", ["paper", "mean"])
def test_equals_transformer_conv(readout, seed, share, self_loops, stamped, max_neighbours):
    settings = {
        "window": 1.6,
        "cross_window": 0.9,
        "self_loops": self_loops,
        "max_neighbours": max_neighbours,
        "readout": readout,
    }
    layer = fusion(**settings)
    other = with_transformer_conv(layer, **settings)
    families, masks = codes(seed), drawn_masks(seed, share)
    timestamps = drawn_timestamps(seed) if stamped else None
    results = []
    for version in (layer, other):
        dirty = [poisoned(family, masks) for family in families]
        leaves = [x.requires_grad_() for family in dirty for x in family.values()]
        output = version(*dirty, masks, timestamps=timestamps).fused
        results.append((output, *gradients_of(version, output, leaves)))
    torch.testing.assert_close(*[result[0] for result in results], rtol=0, atol=1e-10)
    torch.testing.assert_close(*[result[1] for result in results], rtol=0, atol=1e-10)
    torch.testing.assert_close(*[result[2] for result in results], rtol=0, atol=1e-10)


@given(seeds, st.sampled_from([0.3, 1.0]))
def test_transformer_conv_on_the_graph_of_to_pyg(seed, share):
    from torch_geometric.nn import global_mean_pool

    layer, families, masks = fusion(window=1.3), codes(seed), drawn_masks(seed, share)
    graphs, output = layer.to_pyg(*families, masks), layer(*families, masks)
    frames, edges = graphs.agnostic["frame"], graphs.agnostic["frame", "to", "frame"]
    projected = layer.agnostic.projection(frames.x)
    nodes, (_, weights) = transformer_conv(layer.agnostic.attention)(
        projected, edges.edge_index, return_attention_weights=True
    )
    torch.testing.assert_close(weights, edges.edge_attr, rtol=0, atol=1e-10)
    pooled = global_mean_pool(nodes, frames.batch, size=2)
    torch.testing.assert_close(pooled, output.agnostic, rtol=0, atol=1e-10)
    # The exclusive graph: every type through its own projection, then one convolution over all of them.
    typed = graphs.exclusive
    for name in NAMES:
        typed[name].x = layer.exclusive.projections[name](typed[name].x)
    plain = typed.to_homogeneous()
    nodes, (_, weights) = transformer_conv(layer.exclusive.attention)(
        plain.x, plain.edge_index, return_attention_weights=True
    )
    torch.testing.assert_close(weights, plain.edge_attr, rtol=0, atol=1e-10)
    pooled = global_mean_pool(nodes, plain.batch, size=2)
    torch.testing.assert_close(pooled, output.exclusive, rtol=0, atol=1e-10)


def test_the_graphs_of_torch_geometric():
    layer, families = fusion(window=1.0, cross_window=0.0), codes(0, {"audio": 4, "text": 2, "vision": 4})
    masks = {"text": torch.tensor([[True, True], [False, False]]), "vision": torch.tensor([[False] * 4, [True] * 4])}
    exclusive, agnostic = layer.to_pyg(*families, masks)
    exclusive.validate()
    agnostic.validate()
    assert exclusive.node_types == list(NAMES)
    assert set(exclusive.edge_types) == {(a, "to", b) for a in NAMES for b in NAMES}
    assert exclusive["audio"].time.tolist() == [0.5, 1.5, 2.5, 3.5] * 2
    assert exclusive["text"].time.tolist() == [1.0, 3.0]
    assert exclusive["text"].batch.tolist() == [0, 0]
    torch.testing.assert_close(exclusive["vision"].x, families[0]["vision"][1])
    chain = exclusive["audio", "to", "audio"].edge_index
    assert sorted(map(tuple, chain.T.tolist())) == [
        (start + a, start + b) for start in (0, 4) for a, b in ((0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2))
    ]
    # Frames of text are two units apart, and no other frame is at their time: each hears itself.
    assert exclusive["text", "to", "text"].edge_index.tolist() == [[0, 1], [0, 1]]
    assert exclusive["vision", "to", "audio"].edge_index.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert exclusive["audio", "to", "audio"].edge_attr.shape == (12, 2)
    assert agnostic.node_types == ["frame"]
    assert agnostic["frame"].modality.tolist() == [0, 1, 0, 0, 1, 0, *[0, 2] * 4]
    sums = torch.zeros(14, 2, dtype=torch.float64)
    edges = agnostic["frame", "to", "frame"]
    torch.testing.assert_close(sums.index_add(0, edges.edge_index[1], edges.edge_attr), torch.ones_like(sums))


def test_other_convolutions():
    from torch_geometric.nn import GATConv, GCNConv

    families, masks = codes(0), drawn_masks(0, 0.7)
    for conv in (
        lambda width: GATConv(width, width),
        lambda width: GCNConv(width, width),
        (GCNConv(OUT, OUT), GATConv(OUT, 2, heads=2)),
    ):
        layer = fusion(conv=conv)
        assert layer.exclusive.attention is None
        output = layer(*(poisoned(family, masks) for family in families), masks)
        output.fused.sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in layer.parameters())
        graphs = layer.to_pyg(*families, masks)
        assert "edge_attr" not in graphs.agnostic["frame", "to", "frame"]
        frames, edges = graphs.agnostic["frame"], graphs.agnostic["frame", "to", "frame"].edge_index
        nodes = layer.agnostic.conv(layer.agnostic.projection(frames.x), edges)
        for b in range(2):
            torch.testing.assert_close(nodes[frames.batch == b].mean(0), output.agnostic[b])
        nothing = layer(*families, {name: torch.zeros_like(mask) for name, mask in masks.items()})
        assert (nothing.fused == 0).all()


# ---- laws


@given(seeds, st.sampled_from([0.5, 1.0]), st.booleans(), st.sampled_from([None, 30]))
@pytest.mark.parametrize("readout", ["paper", "mean", "attention"])
def test_the_order_of_the_modalities_does_not_matter(readout, seed, share, self_loops, max_neighbours):
    settings = {"self_loops": self_loops, "readout": readout, "max_neighbours": max_neighbours}
    layer, other = fusion(**settings), fusion(("vision", "audio", "text"), **settings)
    other.load_state_dict(layer.state_dict())
    families, masks = codes(seed), drawn_masks(seed, share)
    torch.testing.assert_close(other(*families, masks).fused, layer(*families, masks).fused)


@given(seeds, st.integers(0, 3), st.integers(0, 3), st.sampled_from([math.nan, math.inf, 1e30]))
def test_padding_is_invisible_on_both_sides(seed, before, after, fill):
    layer, families = fusion(), codes(seed)
    expected = layer(*families)
    padded = [
        {name: torch.nn.functional.pad(x, (0, 0, before, after), value=fill) for name, x in family.items()}
        for family in families
    ]
    masks = {name: torch.nn.functional.pad(mask, (before, after)) for name, mask in all_real().items()}
    torch.testing.assert_close(layer(*padded, masks).fused, expected.fused)


@given(seeds)
def test_timestamps_at_even_steps_are_the_default(seed):
    layer, families = fusion(max_neighbours=20), codes(seed)
    longest = max(LENGTHS.values())
    timestamps = {
        name: ((2 * torch.arange(n).double() + 1) * longest / (2 * n)).expand(2, -1) for name, n in LENGTHS.items()
    }
    expected = layer(*families)
    torch.testing.assert_close(layer(*families, timestamps=timestamps).fused, expected.fused)
    whole = {name: (18 * x).round().long() for name, x in timestamps.items()}
    other = fusion(max_neighbours=20, window=36.0)
    torch.testing.assert_close(other(*families, timestamps=whole).fused, expected.fused)


@given(seeds)
def test_frames_may_come_in_any_order_with_their_timestamps(seed):
    layer, families, timestamps = fusion(max_neighbours=5), codes(seed), drawn_timestamps(seed)
    order = torch.randperm(LENGTHS["audio"], generator=torch.Generator().manual_seed(seed))
    shuffled = [{**family, "audio": family["audio"][:, order]} for family in families]
    stamps = {**timestamps, "audio": timestamps["audio"][:, order]}
    torch.testing.assert_close(layer(*shuffled, timestamps=stamps).fused, layer(*families, timestamps=timestamps).fused)


def test_a_change_reaches_no_further_than_the_window():
    lengths = dict.fromkeys(NAMES, 50)
    layer, (family, _) = fusion(window=3.0, cross_window=1.0), codes(0, lengths, batch=1)
    leaf = family["text"].requires_grad_()
    line, band = layer._edges(all_real(lengths, 1), None)
    nodes = layer.exclusive._projected(family, line)
    target = line.order[0].tolist().index(25)
    assert line.groups[0, target] == 0
    attended = layer.exclusive.attention(nodes, band)[0, target]
    (gradient,) = torch.autograd.grad(attended.sum(), leaf)
    assert gradient[0].any(1).nonzero().flatten().tolist() == [24, 25, 26]


def test_a_missing_modality_is_a_missing_node():
    layer, families = fusion(), codes(0)
    here = {"audio": torch.tensor([True, False])}
    expected = layer(*families, {"audio": here["audio"].unsqueeze(1).expand(2, 9)})
    torch.testing.assert_close(layer(*families, present=here).fused, expected.fused)
    without = [{**family, "audio": family["audio"][1:, :0]} for family in families]
    without = [{name: x if name == "audio" else x[1:] for name, x in family.items()} for family in without]
    torch.testing.assert_close(layer(*without).fused, expected.fused[1:])
    pair = DecoupledGraphFusion(("text", "vision"), WIDTH, OUT, level="frame", num_heads=2).double()
    pair.load_state_dict({k: x for k, x in layer.state_dict().items() if "audio" not in k})
    both = [{name: x for name, x in family.items() if name != "audio"} for family in without]
    torch.testing.assert_close(pair(*both).fused, expected.fused[1:])


# ---- gradients


@pytest.mark.parametrize("readout", ["paper", "mean", "attention"])
def test_derivatives(readout):
    lengths = {"audio": 3, "text": 2, "vision": 0}
    layer, families = fusion(readout=readout), codes(0, lengths)
    masks = {"audio": torch.tensor([[True, False, True], [False] * 3]), "text": torch.tensor([[True] * 2, [False] * 2])}
    tensors = [x.requires_grad_() for family in families for x in family.values()]

    def fused(*tensors):
        return layer(
            dict(zip(NAMES, tensors[:3], strict=True)), dict(zip(NAMES, tensors[3:], strict=True)), masks
        ).fused

    torch.autograd.gradcheck(fused, tensors)


# ---- edges


@pytest.mark.parametrize("readout", ["paper", "mean", "attention"])
@pytest.mark.parametrize("length", [0, 1])
def test_short_sequences(readout, length):
    layer, families = fusion(readout=readout), codes(0, dict.fromkeys(NAMES, length))
    output = layer(*families)
    output.fused.sum().backward()
    assert torch.isfinite(output.fused).all()
    assert (output.fused == 0).all() == (length == 0)
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())
    graphs = layer.to_pyg(*families)
    assert graphs.agnostic["frame"].num_nodes == 2 * 3 * length
    assert layer(*codes(0, dict.fromkeys(NAMES, length), batch=0)).fused.shape == (0, 2 * OUT)


def test_a_sample_of_padding_alone_gives_zero():
    layer, families = fusion(readout="paper"), codes(0)
    masks = {name: torch.tensor([[False], [True]]).expand(2, length) for name, length in LENGTHS.items()}
    leaves = [poisoned(family, masks) for family in families]
    tensors = [x.requires_grad_() for family in leaves for x in family.values()]
    output = layer(*leaves, masks)
    assert (output.fused[0] == 0).all()
    gradients = torch.autograd.grad(output.fused.sum(), [*tensors, *layer.parameters()])
    assert all(torch.isfinite(g).all() for g in gradients)
    torch.testing.assert_close(
        output.fused[1:], layer(*[{name: x[1:] for name, x in family.items()} for family in families]).fused
    )


def test_long_sequences_fit_into_memory():
    """A dense map of 60,000 frames would take 14 GB per head."""
    layer, lengths = fusion().float(), dict.fromkeys(NAMES, 20_000)
    families = [{name: x.float() for name, x in family.items()} for family in codes(0, lengths, batch=1)]
    layer(*families).fused.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


def test_bfloat16_keeps_the_clock():
    """Times are no codes: 3,000 frames have 3,000 different times in any precision."""
    lengths = dict.fromkeys(NAMES, 3000)
    layer, families = fusion(window=1.0).bfloat16(), codes(0, lengths, batch=1)
    families = [{name: x.bfloat16() for name, x in family.items()} for family in families]
    graphs = layer.to_pyg(*families)
    # Nine frames are within one step of a frame, itself among them; six at either end.
    assert graphs.agnostic["frame", "to", "frame"].edge_index.shape[1] == 3 * (2998 * 8 + 2 * 5)


# ---- bad input


@pytest.mark.parametrize(
    ("exception", "words", "settings"),
    [
        (SettingError, ("window", "-1"), {"window": -1.0}),
        (SettingError, ("cross_window", "'wide'"), {"cross_window": "wide"}),
        (SettingError, ("max_neighbours", "at least 1", "0"), {"max_neighbours": 0}),
        (SettingError, ("num_heads", "divide out_features=4", "3"), {"num_heads": 3}),
        (SettingError, ("num_heads", "0"), {"num_heads": 0}),
        (SettingError, ("num_heads", "conv"), {"num_heads": 2, "conv": lambda width: torch.nn.Identity()}),
        (DtypeError, ("conv must be a factory", "Identity"), {"conv": torch.nn.Identity()}),
        (DtypeError, ("conv must be a factory", "'gat'"), {"conv": "gat"}),
        (DtypeError, ("conv must be a factory",), {"conv": lambda width: width}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(exception, words, settings):
    with expect.error(exception, "DecoupledGraphFusion: ", *words):
        DecoupledGraphFusion(NAMES, 4, level="frame", **settings)


X, STAMPS = torch.zeros(2, 3, 4), dict.fromkeys(NAMES, torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("exception", "words", "exclusive", "keywords"),
    [
        (ModalityError, ("exclusive lacks 'vision'",), {"vision": None}, {}),
        (ShapeError, ("exclusive['text']", "4 features", "got 3"), {"text": X[..., :3]}, {}),
        (ShapeError, ("exclusive['text'] must have shape [B, T, D]", "[2, 4]"), {"text": X[:, 0]}, {}),
        (ShapeError, ("exclusive['text'] and agnostic['text']", "[2, 2, 4]"), {"text": X[:, :2]}, {}),
        (ShapeError, ("same batch size",), {"text": X[:1]}, {}),
        (ShapeError, ("masks['text'] must have shape [2, 3]", "[2]"), {}, {"masks": {"text": X[:, 0, 0] > 0}}),
        (ModalityError, ("timestamps lacks 'vision'",), {}, {"timestamps": {"text": X[..., 0], "audio": X[..., 0]}}),
        (ShapeError, ("timestamps['text']", "[2]"), {}, {"timestamps": {**STAMPS, "text": torch.zeros(2)}}),
        (DtypeError, ("timestamps['text']", "list"), {}, {"timestamps": {**STAMPS, "text": [0.0]}}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, exclusive, keywords):
    full = dict.fromkeys(NAMES, X)
    given_codes = {name: x for name, x in {**full, **exclusive}.items() if x is not None}
    layer = DecoupledGraphFusion(NAMES, 4, level="frame", max_neighbours=3)
    with expect.error(exception, "DecoupledGraphFusion: ", *words):
        layer(given_codes, full, **keywords)


@pytest.mark.bad_input
def test_what_does_not_go_together():
    full = dict.fromkeys(NAMES, X)
    with expect.error(SettingError, "timestamps need max_neighbours", "None"):
        DecoupledGraphFusion(NAMES, 4, level="frame")(full, full, timestamps=STAMPS)
    with expect.error(SettingError, "attention", "level='utterance'", "to_pyg"):
        DecoupledGraphFusion(NAMES, 4, level="frame").attention(full, full)
    for conv in (lambda width: torch.nn.Linear(width, 2), lambda width: Pair(torch.nn.Identity(), torch.nn.Identity())):
        with expect.error(ShapeError, "conv must keep the shape of its nodes, [18, 4]"):
            DecoupledGraphFusion(NAMES, 4, level="frame", conv=lambda width, conv=conv: First(conv(width)))(full, full)


class First(torch.nn.Module):
    """Ignores the edges."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, edge_index):
        return self.layer(x)


class Pair(torch.nn.Module):
    """Returns two tensors, as recurrent layers do."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)

    def forward(self, x):
        return tuple(layer(x) for layer in self.layers)
