import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from mmdisentangle import functional
from mmdisentangle.errors import CheckpointError, ShapeError
from mmdisentangle.models import MEA
from tests.models.small_mea import (
    PRINTED,
    TERMS,
    WIDTHS,
    assert_only,
    batch,
    build,
    differing,
    masks_of,
    target,
    terms,
    twin,
)
from tests.oracles import expect
from tests.oracles.dependence import hsic_by_traces, linear_gram
from tests.oracles.layers import state
from tests.oracles.mea import double_discriminator as discriminator_oracle
from tests.oracles.mea import mea as oracle

# ---- oracle


@pytest.mark.parametrize(
    "settings",
    [
        {},
        PRINTED,
        {"attention_mode": "logit", "weighting_after": "between", "update_sources": True, "readout": "paper"},
        {"psa_layers": 1, "hca_layers": 1, "mu": 1.0, "position_scale": 0.3, "num_heads": 4, "self_loops": False},
    ],
    ids=["default", "printed", "other", "one-layer"],
)
def test_the_whole_model_as_loops(settings):
    model, inputs = build(**settings), batch(size=3, lengths=(3, 5, 4))
    masks = masks_of(inputs)
    masks["audio"][0] = False
    dirty = {name: torch.where(masks[name].unsqueeze(-1), x, math.nan) for name, x in inputs.items()}
    output = model(dirty, masks)
    arrays = [{name: x.numpy() for name, x in values.items()} for values in (inputs, masks)]
    prediction, shared, private, here = oracle(*arrays, state(model), model.settings)
    close = {"rtol": 0, "atol": 1e-5}  # positions are encoded in float32
    np.testing.assert_allclose(output.prediction.detach().numpy(), prediction, **close)
    for m, name in enumerate(WIDTHS):
        np.testing.assert_allclose(output.shared[name].detach().numpy(), shared[:, m], **close)
        np.testing.assert_allclose(output.private[name].detach().numpy(), private[:, m], **close)
    objective = model.objective(output, target(3))
    told = discriminator_oracle(
        [shared[:, m] for m in range(3)], [private[:, m] for m in range(3)], here, _part(model, "discriminator")
    )
    for term in ("agnostic", "exclusive", "importance"):
        assert getattr(objective, term).item() == pytest.approx(told[term], abs=1e-4)
    dependence = []
    for m in range(3):
        rows = [b for b in range(3) if here[b, m]]
        grams = [linear_gram(codes[rows, m]) for codes in (private, shared)]
        dependence.append(hsic_by_traces(*grams) if len(rows) > 1 else 0.0)
    assert objective.disparity.item() == pytest.approx(np.mean(dependence), abs=1e-4)
    assert objective.task.item() == pytest.approx(((prediction - target(3).numpy()) ** 2).mean(), abs=1e-4)


def _part(model, name):
    return state(getattr(model, name))


# ---- the objective


@pytest.mark.parametrize("weights", [(2e-2, 3e-2, 1.0), (0.0, 0.0, 0.0), (2.0, 3.0, 5.0)])
def test_weights_act_on_the_total_alone(weights):
    names = ("disparity", "adversarial", "importance")
    model = build(**{f"{name}_weight": weight for name, weight in zip(names, weights, strict=True)})
    objective = terms(model, batch())[1]
    assert_only((), objective, terms(build(), batch())[1])
    alpha, beta, own = weights
    expected = (
        objective.task
        + alpha * objective.disparity
        + beta * (objective.agnostic + objective.exclusive)
        + own * objective.importance
    )
    torch.testing.assert_close(objective.total, expected)


def test_tasks():
    inputs, generator = batch(), torch.Generator().manual_seed(0)
    model = build(num_outputs=3, task="classification")
    labels = torch.randint(3, (5,), generator=generator)
    output = model(inputs)
    torch.testing.assert_close(model.objective(output, labels).task, cross_entropy(output.prediction, labels))
    model = build(target_location=100.0, target_scale=10.0)
    plain = twin(model)
    torch.testing.assert_close(model(inputs).prediction, 100 + 10 * plain(inputs).prediction)
    assert_only((), plain.objective(plain(inputs), target()), model.objective(model(inputs), 100 + 10 * target()))


