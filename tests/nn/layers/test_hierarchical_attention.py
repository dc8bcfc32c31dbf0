import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.nn import HierarchicalCrossModalAttention
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import state
from tests.oracles.mea import hierarchical_attention as oracle

NAMES = ("text", "audio", "vision")
STEPS = [
    {"mixed": mixed, "coarse": coarse, "fine": fine}
    for mixed in (True, False)
    for coarse in (True, False)
    for fine in (True, False)
    if mixed or coarse or fine
]


def attention(names=NAMES, num_layers=2, **settings):
    torch.manual_seed(0)
    layer = HierarchicalCrossModalAttention(
        names, 4, num_layers=num_layers, num_heads=2, feedforward_features=3, **settings
    )
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) / 5)
    return layer.double().eval()


def sequences_and_masks(seed, batch=2, share=0.6, names=NAMES):
    sequences = {name: normal(seed + i, batch, 1 + i, 4) for i, name in enumerate(names)}
    masks = {name: coin(seed + i, batch, 1 + i, heads=share) for i, name in enumerate(names)}
    return sequences, masks


def assert_same(results, expected):
    assert list(results) == list(expected)
    for name, value in expected.items():
        value = torch.as_tensor(value, dtype=torch.float64)
        torch.testing.assert_close(results[name], value, rtol=1e-8, atol=1e-9)


# ---- closed form


def test_one_layer_is_units_in_a_row():
    layer, (sequences, _) = attention(num_layers=1), sequences_and_masks(0)
    results, units = layer(sequences), layer.layers[0]
    for name in NAMES:
        others = [other for other in NAMES if other != name]
        mixed = units[name].mixed(torch.cat(list(sequences.values()), 1), sequences[name])
        coarse = units[name].coarse(torch.cat([sequences[other] for other in others], 1), mixed)
        fine = sum(units[name].fine[other](sequences[other], coarse) for other in others)
        torch.testing.assert_close(results[name], fine)


# ---- oracle


@given(seeds, st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 2), st.booleans(), st.sampled_from([2, 3]))
def test_loops(seed, share, num_layers, update_sources, modalities):
    names = NAMES[:modalities]
    layer = attention(names, num_layers, update_sources=update_sources)
    sequences, masks = sequences_and_masks(seed, share=share, names=names)
    dirty = {name: torch.where(masks[name].unsqueeze(-1), x, math.nan) for name, x in sequences.items()}
    everything = {name: torch.ones_like(mask) for name, mask in masks.items()}
    for given_sequences, given_masks, real in ((dirty, masks, masks), (sequences, None, everything)):
        expected = oracle(
            {name: x.numpy() for name, x in sequences.items()},
            {name: mask.numpy() for name, mask in real.items()},
            state(layer),
            2,
            num_layers,
            update_sources,
        )
        assert_same(layer(given_sequences, given_masks), expected)


@pytest.mark.parametrize("steps", STEPS, ids=str)
def test_loops_of_every_choice_of_steps(steps):
    layer = attention(**steps)
    for seed, share in ((0, 1.0), (1, 0.6), (2, 0.3)):
        sequences, masks = sequences_and_masks(seed, batch=3, share=share)
        masks["audio"][0] = False
        masks["vision"][0] = False
        arrays = [{name: x.numpy() for name, x in values.items()} for values in (sequences, masks)]
        assert_same(layer(sequences, masks), oracle(*arrays, state(layer), 2, 2, **steps))


# ---- laws


@pytest.mark.parametrize("seed", range(3))
def test_modalities_are_permuted_with_their_parameters(seed):
    layer, permuted = attention(), attention(("vision", "text", "audio"))
    permuted.load_state_dict(layer.state_dict())
    given_values = sequences_and_masks(seed)
    ours, theirs = layer(*given_values), permuted(*given_values)
    assert list(theirs) == ["vision", "text", "audio"]
    for name in NAMES:
        torch.testing.assert_close(ours[name], theirs[name])


@pytest.mark.parametrize("seed", range(3))
def test_a_missing_modality_is_as_if_it_had_never_been(seed):
    layer, (sequences, masks) = attention(), sequences_and_masks(seed, share=1.0)
    masks["vision"][:] = False
    two = attention(("text", "audio"))
    two.load_state_dict({name: w for name, w in layer.state_dict().items() if "vision" not in name})
    expected = two({name: sequences[name] for name in ("text", "audio")})
    results = layer(sequences, masks)
    for name in ("text", "audio"):
        torch.testing.assert_close(results[name], expected[name])
    assert (results["vision"] == 0).all()


def test_a_modality_alone_gets_no_fine_step():
    sequences, masks = sequences_and_masks(0, share=1.0)
    for name in ("audio", "vision"):
        masks[name][:] = False
    with_fine, without = attention(num_layers=1), attention(num_layers=1, fine=False)
    without.load_state_dict({name: w for name, w in with_fine.state_dict().items() if "fine" not in name})
    torch.testing.assert_close(with_fine(sequences, masks)["text"], without(sequences, masks)["text"])


