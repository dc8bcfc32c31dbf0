import math
import warnings
from itertools import combinations

import pytest
import torch
from torch import nn

from mmdisentangle import functional
from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError, UnknownNameError
from mmdisentangle.models import RTIL
from tests.oracles import expect
from tests.oracles.draws import normal

WIDTHS = {"text": 4, "audio": 2, "vision": 3}
PUBLISHED = {"text": 6, "audio": 4, "vision": 3}
TERMS = ("task", "adversarial", "similarity", "reconstruction", "temporal")


def build(widths=WIDTHS, **settings):
    torch.manual_seed(0)
    defaults = {} if settings.get("published") else {"encoder_blocks": 1}
    return RTIL(widths, hidden_features=8, **{**defaults, **settings}).double().eval()


def twin(model, **settings):
    """The same weights under other settings."""
    other = build(model.widths, **settings)
    other.load_state_dict(model.state_dict())
    return other


def batch(widths=WIDTHS, size=5, lengths=(6, 9, 4), seed=0):
    return {
        name: normal(seed + i, size, length, width)
        for i, ((name, width), length) in enumerate(zip(widths.items(), lengths, strict=True))
    }


def equal_lengths(widths=PUBLISHED, size=5, length=6):
    return batch(widths, size, [length] * len(widths))


def target(size=5):
    return normal(99, size, 1)


def terms(model, inputs, masks=None, **options):
    output = model(inputs, masks, **options)
    return output, model.objective(output, target(len(output.prediction)))


def assert_only(changed, one, other):
    """Among the terms exactly ``changed`` differ."""
    differing = {t for t in TERMS if not torch.allclose(getattr(one, t), getattr(other, t), rtol=1e-9, atol=1e-12)}
    assert differing == set(changed)


# ---- the objective, written out


def test_every_term_of_the_corrected_objective():
    model, inputs = build(), batch()
    output, objective = terms(model, inputs)
    assert objective.task.item() == pytest.approx((output.prediction - target()).square().mean().item())
    pooled = {name: code.mean(1) for name, code in output.shared.items()}
    discriminate = model.discriminator
    both = discriminate(pooled).loss + discriminate(output.private).loss
    torch.testing.assert_close(objective.adversarial, both)
    pairs = [functional.central_moment_discrepancy(pooled[a], pooled[b]) for a, b in combinations(WIDTHS, 2)]
    torch.testing.assert_close(objective.similarity, sum(pairs) / 3)
    errors = [
        (model.reconstructors[name](output.private[name] + output.shared[name]) - output.projected[name])
        .square()
        .mean()
        for name in WIDTHS
    ]
    torch.testing.assert_close(objective.reconstruction, sum(errors) / 3)
    steady = [functional.temporal_invariance(torch.cat((output.private[n], output.shared[n]), -1)) for n in WIDTHS]
    torch.testing.assert_close(objective.temporal, sum(steady) / 3)


@pytest.mark.parametrize("weights", [(0.4, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 0.0), (2.0, 3.0, 5.0, 7.0)])
def test_weights_act_on_the_total_alone(weights):
    names = ("adversarial", "similarity", "reconstruction", "temporal")
    model = build(**{f"{name}_weight": weight for name, weight in zip(names, weights, strict=True)})
    reference = terms(build(), batch())[1]
    objective = terms(model, batch())[1]
    assert_only((), objective, reference)
    expected = objective.task + sum(w * getattr(objective, n) for n, w in zip(names, weights, strict=True))
    torch.testing.assert_close(objective.total, expected)


def test_default_weights():
    s = build().settings
    assert (s.adversarial_weight, s.similarity_weight, s.reconstruction_weight, s.temporal_weight) == (0.4, 1, 1, 1)


# ---- the deviations of the released program, each as a switch of its own


def gate_parameters(model):
    return [p for name, p in model.named_parameters() if name.startswith("fusion.gates.")]


