import math

import pytest
import torch
from torch import nn

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, UnknownNameError
from mmdisentangle.models import MEA, create_model
from mmdisentangle.nn import RecurrentEncoder, TemporalConvEncoder
from tests.models.small_mea import SMALL, WIDTHS, assert_only, batch, build, differing, masks_of, target, terms, twin
from tests.oracles import expect

# ---- presets

TABLE = {
    "mosi": ("regression", 8, 0.25, 2e-2, 3e-2, (3, 3, 3)),
    "mosei": ("regression", 10, 0.15, 3e-2, 5e-2, (3, 3, 3)),
    "iemocap": ("classification", 8, 0.2, 1e-2, 2e-2, (3, 3, 5)),
}


@pytest.mark.parametrize("name", TABLE)
def test_presets_hold_the_papers_table(name):
    task, heads, mu, alpha, beta, kernels = TABLE[name]
    widths = {"text": 6, "vision": 3, "audio": 4}
    model = create_model("mea", modalities=widths, num_outputs=2, preset=name)
    s = model.settings
    assert (s.task, s.num_heads, s.mu) == (task, heads, mu)
    assert (s.disparity_weight, s.adversarial_weight) == (alpha, beta)
    assert (s.features, s.hidden_features, s.psa_layers, s.hca_layers) == (40, 64, 3, 2)
    assert (s.attention_mode, s.attention_scale, s.temporal_encoder) == ("paper", "model", "lstm")
    assert (s.weighting_after, s.self_loops, s.readout, s.code_gain) == ("each", False, "paper", 1.0)
    for modality, kernel in zip(widths, kernels, strict=True):
        encoder = model.encoders[modality]
        assert isinstance(encoder, RecurrentEncoder)
        assert encoder.convolution.weight.shape[-1] == kernel
    layer = model.self_attention[1]["text"]
    assert (layer.num_heads, layer.mu, layer.mode, layer.scale) == (heads, mu, "paper", "model")
    unit = model.cross_attention.layers[1]["audio"].fine["text"]
    assert (unit.num_heads, unit.scale) == (heads, "model")


def test_presets_can_be_overridden_and_saved(tmp_path):
    model = MEA(WIDTHS, 2, preset="iemocap", mu=0.5, temporal_encoder="conv", **SMALL).eval()
    assert (model.settings.mu, model.settings.attention_mode) == (0.5, "paper")
    assert isinstance(model.encoders["text"], TemporalConvEncoder)
    model.save_pretrained(tmp_path)
    loaded = MEA.from_pretrained(tmp_path)
    assert loaded.config == model.config
    assert loaded.config["preset"] == "iemocap"
    inputs = {name: x.float() for name, x in batch().items()}
    assert torch.equal(loaded(inputs).prediction, model(inputs).prediction)


def test_defaults():
    model = create_model("mea", modalities=WIDTHS)
    s = model.settings
    assert (s.attention_mode, s.attention_scale, s.temporal_encoder, s.omega_grad) == ("convex", "head", "conv", False)
    assert (s.psa_layers, s.hca_layers, s.fusion, s.weight_on, s.update_sources) == (3, 2, "graph", "loss", False)
    assert model.discriminator.reversal.strength == 1
    assert isinstance(model.encoders["text"], TemporalConvEncoder)
    assert [layer["text"].prediction is not None for layer in model.self_attention] == [False, True, True]


