"""MISA against what its paper says, with the released LSTM arithmetic and the packing of MMSA."""

from itertools import combinations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmdisentangle import functional
from mmdisentangle.errors import SettingError
from mmdisentangle.models import MISA
from tests.oracles import expect
from tests.oracles.draws import coin, normal

WIDTHS = {"text": 4, "audio": 2, "vision": 3}
SMALL = {"hidden_features": 6, "encoder_blocks": 1, "encoder_kernel_size": 3, "feedforward_features": 8}
TERMS = ("task", "difference", "similarity", "reconstruction")


def build(**settings):
    torch.manual_seed(0)
    return MISA(WIDTHS, **{**SMALL, **settings}).double().eval()


def batch(size=5, lengths=(6, 9, 4)):
    return {
        name: normal(i, size, length, width)
        for i, ((name, width), length) in enumerate(zip(WIDTHS.items(), lengths, strict=True))
    }


def masks_of(inputs):
    return {name: coin(i, *x.shape[:2], heads=0.7) for i, (name, x) in enumerate(inputs.items())}


def released_vector(encoder, x, lengths):
    """Two packed bidirectional LSTMs of torch, and their final states in the released order."""
    finals = []
    for part, norm in ((encoder.first, encoder.norm), (encoder.second, None)):
        width = part.forwards.hidden_size
        lstm = nn.LSTM(x.shape[-1], width, bidirectional=True, batch_first=True).double()
        weights = dict(part.forwards.state_dict())
        weights |= {f"{name}_reverse": w for name, w in part.backwards.state_dict().items()}
        lstm.load_state_dict(weights)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        frames, (final, _) = lstm(packed)
        finals.append(final)
        if norm is not None:
            x = norm(pad_packed_sequence(frames, batch_first=True)[0])
    return torch.cat(finals, 2).permute(1, 0, 2).reshape(len(lengths), -1)


@pytest.mark.parametrize("packing", ["own_lengths", "text_lengths"])
def test_vectors_are_those_of_packed_sequences(packing):
    model = build(temporal_encoder="lstm", averaged_modalities=("text",), packing=packing)
    inputs, lengths = batch(), {"text": [6, 3, 1, 4, 2], "audio": [9, 5, 8, 1, 9], "vision": [4, 4, 2, 4, 3]}
    masks = {name: functional.lengths_to_mask(torch.tensor(lengths[name]), x.shape[1]) for name, x in inputs.items()}
    zeroed = {name: x * masks[name].unsqueeze(-1) for name, x in inputs.items()}
    output = model(inputs, masks)
    for name, x in zeroed.items():
        if name == "text":
            vector = x.sum(1) / torch.tensor(lengths["text"]).unsqueeze(1)
        else:
            read = lengths[name if packing == "own_lengths" else "text"]
            # MMSA's program stops here with an error where the text is longer than the array.
            vector = released_vector(model.encoders[name], x, [min(n, x.shape[1]) for n in read])
        expected = model.codes.projections[name](vector)
        torch.testing.assert_close(output.projected[name], expected)
        torch.testing.assert_close(output.private[name], model.codes.private[name](expected).sigmoid())
        torch.testing.assert_close(output.shared[name], model.codes.shared(expected).sigmoid())


def test_packing_by_the_text_needs_a_text_and_loses_what_comes_later():
    model, inputs = build(packing="text_lengths"), batch()
    expected = model(inputs).prediction
    later = {**inputs, "audio": inputs["audio"].index_fill(1, torch.tensor([7, 8]), 5.0)}
    torch.testing.assert_close(model(later).prediction, expected)
    assert not torch.allclose(build()(later).prediction, build()(inputs).prediction)


@pytest.mark.bad_input
def test_bad_settings():
    with expect.error(SettingError, "MISA: packing='text_lengths'", "'text'", "['a', 'b']"):
        MISA({"a": 3, "b": 2}, packing="text_lengths")
    with expect.error(SettingError, "MISA: averaged_modalities must be a tuple", "'text'"):
        MISA(WIDTHS, averaged_modalities="text")
    with expect.error(SettingError, "MISA: similarity", "'mmd'"):
        MISA(WIDTHS, similarity="coral")