@pytest.mark.parametrize(
    "settings",
    [
        {"disparity": "orthogonality"},
        {"disparity": "cka"},
        {"disparity_unbiased": True},
        {"disparity_normalize": True},
        {"disparity_kernel": "rbf"},
        {"disparity": "cka", "disparity_kernel": "rbf", "disparity_unbiased": True},
    ],
    ids=str,
)
def test_disparity_is_that_of_the_loss_of_the_name(settings):
    plain, inputs = build(), batch()
    model = twin(plain, **settings)
    (output, objective), (_, reference) = terms(model, inputs), terms(plain, inputs)
    assert_only(("disparity",), objective, reference)
    options = {key.removeprefix("disparity_"): value for key, value in settings.items() if key != "disparity"}
    normalize = options.pop("normalize", False)
    function = {
        "hsic": functional.hsic,
        "cka": functional.cka,
        "orthogonality": functional.orthogonality,
    }[settings.get("disparity", "hsic")]
    values = []
    for name in WIDTHS:
        codes = [output.private[name], output.shared[name]]
        codes = [nn.functional.normalize(code, dim=-1) for code in codes] if normalize else codes
        values.append(function(*codes, **options))
    torch.testing.assert_close(objective.disparity, sum(values) / 3)


# ---- who learns from what


def gradients(value, *families):
    codes = [code for family in families for code in family.values()]
    found = torch.autograd.grad(value, codes, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(c) if g is None else g for c, g in zip(codes, found, strict=True)]


