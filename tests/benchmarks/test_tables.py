"""Tables of README and docs are those of the committed results."""

import pytest

from benchmarks import tables

PAGES = [tables.ROOT / "README.md", *sorted((tables.ROOT / "docs").rglob("*.md"))]
WITH_TABLES = [page for page in PAGES if tables.TABLE.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WITH_TABLES, ids=lambda page: page.relative_to(tables.ROOT).as_posix())
def test_tables_are_those_of_the_results(page):
    text = page.read_text(encoding="utf-8")
    assert tables.renewed(text) == text, "run python -m benchmarks.tables"


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
