"""Every component has its page, of one form, with a picture that a script draws."""

import importlib
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = DOCS / "components"
HEADINGS = [
    "Formula",
    "When to use it",
    "When not to",
    "Example",
    "Cost",
    "Related",
    "In the code",
    "Papers",
]
FENCE = re.compile(r"^(```+).*?^\1$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def stems() -> list[str]:
    pytest.importorskip("sphinx")
    sys.path.insert(0, str(DOCS / "_extensions"))
    try:
        return importlib.import_module("components").stems()
    finally:
        sys.path.remove(str(DOCS / "_extensions"))


def test_every_component_has_a_page(stems: list[str]) -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"index"}
    assert pages == set(stems)


def test_pages_have_one_form(stems: list[str]) -> None:
    for stem in stems:
        text = (PAGES / f"{stem}.md").read_text(encoding="utf-8")
        assert re.findall(r"^## (.*)$", FENCE.sub("", text), re.MULTILINE) == HEADINGS, stem
        assert text.startswith("# "), stem
        for directive in ("formula", "parts"):
            assert f"```{{{directive}}} {stem}\n```" in text, (stem, directive)
        assert re.search(r"^```python$", text, re.MULTILINE), stem
        assert f"](pictures/{stem}.svg)" in text.partition("## Formula")[0], stem


def test_every_picture_has_a_script_and_a_page(stems: list[str]) -> None:
    pictures = {path.stem for path in (PAGES / "pictures").glob("*.svg")}
    scripts = {path.stem for path in (DOCS / "pictures").glob("*.py") if not path.stem.startswith("method_")}
    assert pictures == scripts == set(stems)


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (PAGES / "pictures").glob("*.svg")}
    assert not {name: size for name, size in sizes.items() if size > 60 * 1024}