@pytest.mark.parametrize("weight_on", ["loss", "input"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("literal", [False, True])
def test_gradient_of_the_agnostic_term_written_out(weight_on, strength, literal):
    model = build(weight_on=weight_on, reversal_strength=strength, omega_grad=literal)
    output, objective = terms(model, batch())
    codes = torch.stack(list(output.shared.values()), 1).detach().requires_grad_()
    p = model.discriminator.importance(codes).softmax(-1).diagonal(dim1=1, dim2=2)
    w = 1 - (p if literal else p.detach())
    logits = model.discriminator.discriminator(codes * (w.unsqueeze(-1) if weight_on == "input" else 1))
    labels = torch.arange(3).expand(5, 3)
    ce = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").reshape(5, 3)
    expected = ((w if weight_on == "loss" else 1) * ce).sum(1).mean()
    torch.testing.assert_close(objective.agnostic, expected)
    parameters = dict(model.discriminator.named_parameters())
    of_codes, *of_parameters = torch.autograd.grad(expected, [codes, *parameters.values()], allow_unused=True)
    for number, gradient in enumerate(gradients(objective.agnostic, output.shared)):
        torch.testing.assert_close(gradient, -strength * of_codes[:, number])
    found = torch.autograd.grad(objective.agnostic, list(parameters.values()), retain_graph=True, allow_unused=True)
    for name, ours, theirs in zip(parameters, found, of_parameters, strict=True):
        if name.startswith("importance") and not literal:
            assert ours is None or not ours.any()
            assert theirs is None
        else:
            torch.testing.assert_close(ours, theirs)
    assert all((g == 0).all() for g in gradients(objective.agnostic, output.private))


@pytest.mark.parametrize("weight_on", ["loss", "input"])
def test_the_importance_head_learns_from_its_own_term_alone(weight_on):
    model = build(weight_on=weight_on)
    output, objective = terms(model, batch())
    head = list(model.discriminator.importance.parameters())
    for term in (*TERMS, "total"):
        found = torch.autograd.grad(getattr(objective, term), head, retain_graph=True, allow_unused=True)
        assert any(g is not None and bool(g.any()) for g in found) is (term in ("importance", "total")), term
    assert all((g == 0).all() for g in gradients(objective.importance, output.shared, output.private))
    others = [p for name, p in model.named_parameters() if ".importance." not in name]
    found = torch.autograd.grad(objective.importance, others, retain_graph=True, allow_unused=True)
    assert all(g is None or not g.any() for g in found)


def test_the_literal_reading_has_no_importance_term():
    model = build(omega_grad=True)
    _, objective = terms(model, batch())
    assert objective.importance == 0
    found = torch.autograd.grad(objective.agnostic, list(model.discriminator.importance.parameters()))
    assert all(g.any() for g in found)


def test_agnostic_codes_are_trained_to_hide_and_exclusive_ones_to_show():
    """A step down the gradient of both terms raises the one and lowers the other."""
    model, inputs = build(), batch(size=16)
    _, before = terms(model, inputs)
    maps = [*model.agnostic_map.parameters(), *model.exclusive_maps.parameters()]
    found = torch.autograd.grad(before.agnostic + before.exclusive, maps)
    with torch.no_grad():
        for parameter, gradient in zip(maps, found, strict=True):
            parameter -= 1e-2 * gradient
    _, after = terms(model, inputs)
    assert after.agnostic > before.agnostic
    assert after.exclusive < before.exclusive


def test_both_kinds_of_codes_come_from_the_same_encoders():
    model = build()
    output = model(batch())
    for family in (output.shared, output.private):
        model.zero_grad()
        sum(code.square().sum() for code in family.values()).backward(retain_graph=True)
        for name in WIDTHS:
            assert any(p.grad is not None and p.grad.any() for p in model.encoders[name].parameters())


# ---- what the specification says about the parts


def test_where_modalities_are_weighed():
    """A layer reads its input through LayerNorm, so only the weights after the last one act."""
    inputs = batch()
    each = build(weighting_after="each")
    with torch.no_grad():
        for norm in (each.self_attention[i][name].norm for i in (1, 2) for name in WIDTHS):
            norm.eps = 1e-12
    last, between = twin(each, weighting_after="last"), twin(each, weighting_after="between")
    off = twin(each, weighting="off")
    assert list(each.weightings) == ["0", "1", "2"]
    assert list(last.weightings) == ["2"]
    assert list(between.weightings) == ["0", "1"]
    close = {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(last(inputs).prediction, each(inputs).prediction, **close)
    torch.testing.assert_close(between(inputs).prediction, off(inputs).prediction, **close)
    assert not torch.allclose(last(inputs).prediction, off(inputs).prediction, **close)


def test_flattened_weighting_wants_fixed_lengths():
    model = build(weighting="flatten", num_frames={"text": 6, "audio": 9, "vision": 4})
    assert model.weightings["2"].maps["audio"].weight.shape == (72, 72)
    assert torch.isfinite(model(batch()).prediction).all()
    with expect.error(ShapeError, "'audio'", "9 frames", "got 8"):
        model(batch(lengths=(6, 8, 4)))


def test_modes_without_prediction():
    """At mu = 0 the printed arithmetic is not the ablation of the chain; the other two are."""
    inputs, plain = batch(), build(predict_attention=False)
    for mode, equal in (("convex", True), ("logit", True), ("paper", False)):
        model = build(attention_mode=mode, mu=0.0)
        model.load_state_dict(plain.state_dict(), strict=False)
        assert torch.allclose(model(inputs).prediction, plain(inputs).prediction, rtol=1e-9) is equal


def test_pooling_comes_before_the_perceptrons():
    model, inputs = build(psa_layers=0, weighting="off", hca_layers=0), batch()
    output = model(inputs)
    for name, x in inputs.items():
        encoded = model.encoders[name](x, None) + functional.sinusoidal_positions(torch.arange(x.shape[1]), 8)
        torch.testing.assert_close(output.private[name], model.exclusive_maps[name](encoded.mean(1)))
        torch.testing.assert_close(output.shared[name], model.agnostic_map(encoded.mean(1)))


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"mu": 0.9}, "private"),
        ({"attention_mode": "paper"}, "private"),
        ({"update_sources": True}, "shared"),
        ({"position_scale": 0.0}, "both"),
        ({"attention_scale": "model"}, "both"),
        ({"self_loops": False}, "fused"),
        ({"readout": "paper"}, "fused"),
    ],
    ids=str,
)
def test_settings_reach_their_part(settings, changed):
    plain, inputs = build(), batch()
    found = differing(twin(plain, **settings)(inputs), plain(inputs), ("fused", "shared", "private"))
    assert found == {"fused"} | ({"shared", "private"} if changed == "both" else {changed})


