import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.nn import DoubleDiscriminator
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import state
from tests.oracles.mea import double_discriminator as oracle

NAMES = ("text", "audio", "vision")
LOSSES = ("agnostic", "exclusive", "importance")
VARIANTS = [
    {},
    {"weight_on": "input"},
    {"omega_grad": True},
    {"omega_grad": True, "weight_on": "input"},
    {"importance_weights": False},
]


def discriminator(names=NAMES, **settings):
    torch.manual_seed(0)
    return DoubleDiscriminator(names, 4, 5, **settings).double().eval()


def codes_and_masks(seed, batch=3, pooled=False):
    """Agnostic and exclusive codes, and their masks."""
    shapes = {name: (batch,) if pooled else (batch, 2 + i) for i, name in enumerate(NAMES)}
    agnostic, exclusive = (
        {name: normal(seed + i + 3 * kind, *shape, 4) for i, (name, shape) in enumerate(shapes.items())}
        for kind in (0, 1)
    )
    masks = {name: coin(seed + i, *shape, heads=0.6) for i, (name, shape) in enumerate(shapes.items())}
    return agnostic, exclusive, masks


def pooled_arrays(codes, masks):
    """Means over real frames, a list of ``[B, D]``, and which of them exist, ``[B, M]``."""
    means, here = [], []
    for name, code in codes.items():
        mask = masks[name]
        code, mask = (code, mask) if code.ndim == 3 else (code.unsqueeze(1), mask.unsqueeze(1))
        rows = [code[b, mask[b]].mean(0) if mask[b].any() else torch.zeros(4).double() for b in range(len(code))]
        means.append(torch.stack(rows).detach().numpy() if rows else np.zeros((0, 4)))
        here.append(mask.any(1).numpy())
    return means, np.stack(here, 1)


def settings_of_oracle(settings):
    rest = {key: value for key, value in settings.items() if key != "omega_grad"}
    return rest | {"own_loss": not settings.get("omega_grad", False)}


# ---- closed form


def test_a_discriminator_that_knows_nothing():
    layer = discriminator()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    agnostic, exclusive, _ = codes_and_masks(0)
    output = layer(agnostic, exclusive)
    assert output.exclusive.item() == output.importance.item() == pytest.approx(3 * math.log(3))
    assert output.agnostic.item() == pytest.approx((1 - 1 / 3) * 3 * math.log(3))
    torch.testing.assert_close(output.weights, torch.full((3, 3), 2 / 3, dtype=torch.float64))
    assert output.chance.item() == pytest.approx(1 / 3)


# ---- oracle


@given(seeds, st.sampled_from(VARIANTS), st.booleans(), st.integers(0, 4), st.sampled_from([math.nan, math.inf, 1e3]))
def test_loops(seed, settings, pooled, batch, fill):
    layer, (agnostic, exclusive, masks) = discriminator(**settings), codes_and_masks(seed, batch, pooled)
    dirty = [
        {name: torch.where(masks[name].unsqueeze(-1), code, fill) for name, code in codes.items()}
        for codes in (agnostic, exclusive)
    ]
    everything = {name: torch.ones_like(mask) for name, mask in masks.items()}
    for given_codes, given_masks, real in ((dirty, masks, masks), ((agnostic, exclusive), None, everything)):
        hiding, here = pooled_arrays(agnostic, real)
        showing, _ = pooled_arrays(exclusive, real)
        expected = oracle(hiding, showing, here, state(layer), **settings_of_oracle(settings))
        output = layer(*given_codes, given_masks)._asdict()
        assert list(output) == [
            *LOSSES, "weights", "agnostic_accuracy", "exclusive_accuracy", "chance",
        ]  # fmt: skip
        np.testing.assert_allclose(output.pop("weights").detach().numpy(), expected.pop("weights"), atol=1e-12)
        for name, value in output.items():
            assert value.ndim == 0
            assert value.item() == pytest.approx(expected[name], rel=1e-6, abs=1e-9), name