def test_deviation_1_the_dead_gate():
    hard, inputs = build(gate="hard"), batch()
    dead = twin(hard, gate="released")
    outputs = [terms(model, inputs) for model in (hard, dead)]
    assert torch.equal(outputs[0][0].prediction, outputs[1][0].prediction)
    assert_only((), outputs[0][1], outputs[1][1])
    for model, (_, objective), learns in zip((hard, dead), outputs, (True, False), strict=True):
        objective.total.backward()
        for parameter in gate_parameters(model):
            assert (parameter.grad is not None and bool(parameter.grad.any())) is learns


def test_deviation_1_what_the_task_tells_shared_codes():
    """With a dead gate the task does not reach the shared map at all."""
    for gate, reaches in (("hard", True), ("soft", True), ("released", False)):
        model = build(gate=gate)
        terms(model, batch())[1].task.backward()
        gradient = model.codes.shared.weight.grad
        assert (gradient is not None and bool(gradient.any())) is reaches


def test_soft_and_open_gates():
    hard, inputs = build(gate="hard"), batch()
    soft = twin(hard, gate="soft")
    opened = [torch.cat([g.flatten() for g in model(inputs).gates.values()]) for model in (hard, soft)]
    assert set(opened[0].tolist()) <= {0.0, 1.0}
    assert ((opened[1] > 0) & (opened[1] < 1)).all()
    assert torch.equal(opened[0], (opened[1] > 0.5).double())
    assert not gate_parameters(build(gate="off"))
    assert all((gate == 1).all() for gate in build(gate="off")(inputs).gates.values())


def test_deviation_2_one_head_for_two_gates():
    shared, own = build(gate="soft", share_gate_head=True), build(gate="soft")
    own.load_state_dict(shared.state_dict(), strict=False)
    first, second = (own.fusion.gates[name].head for name in ("audio", "vision"))
    assert shared.fusion.gates["vision"].head is None
    inputs = batch()
    assert not torch.allclose(own(inputs).gates["vision"], shared(inputs).gates["vision"])
    assert torch.allclose(own(inputs).gates["audio"], shared(inputs).gates["audio"])
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(own(inputs).prediction, shared(inputs).prediction)
    gradients = [
        torch.autograd.grad(m(inputs).prediction.sum(), m.fusion.gates["audio"].head.weight) for m in (own, shared)
    ]
    (third,) = torch.autograd.grad(own(inputs).prediction.sum(), second.weight)
    torch.testing.assert_close(gradients[1][0], gradients[0][0] + third)


@pytest.mark.parametrize("strength", [1.0, 0.25])
def test_deviation_3_reversal_of_private_codes(strength):
    plain = build(reversal_strength=strength)
    reversed_too = twin(plain, reversal_strength=strength, reverse_private=True)
    gradients = []
    for model in (plain, reversed_too):
        _, objective = terms(model, batch())
        objective.adversarial.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert_only((), terms(plain, batch())[1], terms(reversed_too, batch())[1])
    for name, gradient in gradients[0].items():
        if name.startswith("codes.private."):
            torch.testing.assert_close(gradients[1][name], -strength * gradient)
        elif name.startswith(("codes.shared.", "discriminator.")):
            torch.testing.assert_close(gradients[1][name], gradient)
    assert gradients[0]["codes.private.text.weight"].abs().max() > 0
    assert gradients[0]["codes.shared.weight"].abs().max() > 0


