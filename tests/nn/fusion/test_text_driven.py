import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.nn import TextDrivenFusion
from mmdisentangle.nn.fusion.text_driven import default_query
from tests.oracles import expect
from tests.oracles.codes import factorized_bilinear
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import carried, cross_attention, layer_norm, sinusoid, state

NAMES = ("audio", "text", "vision")
LENGTHS = {"audio": 4, "text": 3, "vision": 2}
WIDTH = 4


def fusion(names=NAMES, **settings):
    torch.manual_seed(0)
    layer = TextDrivenFusion(names, WIDTH, num_heads=2, gate_features=3, **settings).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) / 5)
    return layer


def codes(seed, lengths=LENGTHS, batch=2):
    return [
        {name: normal(seed + 10 * k + i, batch, length, WIDTH) for i, (name, length) in enumerate(lengths.items())}
        for k in range(2)
    ]


def part(w, prefix):
    return {key[len(prefix) + 1 :]: value for key, value in w.items() if key.startswith(prefix + ".")}


def slow_positions(mask, tick, scale):
    table = np.zeros((*mask.shape, WIDTH))
    for b in range(len(mask)):
        real = [t for t in range(mask.shape[1]) if mask[b, t]]
        for number, t in enumerate(real):
            table[b, t] = scale * sinusoid(number * tick, WIDTH)
        for t in set(range(mask.shape[1])) - set(real):
            table[b, t] = scale * sinusoid(0, WIDTH)
    return table


def slow(layer, private, shared, masks, rates=None):
    """Fused frames before the Transformer block, and gates; one sample, frame and modality after the other."""
    w, query_name = state(layer), layer.query
    others = [name for name in layer.modalities if name != query_name]
    private, shared = (
        {name: np.where(masks[name][..., None], family[name], 0.0) for name in family} for family in (private, shared)
    )
    query_mask = masks[query_name].copy()
    private_query, shared_query = private[query_name].copy(), shared[query_name].copy()
    for b in range(len(query_mask)):
        here = [name for name in others if masks[name][b].any()]
        if not query_mask[b].any() and here:
            query_mask[b, 0] = True
            for own, family in ((private_query, private), (shared_query, shared)):
                own[b, 0] = np.mean([family[name][b][masks[name][b]].mean(0) for name in here], 0)
    tick = {name: 1.0 if rates is None else rates[query_name] / rates[name] for name in layer.modalities}
    query = private_query + slow_positions(query_mask, 1.0, layer.position_scale)
    streams, gates = [], {}
    for name in others:
        context = private[name] + slow_positions(masks[name], tick[name], layer.position_scale)
        weights = part(w, f"attention.{name}")
        attended = cross_attention(query, context, masks[name], weights, 2)
        gates[name] = np.zeros(query_mask.shape)
        opposite = shared[name]
        if layer.gates is not None and layer.gate_alignment == "attended":
            opposite = np.zeros((*query.shape[:2], WIDTH))
            some = masks[name].any(1)
            if some.any():
                opposite[some] = carried(query[some], context[some], shared[name][some], masks[name][some], weights, 2)
        stream = np.zeros_like(query)
        for b in range(len(query)):
            for t in range(query.shape[1]):
                if query_mask[b, t] and masks[name][b].any():
                    gates[name][b, t] = 1.0
                    if layer.gates is not None:
                        gate = part(w, f"gates.{name}")
                        head = part(w, f"gates.{others[0] if layer.share_gate_head else name}.head")
                        pooled = factorized_bilinear(
                            opposite[b, t], shared_query[b, t], gate["first.weight"], gate["second.weight"], 2, True
                        )
                        value = head["weight"][0] @ pooled + head["bias"][0]
                        soft = layer.gates[name].mode == "soft"
                        gates[name][b, t] = 1 / (1 + math.exp(-value)) if soft else float(value > 0)
                mixed = gates[name][b, t] * attended[b, t] + query[b, t]
                stream[b, t] = layer_norm(mixed, w[f"norms.{name}.weight"], w[f"norms.{name}.bias"])
        streams.append(stream)
    return np.concatenate(streams, -1), gates, query_mask