# ---- laws


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_modalities_are_permuted_with_their_parameters(settings):
    layer, permuted = discriminator(**settings), discriminator(NAMES[::-1], **settings)
    weights = layer.state_dict()
    for name in ("importance.weight", "importance.bias", "discriminator.3.weight", "discriminator.3.bias"):
        if name in weights:
            weights[name] = weights[name].flip(0)
    permuted.load_state_dict(weights)
    given_values = codes_and_masks(1)
    ours, theirs = layer(*given_values), permuted(*given_values)
    torch.testing.assert_close(ours.weights, theirs.weights.flip(1))
    for name in LOSSES:
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))


def test_without_weights_both_losses_are_alike():
    layer, (agnostic, _, masks) = discriminator(importance_weights=False), codes_and_masks(0)
    output = layer(agnostic, agnostic, masks)
    assert layer.importance is None
    torch.testing.assert_close(output.agnostic, output.exclusive)
    torch.testing.assert_close(output.agnostic_accuracy, output.exclusive_accuracy)
    assert output.importance == 0
    here = torch.stack([masks[name].any(1) for name in NAMES], 1)
    assert torch.equal(output.weights, here.double())


def test_weights_are_of_the_agnostic_codes_alone():
    layer, (agnostic, exclusive, masks) = discriminator(), codes_and_masks(0)
    ours, theirs = layer(agnostic, exclusive, masks), layer(agnostic, agnostic, masks)
    torch.testing.assert_close(ours.weights, theirs.weights)
    torch.testing.assert_close(ours.agnostic, theirs.agnostic)


def test_the_head_learns_which_code_shows_its_modality():
    torch.manual_seed(0)
    # Text says who it is, audio and vision cannot be told apart.
    codes = {name: torch.randn(256, 4) * 0.5 + (3 if name == "text" else 0) for name in NAMES}
    layer = DoubleDiscriminator(NAMES, 4, 16, dropout=0.0)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        output = layer(codes, codes)
        (output.agnostic + output.exclusive + output.importance).backward()
        optimizer.step()
    text, audio, vision = layer(codes, codes).weights.mean(0).tolist()
    assert text < 0.1
    assert audio == pytest.approx(0.5, abs=0.1)
    assert vision == pytest.approx(0.5, abs=0.1)
    accuracies = (output.agnostic_accuracy.item(), output.exclusive_accuracy.item())
    assert accuracies == pytest.approx((2 / 3, 2 / 3), abs=0.1)


# ---- gradients


def derivatives_of_oracle(layer, inputs, settings, loss, direction):
    """Central difference of a loss along a direction, which maps names of codes and parameters to arrays."""
    agnostic, exclusive, here, constant = inputs
    values = []
    for step in (1e-5, -1e-5):
        moved = [
            [code + step * direction.get(f"{kind}.{name}", 0.0) for name, code in zip(NAMES, codes, strict=True)]
            for kind, codes in (("agnostic", agnostic), ("exclusive", exclusive))
        ]
        weights = {name: w + step * direction.get(name, 0.0) for name, w in state(layer).items()}
        values.append(oracle(*moved, here, weights, **settings_of_oracle(settings), weights=constant)[loss])
    return (values[0] - values[1]) / 2e-5


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
@pytest.mark.parametrize("strength", [1.0, 0.25])
def test_every_gradient_against_the_loops(settings, strength):
    layer, (agnostic, exclusive, masks) = discriminator(strength=strength, **settings), codes_and_masks(2, pooled=True)
    (hiding, here), (showing, _) = pooled_arrays(agnostic, masks), pooled_arrays(exclusive, masks)
    literal = settings.get("omega_grad", False)
    found = oracle(hiding, showing, here, state(layer), **settings_of_oracle(settings))
    # Unless the reading is the literal one, the weights are constants.
    inputs = (hiding, showing, here, None if literal else found["weights"])
    leaves = {f"agnostic.{name}": code.requires_grad_() for name, code in agnostic.items()}
    leaves |= {f"exclusive.{name}": code.requires_grad_() for name, code in exclusive.items()}
    leaves |= dict(layer.named_parameters())
    output = layer(agnostic, exclusive, masks)
    for loss in LOSSES:
        value = getattr(output, loss)
        if not value.requires_grad:
            assert loss == "importance"
            assert literal or not settings.get("importance_weights", True)
            continue
        gradients = torch.autograd.grad(value, list(leaves.values()), retain_graph=True, allow_unused=True)
        for number, (name, gradient) in enumerate(zip(leaves, gradients, strict=True)):
            along = normal(number, *leaves[name].shape)
            expected = derivatives_of_oracle(layer, inputs, settings, loss, {name: along.numpy()})
            if name.startswith("agnostic."):
                # The importance head's own loss sees detached codes; the adversary's gradient is reversed.
                expected *= 0.0 if loss == "importance" else -strength
            actual = 0.0 if gradient is None else (gradient * along).sum().item()
            assert actual == pytest.approx(expected, rel=1e-5, abs=1e-8), (loss, name)


