import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mmdisentangle.errors import CheckpointError
from mmdisentangle.models import RTIL, load_pretrained
from tests.oracles import expect

NAMES = ("text", "left.ear", "two words", "keys")


def small(**settings):
    return RTIL({"text": 4, "audio": 3}, hidden_features=8, encoder_blocks=1, **settings)


@pytest.fixture
def saved(tmp_path):
    small(discriminator_loss="cosine_margin").save_pretrained(tmp_path)
    return tmp_path


def test_files_of_the_hub_layout(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((saved / "config.json").read_text())
    assert config["model"] == "rtil"
    assert config["modalities"] == {"text": 4, "audio": 3}
    assert list(config["modalities"]) == ["text", "audio"]
    assert (
        load_file(saved / "model.safetensors").keys() == small(discriminator_loss="cosine_margin").state_dict().keys()
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"task": "classification", "class_weights": (1.0, 2.0), "num_outputs": 2, "label_smoothing": 0.1},
        {"target_location": [1.0, 2.0], "target_scale": [3.0, 4.0], "num_outputs": 2},
        {"temporal_modalities": ("left.ear",), "query": "keys", "rates": dict.fromkeys(NAMES, 5.0)},
        {"gate": "off", "discriminator_loss": "cross_entropy"},
        {"share_gate_head": True, "encoder": "released"},
    ],
)
def test_round_trip(tmp_path, settings):
    model = RTIL(dict(zip(NAMES, (4, 3, 2, 6), strict=True)), hidden_features=8, encoder_blocks=1, **settings).eval()
    model.discriminator.reversal.set_strength(0.125)
    model.save_pretrained(tmp_path)
    loaded = RTIL.from_pretrained(tmp_path)
    assert loaded.config == model.config
    assert loaded.settings == model.settings
    assert not loaded.training
    for (name, one), (other_name, other) in zip(model.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert name == other_name
        assert torch.equal(one, other)
    inputs = {name: torch.randn(2, 3, width) for name, width in model.widths.items()}
    assert torch.equal(loaded(inputs).prediction, model(inputs).prediction)


def test_published_round_trip(tmp_path):
    model = RTIL({"a": 4, "b": 2, "c": 3}, published=True, hidden_features=8)
    model.save_pretrained(str(tmp_path))
    loaded = load_pretrained(str(tmp_path))
    assert loaded.is_published
    assert loaded.released_names() == model.released_names()


def test_saving_over_an_older_checkpoint(saved):
    other = small(gate="off")
    other.save_pretrained(saved)
    assert load_pretrained(saved).settings.gate == "off"


class Encoder(nn.Linear):
    def forward(self, x, mask):
        return super().forward(x)


def test_encoders_of_ones_own(tmp_path):
    model = small(encoders={"audio": Encoder(3, 5)}).eval()
    model.save_pretrained(tmp_path)
    loaded = load_pretrained(tmp_path, encoders={"audio": Encoder(3, 5)})
    inputs = {"text": torch.randn(2, 3, 4), "audio": torch.randn(2, 3, 3)}
    assert torch.equal(loaded(inputs).prediction, model(inputs).prediction)
    with expect.error(CheckpointError, "'audio'", "encoders={...}"):
        load_pretrained(tmp_path)


def change_config(folder, **changes):
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


@pytest.mark.parametrize("load", [RTIL.from_pretrained, load_pretrained])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "config.json").unlink(), ("holds no config.json",)),
        (lambda f: (f / "model.safetensors").unlink(), ("holds no model.safetensors",)),
        (lambda f: (f / "config.json").write_text('{"model": "rt'), ("config.json", "JSON")),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), ("config.json", "JSON")),
        (lambda f: (f / "config.json").write_text("[1]"), ("config.json", "'model'")),
        (lambda f: change_config(f, model=...), ("config.json", "'model'")),
        (lambda f: change_config(f, model=3), ("config.json", "'model'")),
        (lambda f: change_config(f, modalities=...), ("config.json", "modalities")),
        (lambda f: change_config(f, modalities=[1, 2]), ("config.json", "modalities")),
        (lambda f: change_config(f, hidden_features="x"), ("config.json", "hidden_features", "'x'")),
        (lambda f: change_config(f, hidden=8), ("config.json", "'hidden'", "'hidden_features'")),
        (lambda f: change_config(f, hidden_features=4), ("model.safetensors", "shape", "expected", "more")),
        (lambda f: change_config(f, gate="off"), ("model.safetensors", "unknown 'fusion.gates.")),
        (lambda f: change_config(f, discriminator_loss="cross_entropy"), ("lacks 'discriminator.classifier.bias'",)),
        (lambda f: (f / "model.safetensors").write_bytes(b""), ("model.safetensors", "cannot be read")),
        (
            lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-100]),
            ("model.safetensors", "cannot be read"),
        ),
        (
            lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:50]),
            ("model.safetensors", "cannot be read"),
        ),
        (lambda f: save_file({"a": torch.zeros(1)}, f / "model.safetensors"), ("lacks", "and", "more")),
    ],
)
@pytest.mark.bad_input
def test_broken_checkpoints(saved, load, damage, words):
    damage(saved)
    with expect.error(CheckpointError, *words):
        load(saved)


@pytest.mark.bad_input
def test_the_checkpoint_of_another_model(saved):
    change_config(saved, model="misa")
    with expect.error(CheckpointError, "from_pretrained: ", "'misa'", "'rtil'", "load_pretrained"):
        RTIL.from_pretrained(saved)


@pytest.mark.parametrize("source", ["nowhere", "/no/such/folder", "./a/b", "a/b/c"])
@pytest.mark.bad_input
def test_no_such_folder(source):
    with expect.error(CheckpointError, repr(source), "config.json", "owner/name"):
        load_pretrained(source)


@pytest.mark.bad_input
def test_a_file_instead_of_a_folder(saved):
    with expect.error(CheckpointError, "config.json", "no folder"):
        load_pretrained(saved / "config.json")


@pytest.mark.bad_input
def test_a_repository_that_cannot_be_reached(monkeypatch):
    def unreachable(*arguments, **settings):
        raise OSError("no network here")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with expect.error(CheckpointError, "'someone/rtil'", "Hugging Face Hub", "no network here"):
        load_pretrained("someone/rtil")


def test_a_repository_is_downloaded(monkeypatch, saved):
    calls = []

    def download(name, *, revision, allow_patterns):
        calls.append((name, revision, sorted(allow_patterns)))
        return str(saved)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert isinstance(load_pretrained("someone/rtil", revision="v1"), RTIL)
    assert calls[0] == ("someone/rtil", "v1", ["config.json", "model.safetensors"])
