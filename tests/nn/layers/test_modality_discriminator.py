import math

import numpy as np
import pytest
import torch
from hypothesis import given

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.nn import ModalityDiscriminator
from tests.oracles import expect
from tests.oracles.codes import cosine, cosine_margin_terms
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import state

NAMES = ("text", "audio", "vision")
LOSSES = ("cosine_margin", "cross_entropy")


def discriminator(loss="cosine_margin", **settings):
    torch.manual_seed(0)
    return ModalityDiscriminator(NAMES, 4, 5, loss=loss, **settings).double().eval()


def codes_and_masks(seed, batch=3):
    codes = {name: normal(seed + i, batch, 2 + i, 4) for i, name in enumerate(NAMES)}
    masks = {name: coin(seed + i, *codes[name].shape[:2], heads=0.6) for i, name in enumerate(NAMES)}
    return codes, masks


def slow(layer, codes, masks):
    """Loss, accuracy, chance and logits, one code after the other."""
    w, rows, labels, logits = state(layer), [], [], np.zeros((3, 3, 3))
    for label, name in enumerate(NAMES):
        for b in range(3):
            real = [t for t in range(codes[name].shape[1]) if masks[name][b, t]]
            pooled = sum(codes[name][b, t].numpy() for t in real) / len(real) if real else np.zeros(4)
            hidden = np.maximum(w["hidden.0.weight"] @ pooled + w["hidden.0.bias"], 0)
            prototypes = w["classifier.weight"]
            if layer.loss == "cosine_margin":
                logits[label, b] = [layer.scale * cosine(hidden, prototype) for prototype in prototypes]
            else:
                logits[label, b] = prototypes @ hidden + w["classifier.bias"]
            if real:
                rows.append((hidden, logits[label, b]))
                labels.append(label)
    if layer.loss == "cosine_margin":
        hidden = np.array([h for h, _ in rows])
        terms = cosine_margin_terms(hidden, prototypes, labels, layer.scale, layer.margin) if rows else np.zeros(1)
    else:
        terms = np.array([np.log(np.exp(v).sum()) - v[y] for (_, v), y in zip(rows, labels, strict=True)] or [0.0])
    loss = terms.mean() + layer.prototype_penalty * (prototypes**2).sum()
    hits = [int(v.argmax() == y) for (_, v), y in zip(rows, labels, strict=True)]
    chance = max(labels.count(y) for y in range(3)) / max(len(labels), 1)
    return loss, sum(hits) / max(len(hits), 1), chance, logits