def test_code_gain_is_that_of_the_first_weights():
    plain, model = build(code_gain=1.0), build(code_gain=3.0)
    before = dict(plain.named_parameters())
    amplified = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert amplified == {
        *(f"exclusive_maps.{name}.2.weight" for name in WIDTHS),
        "agnostic_map.2.weight",
        *(f"fusion.graphs.{kind}.message.weight" for kind in ("exclusive", "agnostic")),
    }
    for name in amplified:
        torch.testing.assert_close(model.get_parameter(name), 3 * before[name], rtol=1e-6, atol=1e-8)
    model.load_state_dict(plain.state_dict())
    torch.testing.assert_close(model(batch()).prediction, plain(batch()).prediction)


def test_settings_that_add_parameters():
    inputs = batch()
    model = build(output_projection=True, attention_bias=True, head_features=7, readout="attention")
    names = {name for name, _ in model.named_parameters()}
    for part in ("self_attention.0.text.", "cross_attention.layers.0.text.mixed."):
        assert {f"{part}output.weight", f"{part}output.bias", f"{part}query.bias", f"{part}value.bias"} <= names
    assert model.head[1].out_features == 7
    assert torch.isfinite(model(inputs).prediction).all()
    assert build(discriminator_features=11).discriminator.discriminator[0].out_features == 11
    assert build(kernel_size={"text": 1, "audio": 3, "vision": 5}).encoders["vision"].stem.weight.shape[-1] == 5
    assert build(feedforward_features=None).self_attention[0]["text"].feedforward[0].out_features == 32


# ---- any modalities, any lengths


@pytest.mark.parametrize("settings", [{}, PRINTED, {"fusion": "add"}], ids=["default", "printed", "add"])
def test_modalities_are_permuted_with_their_parameters(settings):
    model = build(**settings)
    order = ["vision", "text", "audio"]
    permuted = build({name: WIDTHS[name] for name in order}, **settings)
    rows = [list(WIDTHS).index(name) for name in order]
    weights = model.state_dict()
    for name in ("importance.weight", "importance.bias", "discriminator.3.weight", "discriminator.3.bias"):
        weights[f"discriminator.{name}"] = weights[f"discriminator.{name}"][rows]
    permuted.load_state_dict(weights)
    inputs = batch()
    masks = masks_of(inputs)
    (ours, our_terms), (theirs, their_terms) = terms(model, inputs, masks), terms(permuted, inputs, masks)
    assert list(theirs.shared) == order
    torch.testing.assert_close(ours.prediction, theirs.prediction)
    assert not differing(ours, theirs, ("shared", "private"))
    assert_only((), our_terms, their_terms)
    torch.testing.assert_close(our_terms.total, their_terms.total)


@pytest.mark.parametrize("names", [("left.ear", "left_ear"), ("keys", "two words", "type"), ("0", "é", ".", "_")])
def test_any_names(names, tmp_path):
    widths = {name: i + 1 for i, name in enumerate(names)}
    model, inputs = build(widths), batch(widths, lengths=range(3, 3 + len(names)))
    output, objective = terms(model, inputs)
    objective.total.backward()
    assert list(output.shared) == list(names)
    plain = build({f"m{i}": width for i, width in enumerate(widths.values())})
    plain.load_state_dict(dict(zip(plain.state_dict(), model.state_dict().values(), strict=True)))
    renamed = {f"m{i}": x for i, x in enumerate(inputs.values())}
    torch.testing.assert_close(plain(renamed).prediction, output.prediction)
    model.float().save_pretrained(tmp_path)
    floats = {name: x.float() for name, x in inputs.items()}
    assert torch.equal(MEA.from_pretrained(tmp_path)(floats).prediction, model(floats).prediction)