def test_shared_codes_are_trained_to_hide_and_private_ones_to_show():
    """A step down the gradient raises the discriminator's loss on shared codes and lowers it on private ones."""
    model, inputs = build(), batch(size=16)
    _, objective = terms(model, inputs)
    objective.adversarial.backward()
    before = [model.discriminator(c).loss.item() for c in (model(inputs).shared, model(inputs).private)]
    with torch.no_grad():
        for linear in (model.codes.shared, *(model.codes.private[name] for name in WIDTHS)):
            linear.weight -= 1e-3 * linear.weight.grad
    after = [model.discriminator(c).loss.item() for c in (model(inputs).shared, model(inputs).private)]
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_deviation_4_the_pooled_reconstruction():
    frame, inputs = build(), batch()
    pooled = twin(frame, reconstruction="pooled")
    (_, per_frame), (output, per_sample) = terms(frame, inputs), terms(pooled, inputs)
    assert_only(("reconstruction",), per_frame, per_sample)
    errors = []
    for name in WIDTHS:
        assert output.reconstruction[name].shape == (5, 8)
        mean = (output.private[name] + output.shared[name]).mean(1)
        errors.append((pooled.reconstructors[name](mean)[:, None] - output.projected[name]).square().mean())
    torch.testing.assert_close(per_sample.reconstruction, sum(errors) / 3)


def test_a_detached_reconstruction_target():
    model = build(detach_reconstruction_target=True)
    attached = twin(model, detach_reconstruction_target=False)
    one, other = terms(model, batch())[1], terms(attached, batch())[1]
    assert_only((), one, other)
    gradients = [
        torch.autograd.grad(o.reconstruction, m.codes.projections["text"][0].weight)[0]
        for o, m in ((one, model), (other, attached))
    ]
    assert not torch.allclose(*gradients)


@pytest.mark.parametrize("aggregation", ["sample", "batch"])
@pytest.mark.parametrize("names", [("vision",), ("audio", "text"), None])
def test_deviation_5_the_temporal_term(aggregation, names):
    plain, inputs = build(), batch()
    changed = twin(plain, temporal_modalities=names, temporal_aggregation=aggregation)
    output, objective = terms(changed, inputs)
    differs = names is not None or aggregation == "batch"
    assert_only(("temporal",) if differs else (), terms(plain, inputs)[1], objective)
    values = [
        functional.temporal_invariance(torch.cat((output.private[n], output.shared[n]), -1), aggregation=aggregation)
        for n in names or WIDTHS
    ]
    torch.testing.assert_close(objective.temporal, sum(values) / len(values))


@pytest.mark.parametrize("setting", [{"temporal_divergence": "total_variation"}, {"temporal_temperature": 0.5}])
def test_other_temporal_settings(setting):
    plain = build()
    assert_only(("temporal",), terms(plain, batch())[1], terms(twin(plain, **setting), batch())[1])


def test_deviation_6_masks_that_are_not_honoured():
    honest, inputs = build(), equal_lengths(WIDTHS)
    deaf = twin(honest, honour_masks=False)
    masks = {name: torch.arange(6) < torch.tensor([[6], [3], [2], [6], [5]]) for name in WIDTHS}
    with pytest.warns(UserWarning, match="masks and present are ignored") as caught:
        masked = deaf(inputs, masks)
    assert caught[0].filename.endswith("module.py") or caught[0].filename == __file__
    assert torch.equal(masked.prediction, honest(inputs).prediction)
    assert not torch.allclose(masked.prediction, honest(inputs, masks).prediction)
    with pytest.warns(UserWarning, match="masks and present are ignored"):
        deaf(inputs, present={"audio": torch.zeros(5, dtype=torch.bool)})
    with expect.error(SettingError, "RTIL: ", "equal lengths", "'text': 6", "'audio': 9", "published=True"):
        deaf(batch())


def test_single_samples_have_no_moments():
    """A batch of one: no similarity by default, the released number of it where asked for."""
    inputs, model = batch(size=1), build()
    assert terms(model, inputs)[1].similarity == 0
    released = twin(model, similarity_min_samples=1)
    assert terms(released, inputs)[1].similarity > 0
    assert_only(("similarity",), terms(model, inputs)[1], terms(released, inputs)[1])


def test_gate_alignment():
    attended, inputs = build(gate="soft"), equal_lengths(WIDTHS)
    frame = twin(attended, gate="soft", gate_alignment="frame")
    assert not torch.allclose(attended(inputs).gates["audio"], frame(inputs).gates["audio"])
    with expect.error(ShapeError, "gate_alignment='frame'", "equal lengths"):
        frame(batch())