def test_sources_of_the_second_layer():
    sequences, masks = sequences_and_masks(0, share=1.0)
    first = attention(num_layers=1)
    kept, updated = attention(), attention(update_sources=True)
    updated.load_state_dict(kept.state_dict())
    first.load_state_dict({name: w for name, w in kept.state_dict().items() if name.startswith("layers.0.")})
    after, second = first(sequences, masks), kept.layers[1]
    for layer, sources in ((kept, sequences), (updated, after)):
        mixed = second["text"].mixed(torch.cat(list(sources.values()), 1), after["text"])
        coarse = second["text"].coarse(torch.cat([sources["audio"], sources["vision"]], 1), mixed)
        fine = sum(second["text"].fine[other](sources[other], coarse) for other in ("audio", "vision"))
        torch.testing.assert_close(layer(sequences, masks)["text"], fine)


def test_every_target_role_and_layer_has_a_unit_of_its_own():
    layer = HierarchicalCrossModalAttention(NAMES, 8, num_layers=2)
    units = [module for module in layer.modules() if hasattr(module, "norm_source")]
    assert len(units) == len({id(unit) for unit in units}) == 2 * 12
    for steps, number in (({"mixed": False}, 9), ({"coarse": False}, 9), ({"fine": False}, 6)):
        layer = HierarchicalCrossModalAttention(NAMES, 8, num_layers=1, **steps)
        assert sum(hasattr(module, "norm_source") for module in layer.modules()) == number
    settings = {"num_heads": 4, "scale": "model", "bias": True, "output_projection": True, "dropout": 0.3}
    unit = HierarchicalCrossModalAttention(NAMES, 8, **settings).layers[1]["text"].fine["audio"]
    assert (unit.num_heads, unit.scale, unit.dropout.p) == (4, "model", 0.3)
    assert unit.output.bias is not None


# ---- gradients


@pytest.mark.parametrize("masked", [False, True])
def test_derivatives(masked):
    layer = attention(num_layers=1)
    sequences, masks = sequences_and_masks(0)
    masks["audio"][0] = False
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def reinforce(*tensors):
        given_sequences = dict(zip(NAMES, tensors[:3], strict=True))
        weights = dict(zip(names, tensors[3:], strict=True))
        return tuple(torch.func.functional_call(layer, weights, (given_sequences, masks if masked else None)).values())

    leaves = [x.requires_grad_() for x in sequences.values()]
    torch.autograd.gradcheck(reinforce, (*leaves, *parameters), fast_mode=True)


# ---- edges


def test_nothing_at_all_gives_zero():
    sequences, masks = sequences_and_masks(0, share=0.0)
    leaves = {name: (x * math.nan).requires_grad_() for name, x in sequences.items()}
    results = attention(bias=True, output_projection=True)(leaves, masks)
    assert all((x == 0).all() for x in results.values())
    sum(x.sum() for x in results.values()).backward()
    assert all((x.grad == 0).all() for x in leaves.values())
    empty = {name: x[:, :0] for name, x in sequences.items()}
    assert all(x.shape == (2, 0, 4) for x in attention()(empty).values())


# ---- bad input


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (ModalityError, ("at least 2",), (["a"], 4), {}),
        (SettingError, ("features", "0"), (["a", "b"], 0), {}),
        (SettingError, ("num_layers", "0"), (["a", "b"], 8), {"num_layers": 0}),
        (SettingError, ("update_sources", "True or False", "1"), (["a", "b"], 8), {"update_sources": 1}),
        (SettingError, ("mixed", "True or False", "'no'"), (["a", "b"], 8), {"mixed": "no"}),
        (SettingError, ("mixed, coarse and fine",), (["a", "b"], 8), {"mixed": False, "coarse": False, "fine": False}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(exception, words, arguments, settings):
    with expect.error(exception, *words):
        HierarchicalCrossModalAttention(*arguments, **settings)


X = torch.zeros(2, 3, 4, dtype=torch.float64)


@pytest.mark.parametrize(
    ("exception", "words", "changes", "masks"),
    [
        (DtypeError, ("sequences['audio']", "int64"), {"audio": X.long()}, None),
        (ShapeError, ("sequences['audio']", "4 features", "got 3"), {"audio": X[..., :3]}, None),
        (ShapeError, ("batch size", "2", "1", "sequences['audio']"), {"audio": X[:1]}, None),
        (ModalityError, ("sequences names the modality 'radio'",), {"radio": X}, None),
        (ShapeError, ("masks['audio']", "[2, 3]", "[2]"), {}, {"audio": torch.ones(2).bool()}),
        (ModalityError, ("masks names the modality 'radio'",), {}, {"radio": torch.ones(2, 3).bool()}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, changes, masks):
    with expect.error(exception, "HierarchicalCrossModalAttention: ", *words):
        attention()({**dict.fromkeys(NAMES, X), **changes}, masks)
