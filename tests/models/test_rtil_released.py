"""Released checkpoints: what is read off them, what is ignored, and what each fault is called."""

import warnings

import pytest
import torch

from benchmarks.released_rtil import ReleasedRTIL
from mmdisentangle.errors import CheckpointError, DtypeError, ModalityError, SettingError
from mmdisentangle.models import RTIL
from tests.oracles import expect

UNUSED = [
    *("vrnn1", "vrnn2", "arnn1", "arnn2", "poolingrnn", "project_h", "sp_discriminator", "my_fusion"),
    *("tlayer_norm", "vlayer_norm", "alayer_norm", "hlayer_norm", "player_norm", "slayer_norm"),
    *("position_encoding", "masked_attn_layer", "pooling", "fc_gate_vt"),
]


@pytest.fixture
def checkpoint():
    return ReleasedRTIL(10, 6, 5, hidden_features=8, num_outputs=2).state_dict()


def load(state_dict, **settings):
    with pytest.warns(UserWarning, match="needs equal lengths and ignores masks"):
        return RTIL.from_released_state_dict(state_dict, **settings)


def quietly(state_dict, *arguments, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RTIL.from_released_state_dict(state_dict, *arguments, **settings)


def test_sizes_are_read_off_the_weights(checkpoint):
    model = load(checkpoint)
    assert model.widths == {"text": 10, "audio": 6, "vision": 5}
    assert model.settings.hidden_features == 8
    assert model.num_outputs == 2
    assert model.is_published
    assert not model.training
    assert model.settings.task == "regression"


def test_names_are_those_of_the_streams_in_order(checkpoint):
    model = load(checkpoint, modalities=("words", "sound", "sight"))
    assert model.widths == {"words": 10, "sound": 6, "sight": 5}
    assert model.query == "words"
    inputs = {"sight": torch.randn(2, 3, 5), "words": torch.randn(2, 3, 10), "sound": torch.randn(2, 3, 6)}
    renamed = dict(zip(("vision", "text", "audio"), inputs.values(), strict=True))
    torch.testing.assert_close(model(inputs).prediction, load(checkpoint)(renamed).prediction)


def test_every_weight_arrives(checkpoint):
    model = load(checkpoint)
    for own, released in model.released_names().items():
        assert torch.equal(model.get_parameter(own), checkpoint[released]), released


def test_the_inverse_map_is_a_bijection(checkpoint):
    model = load(checkpoint, modalities=("a.b", "keys", "two words"))
    names = model.released_names()
    assert set(names) == {name for name, _ in model.named_parameters()}
    assert len(set(names.values())) == len(names)
    assert set(names.values()) == set(checkpoint)


def test_settings_pass_through(checkpoint):
    model = load(checkpoint, task="classification", class_weights=(1.0, 2.0))
    assert model.settings.task == "classification"
    assert model.task_term.class_weights.tolist() == [1.0, 2.0]


def test_unused_keys_are_ignored(checkpoint):
    extra = {f"{name}.weight": torch.zeros(1) for name in UNUSED} | {name: torch.zeros(1) for name in UNUSED}
    plain, padded = load(checkpoint), load(checkpoint | extra)
    for one, other in zip(plain.parameters(), padded.parameters(), strict=True):
        assert torch.equal(one, other)


def test_roberta_is_left_out_with_a_note(checkpoint):
    with pytest.warns(UserWarning, match="RTIL") as caught:
        RTIL.from_released_state_dict(checkpoint | {"roberta.encoder.weight": torch.zeros(1)})
    messages = [str(w.message) for w in caught]
    assert len(messages) == 2
    assert "roberta.* is left out" in messages[0]
    assert all(w.filename == __file__ for w in caught), "the warning points at the caller"


def test_a_name_that_only_begins_like_an_unused_one(checkpoint):
    with expect.error(CheckpointError, "unknown: pooling_head.weight"):
        quietly(checkpoint | {"pooling_head.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("norm_atten2.bias"), ("missing: norm_atten2.bias",)),
        (lambda s: (s.pop("norm_atten2.bias"), s.pop("fc_gate_at.weight")), ("norm_atten2.bias", "fc_gate_at.weight")),
        (lambda s: s.update({"extra.weight": torch.zeros(1)}), ("unknown: extra.weight",)),
        (
            lambda s: s.update({"norm_atten1.weight": torch.zeros(9)}),
            ("misshapen: norm_atten1.weight of shape [9] (expected [8])",),
        ),
        (
            lambda s: (
                s.pop("norm_atten2.bias"),
                s.update({"extra": torch.zeros(1), "norm_atten1.bias": torch.ones(2)}),
            ),
            ("missing: norm_atten2.bias", "unknown: extra", "misshapen: norm_atten1.bias"),
        ),
        (lambda s: s.pop("project_a.project_a.weight"), ("'project_a.project_a.weight'", "nothing")),
        (
            lambda s: s.update({"project_t.project_t.weight": torch.zeros(3)}),
            ("'project_t.project_t.weight'", "matrix"),
        ),
        (lambda s: s.update({"fc_gate_at.bias": 3}), ("'fc_gate_at.bias'", "tensor", "int")),
        (lambda s: s.clear(), ("'project_t.project_t.weight'",)),
    ],
)
@pytest.mark.bad_input
def test_faults_are_named(checkpoint, change, words):
    change(checkpoint)
    with expect.error(CheckpointError, "RTIL.from_released_state_dict: ", *words):
        quietly(checkpoint)


@pytest.mark.bad_input
def test_bad_arguments(checkpoint):
    for names in (("text", "audio"), ("a", "b", "c", "d")):
        with expect.error(ModalityError, "RTIL.from_released_state_dict: modalities", str(list(names))):
            quietly(checkpoint, names)
    with expect.error(DtypeError, "RTIL.from_released_state_dict: state_dict", "mapping", "str"):
        quietly("checkpoint.pt")


@pytest.mark.bad_input
def test_only_published_models_have_released_names():
    with expect.error(SettingError, "RTIL.released_names: ", "published=True"):
        RTIL({"text": 3, "audio": 2, "vision": 4}).released_names()


@pytest.mark.parametrize(
    "setting",
    [
        {"gate": "off"},
        {"encoder": "convolution"},
        {"share_gate_head": False},
        {"query": "audio"},
        {"discriminator_loss": "cross_entropy"},
    ],
)
@pytest.mark.bad_input
def test_changed_parameters_have_no_released_names(setting):
    model = RTIL({"text": 3, "audio": 2, "vision": 4}, published=True, **setting)
    with expect.error(SettingError, "RTIL.released_names: ", next(iter(setting))):
        model.released_names()


@pytest.mark.parametrize("setting", [{"gate": "hard"}, {"gate": "soft"}, {"reverse_private": False}])
def test_settings_without_parameters_keep_the_names(setting):
    model = RTIL({"text": 3, "audio": 2, "vision": 4}, published=True, **setting)
    assert set(model.released_names()) == {name for name, _ in model.named_parameters()}


def test_a_loaded_model_trains(checkpoint):
    model = load(checkpoint).train()
    inputs = {name: torch.randn(4, 5, width) for name, width in model.widths.items()}
    model.objective(model(inputs), torch.randn(4, 2)).total.backward()
    dead = {name for name, p in model.named_parameters() if p.grad is None or (p.grad == 0).all()}
    assert dead == {name for name in dict(model.named_parameters()) if name.startswith("fusion.gates.")}