SETTINGS = [
    {},
    {"gate": "soft"},
    {"gate": "off"},
    {"gate": "released"},
    {"gate": "soft", "share_gate_head": True},
    {"gate": "soft", "query": "vision", "position_scale": 0.3},
    {"gate": "soft", "rates": {"audio": 100.0, "text": 3.0, "vision": 25.0}},
]


@given(seeds, st.sampled_from([0.0, 0.5, 1.0]))
@pytest.mark.parametrize("settings", SETTINGS)
def test_loops(settings, seed, heads):
    layer = fusion(**settings)
    private, shared = codes(seed)
    masks = {name: coin(seed + i, 2, length, heads=heads) for i, (name, length) in enumerate(LENGTHS.items())}
    arrays = [{name: code.numpy() for name, code in family.items()} for family in (private, shared)]
    real = {name: mask.numpy() for name, mask in masks.items()}
    before, gates, query_mask = slow(layer, *arrays, real, settings.get("rates"))
    dirty = [
        {name: torch.where(masks[name].unsqueeze(-1), code, float("nan")) for name, code in family.items()}
        for family in (private, shared)
    ]
    output = layer(*dirty, masks)
    np.testing.assert_array_equal(output.mask.numpy(), query_mask)
    for name, gate in gates.items():
        np.testing.assert_allclose(output.gates[name].detach().numpy(), gate, atol=1e-6)
    expected = layer.block(torch.from_numpy(before), output.mask)
    # The encoding is made in float32.
    torch.testing.assert_close(output.sequence, expected, rtol=1e-4, atol=1e-5)


@given(seeds)
def test_frame_by_frame_gates(seed):
    lengths = dict.fromkeys(NAMES, 3)
    layer = fusion(gate="soft", gate_alignment="frame")
    private, shared = codes(seed, lengths)
    masks = {name: coin(seed + i, 2, 3) for i, name in enumerate(NAMES)}
    arrays = [{name: code.numpy() for name, code in family.items()} for family in (private, shared)]
    before, gates, _ = slow(layer, *arrays, {name: mask.numpy() for name, mask in masks.items()})
    output = layer(private, shared, masks)
    for name, gate in gates.items():
        np.testing.assert_allclose(output.gates[name].detach().numpy(), gate, atol=1e-6)
    torch.testing.assert_close(
        output.sequence, layer.block(torch.from_numpy(before), output.mask), rtol=1e-4, atol=1e-5
    )


# ---- laws


def test_the_query():
    assert default_query(("audio", "text")) == "text"
    assert default_query(("audio", "vision")) == "audio"
    assert fusion().query == "text"
    assert fusion(("a", "b")).query == "a"
    assert fusion(query="vision").query == "vision"


@given(seeds)
@pytest.mark.parametrize("gate", ["soft", "off"])
def test_left_or_right_padding(gate, seed):
    layer = fusion(gate=gate)
    private, shared = codes(seed)

    def padded(side, extra):
        sizes = (extra, 0) if side == "left" else (0, extra)
        families = [
            {name: torch.nn.functional.pad(code, (0, 0, *sizes)) for name, code in family.items()}
            for family in (private, shared)
        ]
        masks = {
            name: torch.nn.functional.pad(torch.ones(2, length, dtype=torch.bool), sizes)
            for name, length in LENGTHS.items()
        }
        output = layer(*families, masks)
        return output.sequence[output.mask], torch.cat([g[output.mask] for g in output.gates.values()])

    plain = layer(private, shared)
    expected = plain.sequence[plain.mask], torch.cat([g[plain.mask] for g in plain.gates.values()])
    for side in ("left", "right"):
        torch.testing.assert_close(padded(side, 2), expected)