def test_the_published_preset_is_the_sum_of_its_switches():
    explicit = {
        "query": "text",
        "encoder": "released",
        "gate": "released",
        "gate_alignment": "frame",
        "share_gate_head": True,
        "feedforward_features": 2048,
        "block_attention_dropout": 0.1,
        "head_dropout": 0.6,
        "reverse_private": True,
        "reconstruction": "pooled",
        "detach_reconstruction_target": False,
        "temporal_modalities": ("vision",),
        "temporal_aggregation": "batch",
        "honour_masks": False,
        "similarity_min_samples": 1,
        "position_scale": 1.0,
        "code_gain": 1.0,
        "discriminator_loss": "cosine_margin",
    }
    published = build(PUBLISHED, published=True)
    by_hand = build(PUBLISHED, **explicit)
    by_hand.load_state_dict(published.state_dict())
    inputs = equal_lengths()
    (one, one_terms), (other, other_terms) = terms(published, inputs), terms(by_hand, inputs)
    assert torch.equal(one.prediction, other.prediction)
    assert_only((), one_terms, other_terms)
    assert {k: v for k, v in published.config.items() if v != by_hand.config[k]} in (
        {"published": True},
        {"published": True, "encoder_blocks": published.settings.encoder_blocks},
    )


def test_published_settings_can_be_overridden():
    model = build(PUBLISHED, published=True, gate="hard", temporal_weight=0.0)
    assert model.settings.gate == "hard"
    assert model.settings.reverse_private
    assert model.settings.temporal_weight == 0


@pytest.mark.parametrize(
    ("widths", "words"),
    [
        ({"text": 3, "audio": 2}, ("three modalities", "text, audio, vision", "['text', 'audio']")),
        ({"text": 3, "audio": 2, "vision": 2, "eeg": 1}, ("three modalities",)),
        ({"audio": 2, "text": 3, "vision": 2}, ("order", "['audio', 'text', 'vision']")),
        ({"text": 3, "vision": 2, "audio": 2}, ("order", "['text', 'vision', 'audio']")),
        ({"text": 3, "video": 2, "audio": 2}, ("order", "['text', 'video', 'audio']")),
    ],
)
@pytest.mark.bad_input
def test_published_mode_knows_its_streams(widths, words):
    with expect.error(ModalityError, "RTIL: published=True", *words):
        RTIL(widths, published=True)


@pytest.mark.bad_input
def test_published_mode_needs_equal_lengths():
    model = build(PUBLISHED, published=True)
    with expect.error(SettingError, "RTIL: ", "equal lengths", "published=True"):
        model(batch(PUBLISHED))


# ---- any modalities, any lengths


@pytest.mark.parametrize(
    "names",
    [
        ("left.ear", "left_ear"),
        ("two words", "keys", "type"),
        ("training", "forward", "names", "modules"),
        ("0", "é", ".", "_"),
        ("accelerometer", "gyroscope"),
    ],
)
def test_any_names(names, tmp_path):
    widths = {name: i + 1 for i, name in enumerate(names)}
    model, inputs = build(widths), batch(widths, lengths=range(3, 3 + len(names)))
    output, objective = terms(model, inputs)
    objective.total.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert list(output.shared) == list(names)
    assert model.query == names[0]
    plain = build({f"m{i}": width for i, width in enumerate(widths.values())})
    plain.load_state_dict(dict(zip(plain.state_dict(), model.state_dict().values(), strict=True)))
    renamed = {f"m{i}": x for i, x in enumerate(inputs.values())}
    torch.testing.assert_close(plain(renamed).prediction, output.prediction)
    model.float().save_pretrained(tmp_path)
    floats = {name: x.float() for name, x in inputs.items()}
    assert torch.equal(RTIL.from_pretrained(tmp_path)(floats).prediction, model(floats).prediction)