def test_a_preset_learns_one_batch_by_heart():
    torch.manual_seed(0)
    model = MEA(WIDTHS, 1, preset="mosi", **{**SMALL, "num_heads": 8})
    inputs = {name: x.float() for name, x in batch().items()}
    masks, wanted = masks_of(inputs, share=0.9), target().float()
    optimizer = torch.optim.Adam(model.eval().parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        objective = model.objective(model(inputs, masks), wanted)
        if objective.task < 1e-2:
            break
        objective.total.backward()
        optimizer.step()
    assert objective.task < 1e-2


# ---- ablations, each as a switch of its own

# Settings, what of the output and of the terms they change, and parameters that are gone.
CODES = {"prediction", "fused"}
OF_EXCLUSIVE, OF_AGNOSTIC = {"task", "disparity", "exclusive"}, {"task", "disparity", "agnostic", "importance"}
ABLATIONS = {
    "no PSA": ({"psa_layers": 0}, CODES | {"private"}, OF_EXCLUSIVE, "self_attention."),
    "no chain": ({"predict_attention": False}, CODES | {"private"}, OF_EXCLUSIVE, ".prediction."),
    "no WAL": ({"weighting": "off"}, CODES | {"private"}, OF_EXCLUSIVE, "weightings."),
    "no HCA": ({"hca_layers": 0}, CODES | {"shared"}, OF_AGNOSTIC, "cross_attention."),
    "no mixed": ({"mixed": False}, CODES | {"shared"}, OF_AGNOSTIC, ".mixed."),
    "no coarse": ({"coarse": False}, CODES | {"shared"}, OF_AGNOSTIC, ".coarse."),
    "no fine": ({"fine": False}, CODES | {"shared"}, OF_AGNOSTIC, ".fine."),
    "no disparity": ({"disparity_weight": 0.0}, set(), set(), None),
    "orthogonality": ({"disparity": "orthogonality"}, set(), {"disparity"}, None),
    "no adversarial": ({"adversarial_weight": 0.0}, set(), set(), None),
    "no importance": ({"importance_weights": False}, set(), {"agnostic", "importance"}, ".importance."),
    "no exclusive": ({"codes": "agnostic"}, CODES | {"private"}, OF_EXCLUSIVE, "self_attention."),
    "no agnostic": ({"codes": "exclusive"}, CODES | {"shared"}, OF_AGNOSTIC, "cross_attention."),
    "concat": ({"fusion": "concat"}, CODES, {"task"}, ".message."),
    "add": ({"fusion": "add"}, CODES, {"task"}, ".message."),
    "multiply": ({"fusion": "multiply"}, CODES, {"task"}, ".message."),
}
each_ablation = pytest.mark.parametrize("name", ABLATIONS)


@each_ablation
def test_an_ablation_changes_what_it_should(name):
    settings, changed, changed_terms, gone = ABLATIONS[name]
    full, inputs = build(), batch()
    ablated = twin(full, **settings)
    (output, objective), (reference, full_terms) = terms(ablated, inputs), terms(full, inputs)
    assert differing(output, reference, ("prediction", "fused", "shared", "private")) == changed
    assert_only(changed_terms, objective, full_terms)
    assert not torch.allclose(objective.total, full_terms.total, rtol=1e-9)
    if gone is not None:
        assert any(gone in parameter for parameter, _ in full.named_parameters())
        assert not any(gone in parameter for parameter, _ in ablated.named_parameters())


@each_ablation
def test_an_ablation_trains(name):
    settings = ABLATIONS[name][0]
    torch.manual_seed(0)
    model = MEA(WIDTHS, 1, **{**SMALL, **settings}).train()
    inputs = {name: x.float() for name, x in batch().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before = {name: p.clone() for name, p in model.named_parameters()}
    for seed in range(3):
        torch.manual_seed(seed)
        optimizer.zero_grad()
        objective = model.objective(model(inputs), target().float())
        objective.total.backward()
        assert all(torch.isfinite(term) for term in objective)
        optimizer.step()
    unmoved = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    if name == "no adversarial":
        assert unmoved == {name for name in before if name.startswith("discriminator.discriminator.")}
    else:
        assert not unmoved


def test_what_is_left_without_a_family_of_codes():
    inputs = batch()
    output, objective = terms(build(codes="agnostic"), inputs)
    assert all((code == 0).all() for code in output.private.values())
    assert objective.disparity == objective.exclusive == 0
    assert objective.agnostic > 0
    assert output.fused.shape == (5, 6)
    output, objective = terms(build(codes="exclusive"), inputs)
    assert all((code == 0).all() for code in output.shared.values())
    assert objective.disparity == objective.agnostic == objective.importance == 0
    assert objective.exclusive > 0
    assert build(codes="exclusive").discriminator.importance is None


@pytest.mark.parametrize("present", [None, torch.tensor([True, False, True, False, True])])
def test_fusions_written_out(present):
    inputs = batch()
    here = {} if present is None else {"audio": present}
    there = torch.ones(5, 3, 1, dtype=torch.bool)
    if present is not None:
        there[:, 1, 0] = present
    for fusion in ("concat", "add", "multiply"):
        output = build(fusion=fusion)(inputs, present=here)
        families = [torch.stack(list(codes.values()), 1) for codes in (output.private, output.shared)]
        if fusion == "concat":
            expected = [codes.where(there, 0).flatten(1) for codes in families]
        elif fusion == "add":
            expected = [codes.where(there, 0).sum(1) for codes in families]
        else:
            expected = [codes.where(there, 1).prod(1) for codes in families]
        torch.testing.assert_close(output.fused, torch.cat(expected, 1))


# ---- bad input


@pytest.mark.parametrize(
    ("exception", "words", "settings"),
    [
        (UnknownNameError, ("'psa_layer'", "'psa_layers'"), {"psa_layer": 3}),
        (SettingError, ("preset", "'mosi', 'mosei', 'iemocap'", "'mosie'"), {"preset": "mosie"}),
        (SettingError, ("features", "0"), {"features": 0}),
        (SettingError, ("num_heads", "features=40", "7"), {"num_heads": 7}),
        (SettingError, ("psa_layers", "-1"), {"psa_layers": -1}),
        (SettingError, ("hca_layers", "'2'"), {"hca_layers": "2"}),
        (SettingError, ("temporal_encoder", "'conv', 'lstm'", "'gru'"), {"temporal_encoder": "gru"}),
        (SettingError, ("weighting", "'pooled', 'flatten', 'off'", "'mean'"), {"weighting": "mean"}),
        (SettingError, ("weighting_after", "'all'"), {"weighting_after": "all"}),
        (SettingError, ("codes", "'shared'"), {"codes": "shared"}),
        (SettingError, ("disparity", "'mmd'"), {"disparity": "mmd"}),
        (SettingError, ("fusion", "'sum'"), {"fusion": "sum"}),
        (SettingError, ("mode", "'sum'"), {"attention_mode": "sum"}),
        (SettingError, ("mu", "2"), {"mu": 2}),
        (SettingError, ("weight_on", "'code'"), {"weight_on": "code"}),
        (SettingError, ("readout", "'max'"), {"readout": "max"}),
        (SettingError, ("predict_attention", "'no'"), {"predict_attention": "no"}),
        (SettingError, ("omega_grad", "1"), {"omega_grad": 1}),
        (SettingError, ("disparity_weight", "-1"), {"disparity_weight": -1.0}),
        (SettingError, ("importance_weight", "nan"), {"importance_weight": math.nan}),
        (SettingError, ("head_dropout", "1.5"), {"head_dropout": 1.5}),
        (SettingError, ("code_gain", "0"), {"code_gain": 0.0}),
        (SettingError, ("mixed, coarse and fine",), {"mixed": False, "coarse": False, "fine": False}),
        (SettingError, ("num_frames", "weighting='flatten'"), {"weighting": "flatten"}),
        (SettingError, ("num_frames", "'audio'"), {"weighting": "flatten", "num_frames": {"text": 2, "vision": 2}}),
        (ModalityError, ("kernel_size", "'speech'"), {"kernel_size": {"speech": 3}}),
        (SettingError, ("kernel_size", "odd", "4"), {"kernel_size": 4}),
        (ModalityError, ("encoders", "'speech'"), {"encoders": {"speech": nn.Identity()}}),
        (SettingError, ("encoders['text']", "out_features", "Flatten"), {"encoders": {"text": nn.Flatten()}}),
        (DtypeError, ("encoders['text']", "Module", "int"), {"encoders": {"text": 7}}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(exception, words, settings):
    with expect.error(exception, *words):
        MEA(WIDTHS, **settings)