def test_a_closed_gate_leaves_the_query():
    layer = fusion(gate="hard")
    for name in ("audio", "vision"):
        torch.nn.init.zeros_(layer.gates[name].head.weight)
        torch.nn.init.constant_(layer.gates[name].head.bias, -1.0)
    private, shared = codes(0)
    other = {**private, "audio": private["audio"] + 1, "vision": -private["vision"]}
    torch.testing.assert_close(layer(private, shared).sequence, layer(other, shared).sequence)
    assert all((gate == 0).all() for gate in layer(private, shared).gates.values())


def test_a_missing_modality_is_as_good_as_a_closed_gate():
    layer = fusion(gate="soft")
    private, shared = codes(0)
    masks = {"vision": torch.tensor([[True, True], [False, False]])}
    output = layer(private, shared, masks)
    assert (output.gates["vision"][1] == 0).all()
    assert (output.gates["vision"][0] > 0).all()
    alone = [
        {name: code[1:, : 0 if name == "vision" else None] for name, code in family.items()}
        for family in (private, shared)
    ]
    torch.testing.assert_close(layer(*alone).sequence[0], output.sequence[1])


def test_rates_put_positions_on_one_clock():
    """Every second frame at half the rate carries the same positions as all frames at the full rate."""
    names, layer = ("a", "b"), fusion(("a", "b"), gate="off", rates={"a": 50.0, "b": 50.0})
    slower = fusion(("a", "b"), gate="off", rates={"a": 50.0, "b": 25.0})
    private = {name: normal(i, 2, 8, WIDTH) for i, name in enumerate(names)}
    mask = torch.ones(2, 8, dtype=torch.bool)
    positions = layer._positions(private["b"], mask, "b")[:, ::2]
    halved = {"a": private["a"], "b": private["b"][:, ::2]}
    torch.testing.assert_close(slower._positions(halved["b"], mask[:, ::2], "b"), positions)
    torch.testing.assert_close(slower._positions(private["a"], mask, "a"), layer._positions(private["a"], mask, "a"))
    assert not torch.allclose(slower(halved, halved).sequence, layer(halved, halved).sequence)


def test_width_and_order_of_the_result():
    layer = fusion(("a", "b", "c", "d"), gate="off")
    assert layer.out_features == 3 * WIDTH
    family = {name: normal(i, 2, 3, WIDTH) for i, name in enumerate("abcd")}
    output = layer(dict(reversed(family.items())), family)
    assert output.sequence.shape == (2, 3, 3 * WIDTH)
    assert list(output.gates) == ["b", "c", "d"]
    torch.testing.assert_close(output.sequence, layer(family, family).sequence)


def test_parameters_of_the_gates():
    assert fusion(gate="off").gates is None
    shared = fusion(share_gate_head=True)
    assert [shared.gates[name].head is None for name in ("audio", "vision")] == [False, True]
    assert all(fusion().gates[name].head is not None for name in ("audio", "vision"))


# ---- gradients


@pytest.mark.parametrize("settings", [{"gate": "soft"}, {"gate": "off"}])
def test_derivatives(settings):
    layer, (private, shared) = fusion(**settings), codes(0)
    masks = {"text": torch.tensor([[True, False, True], [False] * 3]), "audio": torch.tensor([[False] * 4, [True] * 4])}
    tensors = [code.requires_grad_() for family in (private, shared) for code in family.values()]

    def fused(*tensors):
        return layer(
            dict(zip(NAMES, tensors[:3], strict=True)), dict(zip(NAMES, tensors[3:], strict=True)), masks
        ).sequence

    torch.autograd.gradcheck(fused, tensors, atol=1e-4)


# ---- edges