def reached(value, layer, codes):
    """Names of what a loss has a gradient for."""
    leaves = dict(layer.named_parameters()) | {f"{kind}.{name}": x for kind in codes for name, x in codes[kind].items()}
    gradients = torch.autograd.grad(value, list(leaves.values()), retain_graph=True, allow_unused=True)
    return {name.split(".")[0] for name, g in zip(leaves, gradients, strict=True) if g is not None and g.any()}


@pytest.mark.parametrize("weight_on", ["loss", "input"])
def test_who_learns_from_what(weight_on):
    agnostic, exclusive, _ = codes_and_masks(0)
    codes = {"agnostic": agnostic, "exclusive": exclusive}
    for values in codes.values():
        for code in values.values():
            code.requires_grad_()
    layer = discriminator(weight_on=weight_on)
    output = layer(agnostic, exclusive)
    assert reached(output.agnostic, layer, codes) == {"agnostic", "discriminator"}
    assert reached(output.exclusive, layer, codes) == {"exclusive", "discriminator"}
    assert reached(output.importance, layer, codes) == {"importance"}
    assert not output.weights.requires_grad
    layer = discriminator(weight_on=weight_on, omega_grad=True)
    output = layer(agnostic, exclusive)
    assert reached(output.agnostic, layer, codes) == {"agnostic", "discriminator", "importance"}
    assert reached(output.exclusive, layer, codes) == {"exclusive", "discriminator"}
    assert output.importance == 0
    layer = discriminator(weight_on=weight_on, strength=0.0, omega_grad=True)
    assert reached(layer(agnostic, exclusive).agnostic, layer, codes) == {"discriminator", "importance"}


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_padded_and_missing_codes_get_no_gradient(settings):
    layer, (agnostic, exclusive, masks) = discriminator(**settings), codes_and_masks(3)
    masks["audio"][1] = False
    dirty = [
        {name: torch.where(masks[name].unsqueeze(-1), x, math.inf).requires_grad_() for name, x in codes.items()}
        for codes in (agnostic, exclusive)
    ]
    output = layer(*dirty, masks)
    (output.agnostic + output.exclusive + output.importance).backward()
    for codes in dirty:
        for name, code in codes.items():
            assert torch.isfinite(code.grad).all()
            assert (code.grad[~masks[name]] == 0).all()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


# ---- edges


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
@pytest.mark.parametrize("shape", [(0, 2, 4), (3, 0, 4), (0, 4)])
def test_nothing_to_tell(settings, shape):
    layer = discriminator(**settings)
    agnostic, exclusive = (
        {name: torch.zeros(shape, dtype=torch.float64, requires_grad=True) for name in NAMES} for _ in range(2)
    )
    output = layer(agnostic, exclusive)
    (output.agnostic + output.exclusive + output.importance).backward()
    assert all(getattr(output, name) == 0 for name in output._fields if name != "weights")
    assert output.weights.shape == (shape[0], 3)
    assert (output.weights == 0).all()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


def test_samples_without_any_modality_are_left_out_of_the_mean():
    layer, (agnostic, exclusive, _) = discriminator(), codes_and_masks(0, pooled=True)
    masks = {name: torch.tensor([True, False, True]) for name in NAMES}
    output = layer(agnostic, exclusive, masks)
    rest = layer(*({name: code[[0, 2]] for name, code in codes.items()} for codes in (agnostic, exclusive)))
    for name in (*LOSSES, "agnostic_accuracy", "exclusive_accuracy", "chance"):
        torch.testing.assert_close(getattr(output, name), getattr(rest, name))


