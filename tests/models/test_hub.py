"""Sharing a model on the Hugging Face Hub, with a fake Hub."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch

from mmdisentangle.errors import CheckpointError
from mmdisentangle.models import create_model, list_models, load_pretrained
from tests.oracles import expect

WIDTHS = {"text": 4, "left.ear": 3}
REAL_API = huggingface_hub.HfApi


class FakeHub:
    """Takes the calls of `huggingface_hub.HfApi`, with the signatures of the real one, and keeps the files."""

    def __init__(self, store, token=None):
        self.store = store
        store.setdefault("tokens", []).append(token)

    def _record(self, name, *arguments, **settings):
        inspect.signature(getattr(REAL_API, name)).bind(None, *arguments, **settings)
        self.store.setdefault("calls", []).append((name, arguments, settings))

    def create_repo(self, *arguments, **settings):
        self._record("create_repo", *arguments, **settings)

    def create_branch(self, *arguments, **settings):
        self._record("create_branch", *arguments, **settings)

    def upload_folder(self, **settings):
        self._record("upload_folder", **settings)
        self.store["files"] = {path.name: path.read_bytes() for path in Path(settings["folder_path"]).iterdir()}
        return SimpleNamespace(commit_url="hub://commit/1")


@pytest.fixture
def hub(monkeypatch):
    store = {}
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda token=None: FakeHub(store, token))
    return store


@pytest.mark.parametrize("name", list_models())
def test_there_and_back(name, hub, monkeypatch, tmp_path):
    model = create_model(name, modalities=WIDTHS, num_outputs=2).eval()
    assert model.push_to_hub("someone/model", token="secret") == "hub://commit/1"
    assert hub["tokens"] == ["secret"]
    assert [call[0] for call in hub["calls"]] == ["create_repo", "upload_folder"]
    (_, repository, made), (_, _, uploaded) = hub["calls"]
    assert repository == ("someone/model",)
    assert made == {"private": True, "exist_ok": True}
    assert uploaded["repo_id"] == "someone/model"
    assert uploaded["revision"] is None
    assert sorted(hub["files"]) == ["README.md", "config.json", "model.safetensors"]

    def download(repository, *, revision, allow_patterns):
        assert (repository, revision) == ("someone/model", "main")
        for file in allow_patterns:
            (tmp_path / file).write_bytes(hub["files"][file])
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    loaded = load_pretrained("someone/model", revision="main")
    inputs = {name: torch.randn(3, 5, width) for name, width in WIDTHS.items()}
    assert torch.equal(loaded(inputs).prediction, model(inputs).prediction)


def test_branch_message_and_licence(hub):
    model = create_model("late_fusion", modalities=WIDTHS)
    model.push_to_hub("a/b", private=False, revision="v2", message="Better", license="cc-by-4.0")
    names = [call[0] for call in hub["calls"]]
    assert names == ["create_repo", "create_branch", "upload_folder"]
    assert hub["calls"][0][2]["private"] is False
    assert hub["calls"][1][2] == {"branch": "v2", "exist_ok": True}
    assert hub["calls"][2][2]["revision"] == "v2"
    assert hub["calls"][2][2]["commit_message"] == "Better"
    assert "license: cc-by-4.0" in hub["files"]["README.md"].decode()


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["model", "a/b/c", "/a", "a/", "./a", "~/a"])
def test_names_that_are_none(hub, name):
    with expect.error(CheckpointError, "push_to_hub: ", "owner/name", repr(name)):
        create_model("late_fusion", modalities=WIDTHS).push_to_hub(name)
    assert not hub


@pytest.mark.parametrize("name", list_models())
def test_card(name, tmp_path):
    model = create_model(name, modalities=WIDTHS, num_outputs=2)
    model.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: mmdisentangle\nlicense: mit\npipeline_tag: other\n")
    data = huggingface_hub.ModelCard(card).data
    assert data.library_name == "mmdisentangle"
    assert set(data.tags) == {"multimodal", "disentanglement", name.replace("_", "-")}
    assert "arXiv:" in card
    assert "| `left.ear` | 3 |" in card
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert f"{parameters:,} parameters" in card
    # The example of the card runs.
    code = card.partition("```python\n")[2].partition("```")[0].replace("path or owner/name", str(tmp_path))
    found = {}
    exec(code, found)
    assert found["prediction"].shape == (1, 2)


def test_a_card_written_by_hand_stays(tmp_path):
    model = create_model("late_fusion", modalities=WIDTHS)
    model.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path, license="apache-2.0")
    card = tmp_path / "README.md"
    assert "license: apache-2.0" in card.read_text(encoding="utf-8")
    card.write_text("Mine.", encoding="utf-8")
    model.save_pretrained(tmp_path)
    assert card.read_text(encoding="utf-8") == "Mine."