@pytest.mark.parametrize("lengths", [(1, 1, 1), (1, 9, 3), (7, 1, 20), (4, 4, 4)])
def test_unaligned_lengths(lengths):
    output, objective = terms(build(), batch(lengths=lengths))
    for name, length in zip(WIDTHS, lengths, strict=True):
        assert output.shared[name].shape == output.private[name].shape == (5, length, 8)
    assert output.gates["audio"].shape == (5, lengths[0])
    assert output.fused.shape == (5, 16)
    assert all(torch.isfinite(term) for term in objective)


def test_batching_does_not_matter():
    """Samples of unequal lengths in one padded batch give what each gives alone."""
    model, generator = build(), torch.Generator().manual_seed(0)
    samples = [
        {
            name: torch.randn(1, torch.randint(1, 8, (), generator=generator), width, dtype=torch.float64)
            for name, width in WIDTHS.items()
        }
        for _ in range(4)
    ]
    alone = [model(sample) for sample in samples]
    for side in ("left", "right"):
        inputs, masks = {}, {}
        for name in WIDTHS:
            longest = max(sample[name].shape[1] for sample in samples) + 1
            rows, real = [], []
            for sample in samples:
                missing = longest - sample[name].shape[1]
                sizes = (missing, 0) if side == "left" else (0, missing)
                rows.append(nn.functional.pad(sample[name], (0, 0, *sizes), value=float("nan")))
                real.append(nn.functional.pad(torch.ones(1, sample[name].shape[1], dtype=torch.bool), sizes))
            inputs[name], masks[name] = torch.cat(rows), torch.cat(real)
        together = model(inputs, masks)
        for b, single in enumerate(alone):
            torch.testing.assert_close(together.prediction[b], single.prediction[0])
            for name in WIDTHS:
                for family in ("shared", "private", "reconstruction"):
                    code = getattr(together, family)[name][b]
                    torch.testing.assert_close(code[masks[name][b]], getattr(single, family)[name][0])
                    assert (code[~masks[name][b]] == 0).all()


def test_terms_do_not_see_padding():
    model, inputs = build(), batch()
    mask = {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in inputs.items()}
    reference = terms(model, inputs)[1]
    assert_only((), terms(model, inputs, mask)[1], reference)
    for sizes in ((2, 0), (0, 3)):
        padded = {n: nn.functional.pad(x, (0, 0, *sizes), value=float("inf")) for n, x in inputs.items()}
        masks = {n: nn.functional.pad(m, sizes) for n, m in mask.items()}
        assert_only((), terms(model, padded, masks)[1], reference)


# ---- missing modalities


@pytest.mark.parametrize("missing", ["text", "audio", "vision"])
@pytest.mark.parametrize("settings", [{}, {"gate": "soft"}, {"gate": "off"}, {"query": "audio"}])
def test_three_ways_to_say_missing(missing, settings):
    model, inputs = build(**settings), batch()
    lacking = torch.tensor([False, True, False, True, False])
    mask = {missing: (~lacking).unsqueeze(1).expand(inputs[missing].shape[:2])}
    garbage = {**inputs, missing: torch.where(lacking[:, None, None], float("nan"), inputs[missing])}
    by_mask, by_mask_terms = terms(model, garbage, mask)
    by_presence, by_presence_terms = terms(model, garbage, present={missing: ~lacking})
    torch.testing.assert_close(by_mask.prediction, by_presence.prediction)
    assert_only((), by_mask_terms, by_presence_terms)
    # The samples that have it do not notice.
    torch.testing.assert_close(by_mask.prediction[~lacking], model(inputs).prediction[~lacking])
    # Those that lack it give what they give alone, with the modality absent or empty.
    rest = {name: x[lacking] for name, x in inputs.items() if name != missing}
    absent = model(rest, present={missing: torch.zeros(2, dtype=torch.bool)})
    empty = model({**rest, missing: inputs[missing][lacking][:, :0]})
    for alone in (absent, empty):
        torch.testing.assert_close(alone.prediction, by_mask.prediction[lacking])
    if "gate" in settings:
        # A hard gate may have been closed anyway.
        assert not torch.allclose(absent.prediction, model(inputs).prediction[lacking])