def test_two_modalities_leave_the_scores_of_the_graphs_without_gradient():
    model = build({"text": 4, "audio": 2}, self_loops=False)
    terms(model, batch({"text": 4, "audio": 2}, lengths=(6, 9)))[1].total.backward()
    silent = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert silent == {name for name in silent if ".score." in name}
    assert len(silent) == 4


@pytest.mark.parametrize("self_loops", [False, True])
def test_every_parameter_is_alive_from_three_modalities_on(self_loops):
    model = build(self_loops=self_loops)
    terms(model, batch())[1].total.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("lengths", [(1, 1, 1), (1, 9, 3), (7, 1, 20)])
def test_unaligned_lengths(lengths):
    output, objective = terms(build(), batch(lengths=lengths))
    assert output.fused.shape == (5, 12)
    assert all(output.shared[name].shape == output.private[name].shape == (5, 6) for name in WIDTHS)
    assert all(torch.isfinite(term) for term in objective)


@pytest.mark.parametrize("settings", [{}, PRINTED], ids=["default", "printed"])
def test_batching_does_not_matter(settings):
    """Samples of unequal lengths in one padded batch give what each gives alone."""
    model, generator = build(**settings), torch.Generator().manual_seed(0)
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
                rows.append(nn.functional.pad(sample[name], (0, 0, *sizes), value=math.nan))
                real.append(nn.functional.pad(torch.ones(1, sample[name].shape[1], dtype=torch.bool), sizes))
            inputs[name], masks[name] = torch.cat(rows), torch.cat(real)
        together = model(inputs, masks)
        for b, single in enumerate(alone):
            torch.testing.assert_close(together.prediction[b], single.prediction[0])
            for name in WIDTHS:
                torch.testing.assert_close(together.shared[name][b], single.shared[name][0])
                torch.testing.assert_close(together.private[name][b], single.private[name][0])


def test_terms_do_not_see_padding():
    model, inputs = build(), batch()
    mask = {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in inputs.items()}
    reference = terms(model, inputs)[1]
    assert_only((), terms(model, inputs, mask)[1], reference)
    for sizes in ((2, 0), (0, 3)):
        padded = {n: nn.functional.pad(x, (0, 0, *sizes), value=math.inf) for n, x in inputs.items()}
        masks = {n: nn.functional.pad(m, sizes) for n, m in mask.items()}
        assert_only((), terms(model, padded, masks)[1], reference)


# ---- missing modalities


@pytest.mark.parametrize("missing", ["text", "audio", "vision"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        PRINTED,
        {"fusion": "multiply"},
        {"weighting": "flatten", "num_frames": {"text": 6, "audio": 9, "vision": 4}},
    ],
    ids=["default", "printed", "multiply", "flatten"],
)
def test_three_ways_to_say_missing(missing, settings):
    model, inputs = build(**settings), batch()
    lacking = torch.tensor([False, True, False, True, False])
    mask = {missing: (~lacking).unsqueeze(1).expand(inputs[missing].shape[:2])}
    garbage = {**inputs, missing: torch.where(lacking[:, None, None], math.nan, inputs[missing])}
    by_mask, by_mask_terms = terms(model, garbage, mask)
    by_presence, by_presence_terms = terms(model, garbage, present={missing: ~lacking})
    torch.testing.assert_close(by_mask.prediction, by_presence.prediction)
    assert_only((), by_mask_terms, by_presence_terms)
    torch.testing.assert_close(by_mask.prediction[~lacking], model(inputs).prediction[~lacking])
    rest = {name: x[lacking] for name, x in inputs.items() if name != missing}
    absent = model(rest, present={missing: torch.zeros(2, dtype=torch.bool)})
    empty = model({**rest, missing: inputs[missing][lacking][:, :0]})
    for alone in (absent, empty):
        torch.testing.assert_close(alone.prediction, by_mask.prediction[lacking])
    assert not torch.allclose(absent.prediction, model(inputs).prediction[lacking])
    assert (by_mask.shared[missing][lacking] == 0).all()
    assert (by_mask.private[missing][lacking] == 0).all()


