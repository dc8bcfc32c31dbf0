import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.nn import ModalityWeighting
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds
from tests.oracles.layers import state
from tests.oracles.mea import modality_weighting as oracle

NAMES = ("text", "audio", "vision")
FRAMES = {"text": 2, "audio": 3, "vision": 4}
FORMS = ("pooled", "flatten")


def weighting(form="pooled", names=NAMES):
    torch.manual_seed(0)
    frames = {name: FRAMES[name] for name in names} if form == "flatten" else None
    return ModalityWeighting(names, 5, form=form, num_frames=frames).double()


def sequences_and_masks(seed, batch=3, share=0.6):
    sequences = {name: normal(seed + i, batch, FRAMES[name], 5) for i, name in enumerate(NAMES)}
    masks = {name: coin(seed + i, batch, FRAMES[name], heads=share) for i, name in enumerate(NAMES)}
    return sequences, masks


# ---- closed form


def test_equal_scores_give_equal_shares():
    layer = weighting()
    with torch.no_grad():
        for name in NAMES:
            layer.scores[name].weight.zero_()
    sequences, _ = sequences_and_masks(0)
    output = layer(sequences)
    assert (output.weights == 1 / 3).all()
    for name in NAMES:
        torch.testing.assert_close(output.sequences[name], sequences[name] / 3)
    masks = {"audio": torch.zeros(3, 3, dtype=torch.bool)}
    assert layer(sequences, masks).weights.tolist() == [[0.5, 0.0, 0.5]] * 3


# ---- oracle


@given(
    seeds,
    st.sampled_from(FORMS),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.6, 1.0]),
    st.sampled_from([math.nan, math.inf, 1e3]),
)
def test_loops(seed, form, batch, share, fill):
    layer, (sequences, masks) = weighting(form), sequences_and_masks(seed, batch, share)
    dirty = {name: torch.where(masks[name].unsqueeze(-1), x, fill) for name, x in sequences.items()}
    everything = {name: torch.ones_like(mask) for name, mask in masks.items()}
    for given_sequences, given_masks, real in ((dirty, masks, masks), (sequences, None, everything)):
        expected = oracle(
            {name: x.numpy() for name, x in sequences.items()},
            {name: mask.numpy() for name, mask in real.items()},
            state(layer),
            form,
        )
        output = layer(given_sequences, given_masks)
        np.testing.assert_allclose(output.weights.detach().numpy(), expected[1], atol=1e-12)
        for number, name in enumerate(NAMES):
            np.testing.assert_allclose(output.sequences[name].detach().numpy(), expected[0][number], atol=1e-12)


# ---- laws


@given(seeds, st.sampled_from(FORMS))
def test_shares_of_what_exists_add_up_to_one(seed, form):
    sequences, masks = sequences_and_masks(seed, share=0.4)
    here = torch.stack([masks[name].any(1) for name in NAMES], 1)
    weights = weighting(form)(sequences, masks).weights
    torch.testing.assert_close(weights.sum(1), here.any(1).double())
    assert ((weights > 0) == here).all()


@given(seeds)
def test_a_missing_modality_is_as_if_it_had_never_been(seed):
    layer, (sequences, masks) = weighting(), sequences_and_masks(seed)
    masks["audio"][:] = False
    two = weighting(names=("text", "vision"))
    two.load_state_dict({name: w for name, w in layer.state_dict().items() if "audio" not in name})
    rest = [{name: values[name] for name in ("text", "vision")} for values in (sequences, masks)]
    expected, output = two(*rest), layer(sequences, masks)
    torch.testing.assert_close(output.weights[:, ::2], expected.weights)
    for name in ("text", "vision"):
        torch.testing.assert_close(output.sequences[name], expected.sequences[name])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fill", [1e3, math.nan, -math.inf])
def test_what_stands_at_padding_is_not_seen(form, fill):
    layer, (sequences, masks) = weighting(form), sequences_and_masks(0)
    clean, dirty = (
        {name: torch.where(masks[name].unsqueeze(-1), x, number).requires_grad_() for name, x in sequences.items()}
        for number in (0.0, fill)
    )
    ours, theirs = layer(dirty, masks), layer(clean, masks)
    torch.testing.assert_close(ours.weights, theirs.weights)
    for name in NAMES:
        torch.testing.assert_close(ours.sequences[name], theirs.sequences[name])
        assert (ours.sequences[name][~masks[name]] == 0).all()
    (ours.weights.square().sum() + sum(x.sum() for x in ours.sequences.values())).backward()
    assert all((dirty[name].grad[~masks[name]] == 0).all() for name in NAMES)


@pytest.mark.parametrize("form", FORMS)
def test_modalities_are_permuted_with_their_parameters(form):
    layer, permuted = weighting(form), weighting(form, names=NAMES[::-1])
    permuted.load_state_dict(layer.state_dict())
    given_values = sequences_and_masks(0)
    ours, theirs = layer(*given_values), permuted(*given_values)
    torch.testing.assert_close(ours.weights, theirs.weights.flip(1))
    for name in NAMES:
        torch.testing.assert_close(ours.sequences[name], theirs.sequences[name])