@pytest.mark.parametrize("missing", ["text", "audio"])
def test_a_missing_modality_adds_nothing_to_the_terms(missing):
    """Terms over the samples that lack a modality are those of the others."""
    model, inputs = build(), batch()
    _, objective = terms(model, inputs, present={missing: torch.zeros(5, dtype=torch.bool)})
    output = model(inputs, present={missing: torch.zeros(5, dtype=torch.bool)})
    left = [name for name in WIDTHS if name != missing]
    pooled = [output.shared[name].mean(1) for name in left]
    torch.testing.assert_close(objective.similarity, functional.central_moment_discrepancy(*pooled))
    assert (output.shared[missing] == 0).all()
    assert (output.private[missing] == 0).all()
    parameters = dict(model.named_parameters())
    objective.total.backward()
    for name, parameter in parameters.items():
        if f"projections.{missing}" in name or f"encoders.{missing}" in name:
            assert parameter.grad is None or (parameter.grad == 0).all()
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def test_everything_missing_stays_finite():
    model, inputs = build(), {name: torch.full_like(x, float("nan")) for name, x in batch().items()}
    nobody = {name: torch.zeros(5, dtype=torch.bool) for name in WIDTHS}
    output, objective = terms(model, inputs, present=nobody)
    objective.total.backward()
    assert torch.isfinite(output.prediction).all()
    assert objective.similarity == objective.reconstruction == objective.temporal == 0
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_empty_batch():
    output, objective = terms(build(), batch(size=0))
    objective.total.backward()
    assert output.prediction.shape == (0, 1)
    assert objective.task == objective.similarity == objective.reconstruction == objective.temporal == 0
    penalty = 2 * 0.01 * build().discriminator.classifier.weight.square().sum()
    torch.testing.assert_close(objective.adversarial, penalty)


# ---- parts


class Doubling(nn.Module):
    out_features = 5

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 5)

    def forward(self, x, mask):
        self.seen = mask
        return self.linear(x)


def test_encoders_can_be_replaced():
    own = Doubling()
    model, inputs = build(encoders={"audio": own}), batch()
    assert model.encoders["audio"] is own
    assert model.codes.widths["audio"] == 5
    mask = torch.ones(5, 9, dtype=torch.bool)
    _, objective = terms(model, inputs, {"audio": mask})
    assert own.seen is not None
    objective.total.backward()
    assert own.linear.weight.grad.abs().max() > 0


def test_identity_leaves_features_as_they_are():
    model = build(encoders={"text": nn.Identity()})
    assert model.codes.widths["text"] == 4
    assert torch.isfinite(model(batch()).prediction).all()


def test_a_frozen_encoder():
    model = build()
    model.encoders["audio"].requires_grad_(False)
    terms(model, batch())[1].total.backward()
    assert all(p.grad is None for p in model.encoders["audio"].parameters())
    assert all(p.grad is not None for p in model.encoders["text"].parameters())


def test_the_released_encoder_leaves_the_query_alone():
    model = build(PUBLISHED, encoder="released")
    assert isinstance(model.encoders["text"], nn.Identity)
    assert [model.encoders[name].num_heads for name in ("audio", "vision")] == [2, 1]
    assert [model.encoders[name].features for name in ("audio", "vision")] == [4, 3]


def test_the_query():
    assert build().query == "text"
    assert build(query="vision").query == "vision"
    assert build({"b": 1, "a": 2}).query == "b"
    assert not torch.allclose(build(query="vision")(batch()).prediction, build()(batch()).prediction)