def test_a_missing_modality_is_as_if_it_had_never_been():
    model, inputs = build(), batch()
    two = build({"text": 4, "vision": 3})
    weights = {name: w for name, w in model.state_dict().items() if "audio" not in name}
    for name in ("importance.weight", "importance.bias", "discriminator.3.weight", "discriminator.3.bias"):
        weights[f"discriminator.{name}"] = weights[f"discriminator.{name}"][[0, 2]]
    two.load_state_dict(weights)
    rest = {name: inputs[name] for name in ("text", "vision")}
    gone = {"audio": torch.zeros(5, dtype=torch.bool)}
    torch.testing.assert_close(model(rest, present=gone).prediction, two(rest).prediction)


def test_a_missing_modality_teaches_nothing():
    model, inputs = build(), batch()
    output, objective = terms(model, inputs, present={"audio": torch.zeros(5, dtype=torch.bool)})
    values = [functional.hsic(output.private[name], output.shared[name]) for name in ("text", "vision")]
    torch.testing.assert_close(objective.disparity, sum(values) / 3)
    objective.total.backward()
    for name, parameter in model.named_parameters():
        if "audio" in name:
            assert parameter.grad is None or (parameter.grad == 0).all(), name
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("settings", [{}, PRINTED, {"fusion": "multiply"}], ids=["default", "printed", "multiply"])
def test_everything_missing_stays_finite(settings):
    model, inputs = build(**settings), {name: torch.full_like(x, math.nan) for name, x in batch().items()}
    nobody = {name: torch.zeros(5, dtype=torch.bool) for name in WIDTHS}
    output, objective = terms(model, inputs, present=nobody)
    objective.total.backward()
    assert torch.isfinite(output.prediction).all()
    assert objective.disparity == objective.agnostic == objective.exclusive == objective.importance == 0
    assert (output.fused == 0).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("settings", [{}, PRINTED], ids=["default", "printed"])
def test_empty_batch(settings):
    output, objective = terms(build(**settings), batch(size=0))
    objective.total.backward()
    assert output.prediction.shape == (0, 1)
    assert all(term == 0 for term in objective)


def test_a_batch_of_one_has_no_disparity():
    _, objective = terms(build(), batch(size=1))
    assert objective.disparity == 0
    assert torch.isfinite(objective.total)


# ---- parts


class Doubling(nn.Module):
    out_features = 5

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 5)

    def forward(self, x, mask):
        self.seen = mask
        return self.linear(x)


def test_encoders_can_be_replaced(tmp_path):
    own = Doubling()
    model, inputs = build(encoders={"audio": own}), batch()
    assert model.encoders["audio"] is own
    assert model.adapters["audio"].in_features == 5
    mask = torch.ones(5, 9, dtype=torch.bool)
    _, objective = terms(model, inputs, {"audio": mask})
    assert own.seen is not None
    objective.total.backward()
    assert own.linear.weight.grad.abs().max() > 0
    model.save_pretrained(tmp_path)
    with expect.error(CheckpointError, "MEA: ", "['audio']", "encoders={...}"):
        MEA.from_pretrained(tmp_path)
    loaded = MEA.from_pretrained(tmp_path, encoders={"audio": Doubling()}).double()
    torch.testing.assert_close(loaded(inputs).prediction, model(inputs).prediction, rtol=1e-5, atol=1e-5)


def test_identity_leaves_features_to_a_linear_map():
    model = build(encoders={"text": nn.Identity()})
    assert model.adapters["text"].in_features == 4
    assert torch.isfinite(model(batch()).prediction).all()


def test_reversal_strength_is_a_buffer_of_the_checkpoint():
    model = build(reversal_strength=0.5)
    assert model.discriminator.reversal.strength == 0.5
    assert "discriminator.reversal.strength" in model.state_dict()


def test_dropout_in_training_only():
    model, inputs = build(), batch()
    assert torch.equal(model(inputs).prediction, model(inputs).prediction)
    model.train()
    assert not torch.equal(model(inputs).prediction, model(inputs).prediction)
