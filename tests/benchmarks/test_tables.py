"""Tables of README and docs are those of the committed results."""

import pytest

from benchmarks import tables

PAGES = [tables.ROOT / "README.md", *sorted((tables.ROOT / "docs").rglob("*.md"))]
WITH_TABLES = [page for page in PAGES if "<!-- " in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_TABLES, ids=lambda page: page.relative_to(tables.ROOT).as_posix())
def test_tables_are_those_of_the_results(page):
    text = page.read_text(encoding="utf-8")
    assert tables.renewed(text) == text, "run python -m benchmarks.tables"


@pytest.mark.parametrize("page", WITH_TABLES, ids=lambda page: page.relative_to(tables.ROOT).as_posix())
def test_numbers_stand_within_a_line(page):
    """A comment at the start of a line makes HTML of the rest, Markdown included."""
    lines = page.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.lstrip().startswith(("<!-- effect", "<!-- score"))]


def test_every_table_stands_somewhere():
    text = "".join(page.read_text(encoding="utf-8") for page in WITH_TABLES)
    assert {found[2] for found in tables.TABLE.finditer(text)} == set(tables.TABLES)


def test_a_wrong_number_is_renewed():
    page = "a\n<!-- table zoo -->\n\n| RTIL | 0.999 |\n\n<!-- end of table -->\nb\n"
    found = tables.renewed(page)
    assert "0.999" not in found
    assert found.startswith("a\n<!-- table zoo -->\n\n| model | parameters (UTD-MHAD) |")
    assert found.endswith("|\n\n<!-- end of table -->\nb\n")
    assert tables.renewed(found) == found


def test_a_wrong_number_between_other_words_is_renewed(monkeypatch):
    found = {
        "rows": {"gate, b": {"accuracy": {"mean": 0.5, "std": 0.25}}},
        "effects": {"gate, b": {"accuracy": {"mean": -0.125, "std": 0.0625}}},
    }
    asked = []
    monkeypatch.setattr(tables, "read", lambda name: asked.append(name) or found)
    line = "| a <!-- {} rtil accuracy: gate, b -->{}<!-- end --> | <!-- {} rtil accuracy: gate, b -->{}<!-- end --> |"
    page = line.format("effect", "9", "score", "")
    assert tables.renewed(page) == line.format("effect", "-0.125\u00a0±\u00a00.062", "score", "0.500\u00a0±\u00a00.250")
    assert set(asked) == {"deviations_utd_mhad_rtil"}