def test_fusion_is_that_of_torch():
    model, inputs = build(), batch()
    output = model(inputs)
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True).double().eval()
    block = model.fusion
    layer.load_state_dict(
        {
            "self_attn.in_proj_weight": block.attention_input.weight,
            "self_attn.in_proj_bias": block.attention_input.bias,
            "self_attn.out_proj.weight": block.attention_output.weight,
            "self_attn.out_proj.bias": block.attention_output.bias,
            "linear1.weight": block.feedforward[0].weight,
            "linear1.bias": block.feedforward[0].bias,
            "linear2.weight": block.feedforward[3].weight,
            "linear2.bias": block.feedforward[3].bias,
            "norm1.weight": block.norm_attention.weight,
            "norm1.bias": block.norm_attention.bias,
            "norm2.weight": block.norm_feedforward.weight,
            "norm2.bias": block.norm_feedforward.bias,
        }
    )
    names = ("text", "audio", "vision")
    tokens = torch.stack([output.private[n] for n in names] + [output.shared[n] for n in names], 1)
    fused = layer(tokens).flatten(1)
    torch.testing.assert_close(output.fused, fused)
    first, _, _, last = model.head
    torch.testing.assert_close(output.prediction, last(first(fused).relu()))


@pytest.mark.parametrize("masked", [False, True])
def test_terms(masked):
    model, inputs, target = build(), batch(), normal(99, 5, 1)
    masks = masks_of(inputs) if masked else None
    if masked:
        masks["audio"][0] = False
    output = model(inputs, masks)
    objective = model.objective(output, target)
    here = {name: torch.ones(5, dtype=torch.bool) if masks is None else masks[name].any(1) for name in WIDTHS}
    pairs = [(output.private[n], output.shared[n], here[n]) for n in WIDTHS]
    pairs += [(output.private[a], output.private[b], here[a] & here[b]) for a, b in combinations(WIDTHS, 2)]
    difference = 0.0
    for one, other, both in pairs:
        one, other = (x[both] - x[both].mean(0) for x in (one, other))
        one, other = (x / x.norm(dim=1, keepdim=True) for x in (one, other))
        difference += (one.T @ other).square().mean()
    similarity = sum(
        functional.central_moment_discrepancy(output.shared[a][here[a]], output.shared[b][here[b]])
        for a, b in combinations(WIDTHS, 2)
    )
    reconstruction = sum(
        (model.reconstructors[n](output.private[n] + output.shared[n]) - output.projected[n])[here[n]].square().mean()
        for n in WIDTHS
    )
    torch.testing.assert_close(objective.task, (output.prediction - target).square().mean())
    torch.testing.assert_close(objective.difference, difference)
    torch.testing.assert_close(objective.similarity, similarity / 3)
    torch.testing.assert_close(objective.reconstruction, reconstruction / 3)
    torch.testing.assert_close(
        objective.total, objective.task + 0.3 * objective.difference + objective.similarity + objective.reconstruction
    )


@pytest.mark.parametrize("weights", [(0.0, 0.0, 0.0), (2.0, 3.0, 5.0)])
def test_weights_act_on_the_total_alone(weights):
    names = ("difference", "similarity", "reconstruction")
    model = build(**{f"{name}_weight": weight for name, weight in zip(names, weights, strict=True)})
    objective, plain = (m.objective(m(batch()), normal(99, 5, 1)) for m in (model, build()))
    for term in TERMS:
        torch.testing.assert_close(getattr(objective, term), getattr(plain, term))
    expected = objective.task + sum(
        weight * getattr(objective, name) for name, weight in zip(names, weights, strict=True)
    )
    torch.testing.assert_close(objective.total, expected)


def test_adversarial_similarity():
    model, inputs = build(similarity="adversarial"), batch()
    output = model(inputs)
    objective = model.objective(output, normal(99, 5, 1))
    told = model.discriminator(output.shared, reverse=False)
    torch.testing.assert_close(objective.similarity, told.loss)
    weight = model.codes.shared.weight
    (reversed_gradient,) = torch.autograd.grad(objective.similarity, [weight], retain_graph=True)
    (gradient,) = torch.autograd.grad(told.loss, [weight], retain_graph=True)
    torch.testing.assert_close(reversed_gradient, -gradient)