def test_units_of_the_target():
    plain, inputs = build(), batch()
    scaled = twin(plain, target_location=100.0, target_scale=10.0)
    torch.testing.assert_close(scaled(inputs).prediction, 100 + 10 * plain(inputs).prediction)
    one = plain.objective(plain(inputs), target())
    other = scaled.objective(scaled(inputs), 100 + 10 * target())
    assert_only((), one, other)


def test_reversal_strength_is_a_buffer_of_the_checkpoint():
    model = build(reversal_strength=0.5)
    assert model.discriminator.reversal.strength == 0.5
    assert "discriminator.reversal.strength" in model.state_dict()


def test_dropout_in_training_only():
    model, inputs = build(), batch()
    assert torch.equal(model(inputs).prediction, model(inputs).prediction)
    model.train()
    assert not torch.equal(model(inputs).prediction, model(inputs).prediction)


def test_no_warning_in_corrected_mode():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        terms(build(), batch(), {"audio": torch.ones(5, 9, dtype=torch.bool)})


# ---- bad input


@pytest.mark.parametrize(
    ("exception", "words", "settings"),
    [
        (UnknownNameError, ("'gates'", "'gate'"), {"gates": "hard"}),
        (SettingError, ("hidden_features", "0"), {"hidden_features": 0}),
        (SettingError, ("encoder", "'convolution', 'released'", "'lstm'"), {"encoder": "lstm"}),
        (SettingError, ("gate", "'on'"), {"gate": "on"}),
        (SettingError, ("gate_alignment", "'time'"), {"gate_alignment": "time"}),
        (SettingError, ("reconstruction", "'frame', 'pooled'", "'mean'"), {"reconstruction": "mean"}),
        (SettingError, ("head_dropout", "1.5"), {"head_dropout": 1.5}),
        (SettingError, ("temporal_weight", "-1"), {"temporal_weight": -1.0}),
        (SettingError, ("adversarial_weight", "nan"), {"adversarial_weight": math.nan}),
        (SettingError, ("temporal_modalities", "()"), {"temporal_modalities": ()}),
        (SettingError, ("temporal_modalities", "'text'"), {"temporal_modalities": "text"}),
        (ModalityError, ("temporal_modalities", "'texts'"), {"temporal_modalities": ("texts",)}),
        (SettingError, ("divergence", "'jsd'"), {"temporal_divergence": "jsd"}),
        (SettingError, ("temperature", "0"), {"temporal_temperature": 0.0}),
        (ModalityError, ("query", "'speech'"), {"query": "speech"}),
        (ModalityError, ("encoders", "'speech'"), {"encoders": {"speech": nn.Identity()}}),
        (SettingError, ("encoders['text']", "out_features", "Flatten"), {"encoders": {"text": nn.Flatten()}}),
        (DtypeError, ("encoders['text']", "Module", "int"), {"encoders": {"text": 7}}),
        (SettingError, ("encoders['text']", "out_features", "Sequential"), {"encoders": {"text": nn.Sequential()}}),
        (SettingError, ("strength", "'1'"), {"reversal_strength": "1"}),
        (SettingError, ("kernel_size", "odd", "4"), {"encoder_kernel_size": 4}),
        (SettingError, ("num_heads", "3"), {"num_heads": 3}),
        (ModalityError, ("rates", "'audio'"), {"rates": {"text": 1.0}}),
        (SettingError, ("honour_masks", "'no'"), {"honour_masks": "no"}),
        (SettingError, ("reverse_private", "1"), {"reverse_private": 1}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(exception, words, settings):
    with expect.error(exception, *words):
        RTIL(WIDTHS, **settings)


def test_similarity_by_mmd():
    model, inputs = build(similarity="mmd"), batch()
    output = model(inputs)
    codes = [code.mean(1) for code in output.shared.values()]
    pairs = [functional.maximum_mean_discrepancy(codes[i], codes[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    torch.testing.assert_close(model.objective(output, normal(9, 5, 1)).similarity, sum(pairs) / 3)
    with pytest.raises(SettingError, match="RTIL: similarity must be one of"):
        build(similarity="coral")