@given(seeds)
@pytest.mark.parametrize("loss", LOSSES)
def test_loops(loss, seed):
    layer = discriminator(loss, scale=7.0, margin=0.3, prototype_penalty=0.1)
    codes, masks = codes_and_masks(seed)
    dirty = {name: torch.where(masks[name].unsqueeze(-1), code, float("nan")) for name, code in codes.items()}
    output, expected = layer(dirty, masks), slow(layer, codes, masks)
    assert output.loss.dtype == torch.float64
    assert output.loss.item() == pytest.approx(expected[0], rel=1e-9)
    assert output.accuracy.item() == pytest.approx(expected[1], rel=1e-6)
    assert output.chance.item() == pytest.approx(expected[2], rel=1e-6)
    np.testing.assert_allclose(output.logits.detach().numpy(), expected[3], atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_pooled_codes_are_as_good_as_sequences(loss):
    layer = discriminator(loss)
    codes, masks = codes_and_masks(3)
    masks["audio"][1] = False
    pooled = {
        name: (code * masks[name].unsqueeze(-1)).sum(1) / masks[name].sum(1, keepdim=True).clamp(min=1)
        for name, code in codes.items()
    }
    here = {name: mask.any(1) for name, mask in masks.items()}
    for ours, theirs in zip(layer(codes, masks), layer(pooled, here), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("loss", LOSSES)
def test_reversal_acts_on_the_codes_alone(loss):
    layer = discriminator(loss, strength=0.25)
    gradients = []
    for reverse in (False, True):
        codes = {name: code.requires_grad_() for name, code in codes_and_masks(1)[0].items()}
        layer.zero_grad()
        layer(codes, reverse=reverse).loss.backward()
        gradients.append(([c.grad for c in codes.values()], [p.grad.clone() for p in layer.parameters()]))
    for plain, reversed_one in zip(gradients[0][0], gradients[1][0], strict=True):
        torch.testing.assert_close(reversed_one, -0.25 * plain)
    for plain, reversed_one in zip(gradients[0][1], gradients[1][1], strict=True):
        torch.testing.assert_close(reversed_one, plain)


def test_reversal_is_the_default():
    codes = {name: code.requires_grad_() for name, code in codes_and_masks(1)[0].items()}
    layer = discriminator()
    default, reversed_ones = (
        torch.autograd.grad(layer(codes, **given).loss, list(codes.values())) for given in ({}, {"reverse": True})
    )
    for one, other in zip(default, reversed_ones, strict=True):
        torch.testing.assert_close(one, other)


def test_it_learns_to_tell_and_an_encoder_learns_to_hide():
    torch.manual_seed(0)
    codes = {name: torch.randn(64, 4) + 2 * torch.eye(4)[i] for i, name in enumerate(NAMES)}
    layer = ModalityDiscriminator(NAMES, 4, 16, dropout=0.0)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        layer(codes, reverse=False).loss.backward()
        optimizer.step()
    output = layer(codes)
    assert output.chance == pytest.approx(1 / 3)
    assert output.accuracy > 0.8


def test_chance_is_the_share_of_the_most_frequent():
    codes = {name: torch.randn(4, 4).double() for name in NAMES}
    masks = {"audio": torch.tensor([True, False, False, False]), "vision": torch.zeros(4, dtype=torch.bool)}
    assert discriminator()(codes, masks).chance == pytest.approx(4 / 5)
    assert discriminator()(codes).chance == pytest.approx(1 / 3)


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_pooling_gives_a_float32_loss(loss):
    layer = ModalityDiscriminator(NAMES, 4, loss=loss).eval()
    codes = {name: torch.randn(3, 2, 4) for name in NAMES}
    with torch.autocast("cpu", torch.float16):
        output = layer(codes)
    assert output.loss.dtype == torch.float32
    torch.testing.assert_close(output.loss, layer(codes).loss, rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", [(0, 2, 4), (3, 0, 4), (0, 4)])
def test_nothing_to_tell(loss, shape):
    layer = discriminator(loss, prototype_penalty=0.0)
    codes = {name: torch.zeros(shape, dtype=torch.float64, requires_grad=True) for name in NAMES}
    output = layer(codes)
    output.loss.backward()
    assert output.loss == output.accuracy == output.chance == 0
    assert output.logits.shape == (3, shape[0], 3)
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


def test_penalty_is_that_of_the_prototypes():
    codes = codes_and_masks(0)[0]
    with_penalty, without = discriminator(), discriminator(prototype_penalty=0.0)
    difference = with_penalty(codes).loss - without(codes).loss
    torch.testing.assert_close(difference, 0.01 * with_penalty.classifier.weight.square().sum())
    assert with_penalty.classifier.bias is None


def test_dropout_in_training_only():
    layer, codes = discriminator(), codes_and_masks(0)[0]
    torch.testing.assert_close(layer(codes).loss, layer(codes).loss)
    layer.train()
    assert not math.isclose(layer(codes).loss.item(), layer(codes).loss.item())


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (ModalityError, ("at least 2",), (["a"], 4), {}),
        (SettingError, ("in_features", "0"), (["a", "b"], 0), {}),
        (SettingError, ("hidden_features", "0"), (["a", "b"], 4, 0), {}),
        (SettingError, ("loss", "'cosine_margin', 'cross_entropy'", "'hinge'"), (["a", "b"], 4), {"loss": "hinge"}),
        (SettingError, ("scale", "0"), (["a", "b"], 4), {"scale": 0}),
        (SettingError, ("margin", "nan"), (["a", "b"], 4), {"margin": math.nan}),
        (SettingError, ("dropout", "2"), (["a", "b"], 4), {"dropout": 2}),
        (SettingError, ("prototype_penalty", "-1"), (["a", "b"], 4), {"prototype_penalty": -1}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(exception, words, arguments, settings):
    with expect.error(exception, "ModalityDiscriminator: ", *words):
        ModalityDiscriminator(*arguments, **settings)


X = torch.zeros(2, 3, 4, dtype=torch.float64)


@pytest.mark.parametrize(
    ("exception", "words", "changes", "masks"),
    [
        (DtypeError, ("codes['audio']", "int64"), {"audio": X.long()}, None),
        (DtypeError, ("codes['audio']", "list"), {"audio": [1.0]}, None),
        (ShapeError, ("codes['audio']", "4 features", "got 3"), {"audio": X[..., :3]}, None),
        (ShapeError, ("codes['audio']", "[4]"), {"audio": X[0, 0]}, None),
        (ShapeError, ("batch size", "2 and 1", "codes['audio']"), {"audio": X[:1]}, None),
        (ModalityError, ("codes names the modality 'radio'",), {"radio": X}, None),
        (ShapeError, ("masks['audio']", "[2, 3]", "[2]"), {}, {"audio": torch.ones(2).bool()}),
        (DtypeError, ("masks['audio']", "float32"), {}, {"audio": torch.ones(2, 3)}),
        (ModalityError, ("masks names the modality 'radio'",), {}, {"radio": torch.ones(2, 3).bool()}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, changes, masks):
    with expect.error(exception, "ModalityDiscriminator: ", *words):
        discriminator()({**dict.fromkeys(NAMES, X), **changes}, masks)