@pytest.mark.parametrize("settings", [{}, {"gate": "soft"}, {"gate": "off"}, {"gate_alignment": "frame"}])
@pytest.mark.parametrize("missing", [(), ("text",), ("audio", "vision"), NAMES])
@pytest.mark.parametrize("how", ["mask", "empty"])
def test_missing_modalities_stay_finite(settings, missing, how):
    if settings.get("gate_alignment") == "frame" and how == "empty" and missing not in ((), NAMES):
        return
    lengths = dict.fromkeys(NAMES, 3)
    families = codes(0, lengths)
    masks = None
    if how == "mask":
        masks = {name: torch.zeros(2, 3, dtype=torch.bool) for name in missing}
    else:
        families = [{n: c[:, :0] if n in missing else c for n, c in family.items()} for family in families]
    tensors = [code.requires_grad_() for family in families for code in family.values()]
    layer = fusion(**settings)
    output = layer(*families, masks)
    output.sequence.sum().backward()
    assert torch.isfinite(output.sequence).all()
    assert output.mask.any() == (missing != NAMES)
    for name in missing:
        if name != "text":
            assert (output.gates[name] == 0).all()
    for gradient in (*(t.grad for t in tensors), *(p.grad for p in layer.parameters())):
        assert gradient is None or torch.isfinite(gradient).all()


def test_empty_batch():
    output = fusion()(*codes(0, batch=0))
    assert output.sequence.shape == (0, 3, 2 * WIDTH)


# ---- bad input


@pytest.mark.parametrize(
    ("exception", "words", "names", "settings"),
    [
        (ModalityError, ("at least 2",), ("a",), {}),
        (ModalityError, ("query", "'texts'", "'text'"), NAMES, {"query": "texts"}),
        (SettingError, ("hidden_features", "0"), NAMES, {"hidden_features": 0}),
        (SettingError, ("gate", "'hard', 'soft', 'off', 'released'", "'on'"), NAMES, {"gate": "on"}),
        (SettingError, ("gate_alignment", "'attended', 'frame'", "'time'"), NAMES, {"gate_alignment": "time"}),
        (SettingError, ("position_scale", "-1"), NAMES, {"position_scale": -1}),
        (SettingError, ("num_heads", "3"), NAMES, {"num_heads": 3}),
        (ModalityError, ("rates", "'vision'"), NAMES, {"rates": {"audio": 1.0, "text": 1.0}}),
        (SettingError, ("rates['vision']", "0"), NAMES, {"rates": {"audio": 1.0, "text": 1.0, "vision": 0.0}}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(exception, words, names, settings):
    with expect.error(exception, *words):
        TextDrivenFusion(names, **{"hidden_features": 4, **settings})


X = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("exception", "words", "changes", "masks", "settings"),
    [
        (ShapeError, ("private['audio']", "4 features", "got 3"), {"audio": X[..., :3]}, None, {}),
        (DtypeError, ("private['audio']", "int64"), {"audio": X.long()}, None, {}),
        (ModalityError, ("private names the modality 'radio'",), {"radio": X}, None, {}),
        (
            ShapeError,
            ("shared['audio']", "private['audio']", "[2, 3, 4]", "[2, 5, 4]"),
            {"audio": torch.zeros(2, 5, 4)},
            None,
            {},
        ),
        (ShapeError, ("masks['audio']", "[2, 3]"), {}, {"audio": torch.ones(2).bool()}, {}),
        (DtypeError, ("masks['audio']", "float32"), {}, {"audio": torch.ones(2, 3)}, {}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, changes, masks, settings):
    family = dict.fromkeys(NAMES, X)
    with expect.error(exception, "TextDrivenFusion: ", *words):
        TextDrivenFusion(NAMES, 4, **settings)({**family, **changes}, family, masks)


@pytest.mark.bad_input
def test_frame_alignment_wants_equal_lengths():
    families = [{**dict.fromkeys(NAMES, X), "audio": torch.zeros(2, 5, 4)}] * 2
    with expect.error(ShapeError, "equal lengths", "5", "'audio'", "3", "'text'", "attended"):
        TextDrivenFusion(NAMES, 4, gate_alignment="frame")(*families)