def test_half_precision_codes_give_float32_losses():
    layer = DoubleDiscriminator(NAMES, 4).eval()
    codes = {name: torch.randn(3, 4) for name in NAMES}
    with torch.autocast("cpu", torch.float16):
        output = layer(codes, codes)
    for name in (*LOSSES, "weights"):
        assert getattr(output, name).dtype == torch.float32
        torch.testing.assert_close(getattr(output, name), getattr(layer(codes, codes), name), rtol=5e-2, atol=5e-2)


def test_dropout_in_training_only():
    layer, (agnostic, exclusive, _) = discriminator(dropout=0.5), codes_and_masks(0)
    torch.testing.assert_close(layer(agnostic, exclusive).exclusive, layer(agnostic, exclusive).exclusive)
    layer.train()
    assert not torch.allclose(layer(agnostic, exclusive).exclusive, layer(agnostic, exclusive).exclusive)


def test_reversal_strength_is_a_buffer():
    layer = discriminator(strength=0.5)
    assert layer.state_dict()["reversal.strength"] == 0.5
    assert DoubleDiscriminator(NAMES, 6).discriminator[0].out_features == 6


# ---- bad input


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (ModalityError, ("at least 2",), (["a"], 4), {}),
        (SettingError, ("in_features", "0"), (["a", "b"], 0), {}),
        (SettingError, ("hidden_features", "0"), (["a", "b"], 4, 0), {}),
        (SettingError, ("importance_weights", "True or False", "1"), (["a", "b"], 4), {"importance_weights": 1}),
        (SettingError, ("weight_on", "'loss', 'input'", "'code'"), (["a", "b"], 4), {"weight_on": "code"}),
        (SettingError, ("omega_grad", "True or False", "'no'"), (["a", "b"], 4), {"omega_grad": "no"}),
        (SettingError, ("dropout", "2"), (["a", "b"], 4), {"dropout": 2}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(exception, words, arguments, settings):
    with expect.error(exception, "DoubleDiscriminator: ", *words):
        DoubleDiscriminator(*arguments, **settings)


X = torch.zeros(2, 3, 4, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["agnostic", "exclusive"])
@pytest.mark.parametrize(
    ("exception", "words", "changes"),
    [
        (DtypeError, ("['audio']", "int64"), {"audio": X.long()}),
        (DtypeError, ("['audio']", "list"), {"audio": [1.0]}),
        (ShapeError, ("['audio']", "4 features", "got 3"), {"audio": X[..., :3]}),
        (ShapeError, ("['audio']", "[4]"), {"audio": X[0, 0]}),
        (ShapeError, ("batch size", "2 and 1", "['audio']"), {"audio": X[:1]}),
        (ModalityError, (" names the modality 'radio'",), {"radio": X}),
    ],
)
@pytest.mark.bad_input
def test_bad_codes(kind, exception, words, changes):
    codes = {"agnostic": dict.fromkeys(NAMES, X), "exclusive": dict.fromkeys(NAMES, X)}
    codes[kind] = {**codes[kind], **changes}
    with expect.error(exception, "DoubleDiscriminator: ", kind, *words):
        discriminator()(**codes)


@pytest.mark.bad_input
def test_bad_masks():
    codes = dict.fromkeys(NAMES, X)
    with expect.error(ShapeError, "DoubleDiscriminator: ", "masks['audio']", "[2, 3]", "[2]"):
        discriminator()(codes, codes, {"audio": torch.ones(2).bool()})
    with expect.error(DtypeError, "DoubleDiscriminator: ", "masks['audio']", "float32"):
        discriminator()(codes, codes, {"audio": torch.ones(2, 3)})
    with expect.error(ModalityError, "DoubleDiscriminator: ", "masks names the modality 'radio'"):
        discriminator()(codes, codes, {"radio": torch.ones(2, 3).bool()})
    with expect.error(ShapeError, "DoubleDiscriminator: ", "agnostic and exclusive", "batch size", "2 and 1"):
        discriminator()(codes, {name: x[:1] for name, x in codes.items()})