def test_similarity_by_mmd():
    model, inputs = build(similarity="mmd"), batch()
    output = model(inputs)
    codes = list(output.shared.values())
    pairs = [functional.maximum_mean_discrepancy(codes[i], codes[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    torch.testing.assert_close(model.objective(output, normal(99, 5, 1)).similarity, sum(pairs) / 3)


@pytest.mark.parametrize("reach", [False, True])
@pytest.mark.parametrize("similarity", ["cmd", "mmd", "adversarial"])
def test_reach_of_the_terms(similarity, reach):
    model, released = (build(similarity=similarity, terms_reach_encoders=flag) for flag in (reach, True))
    inputs, target = batch(), normal(99, 5, 1)
    masks = masks_of(inputs)
    masks["audio"][0] = False
    objective, full = (m.objective(m(inputs, masks), target) for m in (model, released))
    torch.testing.assert_close(tuple(objective), tuple(full))
    for term in TERMS:
        gradients, others = (
            torch.autograd.grad(getattr(o, term), [*m.parameters()], retain_graph=True, allow_unused=True)
            for o, m in ((objective, model), (full, released))
        )
        for (name, _), gradient, other in zip(model.named_parameters(), gradients, others, strict=True):
            before_the_split = name.startswith(("encoders.", "codes.projections."))
            if before_the_split and term != "task" and not reach:
                assert gradient is None or not gradient.any()
                assert other.any()
            else:
                torch.testing.assert_close(gradient, other)


def test_terms_do_not_take_away_what_tells_samples_apart():
    """16 samples of noise: codes collapse where the terms reach the encoders, and one batch is learned where not."""
    spread = {}
    for reach in (False, True):
        torch.manual_seed(0)
        model = MISA(WIDTHS, 4, task="classification", hidden_features=16, terms_reach_encoders=reach)
        inputs = {name: x.float() for name, x in batch(16, (20, 30, 25)).items()}
        target = torch.arange(16) % 4
        adam = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(60):
            adam.zero_grad()
            model.objective(model(inputs), target).total.backward()
            adam.step()
        output = model.eval()(inputs)
        codes = torch.stack([*output.private.values(), *output.shared.values()])
        spread[reach] = codes.std(1).mean().item()
        if not reach:
            assert (output.prediction.argmax(1) == target).all()
    assert spread[False] > 0.1
    assert spread[True] < 0.1 * spread[False]


def test_pooling():
    inputs = batch()
    masks = masks_of(inputs)
    model, mean = build(averaged_modalities=("text",)), build(pooling="mean")
    output = model(inputs, masks)
    frames = model.encoders["audio"](inputs["audio"], masks["audio"])
    real = [row[mask] for row, mask in zip(frames, masks["audio"], strict=True)]
    both = torch.stack([torch.cat((row.mean(0), row.amax(0))) for row in real])
    torch.testing.assert_close(output.projected["audio"], model.codes.projections["audio"](both))
    text = torch.stack([row[mask].mean(0) for row, mask in zip(inputs["text"], masks["text"], strict=True)])
    torch.testing.assert_close(output.projected["text"], model.codes.projections["text"](text))
    assert (model.codes.widths["audio"], mean.codes.widths["audio"], model.codes.widths["text"]) == (12, 6, 4)


def test_encoders_of_vectors():
    class Last(nn.Module):
        out_features = 2

        def forward(self, x, mask):
            return x[:, -1]

    model, inputs = build(encoders={"audio": Last()}), batch()
    output = model(inputs)
    torch.testing.assert_close(output.projected["audio"], model.codes.projections["audio"](inputs["audio"][:, -1]))


@pytest.mark.parametrize("preset", ["mosi", "mosei", "ur_funny"])
def test_presets(preset):
    model = MISA(WIDTHS, 2, preset=preset)
    s = model.settings
    assert (s.difference_weight, s.similarity_weight, s.reconstruction_weight) == (0.3, 1.0, 1.0)
    assert (s.hidden_features, s.head_dropout, s.num_moments, s.num_heads) == (128, 0.5, 5, 2)
    assert (s.temporal_encoder, s.averaged_modalities, s.terms_reach_encoders) == ("lstm", ("text",), True)
    assert s.task == ("classification" if preset == "ur_funny" else "regression")
    assert isinstance(model.encoders["text"], nn.Identity)
    assert model.encoders["audio"].out_features == 8
    assert MISA(WIDTHS, 2, preset=preset, head_dropout=0.2).settings.head_dropout == 0.2
    assert MISA.from_config(model.config).settings == s