def test_order_of_frames_is_seen_by_flatten_alone():
    sequences, _ = sequences_and_masks(0)
    turned = {name: x.flip(1) for name, x in sequences.items()}
    pooled, flat = (weighting(form) for form in FORMS)
    torch.testing.assert_close(pooled(turned).weights, pooled(sequences).weights)
    assert not torch.allclose(flat(turned).weights, flat(sequences).weights, atol=1e-4)


# ---- gradients


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("masked", [False, True])
def test_derivatives(form, masked):
    layer, (sequences, masks) = weighting(form), sequences_and_masks(0, batch=2)
    masks["text"][0] = False
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def weigh(*tensors):
        given_sequences = dict(zip(NAMES, tensors[:3], strict=True))
        weights = dict(zip(names, tensors[3:], strict=True))
        output = torch.func.functional_call(layer, weights, (given_sequences, masks if masked else None))
        return (*output.sequences.values(), output.weights)

    leaves = [x.requires_grad_() for x in sequences.values()]
    torch.autograd.gradcheck(weigh, (*leaves, *parameters), fast_mode=True)


# ---- edges


def test_samples_without_any_modality_give_zero():
    sequences, masks = sequences_and_masks(0, share=0.0)
    leaves = {name: (x * math.nan).requires_grad_() for name, x in sequences.items()}
    output = weighting()(leaves, masks)
    assert (output.weights == 0).all()
    assert all((x == 0).all() for x in output.sequences.values())
    sum(x.sum() for x in output.sequences.values()).backward()
    assert all((x.grad == 0).all() for x in leaves.values())


def test_one_modality_passes_unchanged():
    x = normal(0, 2, 3, 5)
    output = weighting(names=("audio",))({"audio": x})
    torch.testing.assert_close(output.sequences["audio"], x)


def test_parameters_of_the_printed_form():
    layer = ModalityWeighting(["text"], 4, form="flatten", num_frames={"text": 7})
    assert layer.maps["text"].weight.shape == (28, 28)
    assert layer.scores["text"].weight.shape == (1, 28)
    assert layer.scores["text"].bias is None


# ---- bad input


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (ModalityError, ("at least 1",), ([], 4), {}),
        (DtypeError, ("'text'",), ("text", 4), {}),
        (SettingError, ("features", "0"), (["a"], 0), {}),
        (SettingError, ("form", "'pooled', 'flatten'", "'mean'"), (["a"], 4), {"form": "mean"}),
        (SettingError, ("num_frames", "form='flatten'", "None"), (["a"], 4), {"form": "flatten"}),
        (SettingError, ("num_frames", "form='flatten'", "form='pooled'"), (["a"], 4), {"num_frames": {"a": 2}}),
        (SettingError, ("num_frames['a']", "0"), (["a"], 4), {"form": "flatten", "num_frames": {"a": 0}}),
        (ModalityError, ("num_frames", "'b'"), (["a", "b"], 4), {"form": "flatten", "num_frames": {"a": 2}}),
        (ModalityError, ("num_frames", "'c'"), (["a"], 4), {"form": "flatten", "num_frames": {"a": 2, "c": 2}}),
        (SettingError, ("num_frames", "mapping", "2"), (["a"], 4), {"form": "flatten", "num_frames": 2}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(exception, words, arguments, settings):
    with expect.error(exception, "ModalityWeighting: ", *words):
        ModalityWeighting(*arguments, **settings)


X = torch.zeros(2, 3, 5, dtype=torch.float64)


@pytest.mark.parametrize(
    ("exception", "words", "changes", "masks"),
    [
        (DtypeError, ("sequences['audio']", "int64"), {"audio": X.long()}, None),
        (ShapeError, ("sequences['audio']", "5 features", "got 3"), {"audio": X[..., :3]}, None),
        (ShapeError, ("sequences['audio']", "[2, 5]"), {"audio": X[:, 0]}, None),
        (ShapeError, ("batch size", "2", "1", "sequences['audio']"), {"audio": X[:1]}, None),
        (ModalityError, ("sequences names the modality 'radio'",), {"radio": X}, None),
        (ShapeError, ("masks['audio']", "[2, 3]", "[2]"), {}, {"audio": torch.ones(2).bool()}),
        (DtypeError, ("masks['audio']", "float32"), {}, {"audio": torch.ones(2, 3)}),
        (ModalityError, ("masks names the modality 'radio'",), {}, {"radio": torch.ones(2, 3).bool()}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, changes, masks):
    with expect.error(exception, "ModalityWeighting: ", *words):
        weighting()({**dict.fromkeys(NAMES, X), **changes}, masks)


@pytest.mark.bad_input
def test_flatten_wants_its_own_lengths():
    with expect.error(ShapeError, "ModalityWeighting: sequences['text']", "2 frames", "got 3", "form='pooled'"):
        weighting("flatten")(dict.fromkeys(NAMES, X))
    with expect.error(ModalityError, "ModalityWeighting: sequences lacks 'vision'"):
        weighting()({"text": X, "audio": X})
