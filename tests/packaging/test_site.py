"""The scripts around the site: the check of its links and names, and links from the API to the lines of the source."""

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import mmdisentangle
from mmdisentangle import errors, nn

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of two pages, with a picture, an anchor and a folder, where every link leads somewhere."""
    (tmp_path / "guides").mkdir()
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a b.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(
        '<link rel="canonical" href="https://example.org/"><img src="_static/a%20b.png?v=1">'
        '<a href="guides/one.html#here">one</a><a href="guides">all</a><a href="#">top</a>'
        '<a href="https://example.org/elsewhere">elsewhere</a>',
        encoding="utf-8",
    )
    (tmp_path / "guides" / "one.html").write_text('<h1 id="here">One</h1><a href="../index.html">up</a>', "utf-8")
    (tmp_path / "guides" / "index.html").write_text('<a href="one.html">one</a>', "utf-8")
    return tmp_path


def test_a_whole_site_has_no_broken_link(site: Path) -> None:
    assert load(DOCS / "check_site.py").broken(site) == []


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ('<a href="two.html">', "two.html does not exist"),
        ('<a href="one.html#there">', "one.html#there has no such anchor"),
        ('<a href="#there">', "#there has no such anchor"),
        ('<img src="../_static/c.png">', "../_static/c.png does not exist"),
        ('<script src="https://example.org/x.js">', "loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "loads //example.org/x.css"),
    ],
)
def test_what_leads_nowhere_is_named(site: Path, written: str, complaint: str) -> None:
    page = site / "guides" / "one.html"
    page.write_text(page.read_text("utf-8") + written, "utf-8")
    assert load(DOCS / "check_site.py").broken(site) == [f"guides/one.html: {complaint}"]


def test_an_empty_folder_is_no_site(tmp_path: Path) -> None:
    (complaint,) = load(DOCS / "check_site.py").broken(tmp_path)
    assert complaint.startswith("there is no page")


def test_a_public_name_without_a_page_is_named(tmp_path: Path) -> None:
    pages = tmp_path / "api" / "generated"
    pages.mkdir(parents=True)
    names = [name for name in errors.__all__ if name != "ShapeError"]
    for name in names:
        anchor = "" if name == "DataError" else f'id="mmdisentangle.errors.{name}"'
        (pages / f"mmdisentangle.errors.{name}.html").write_text(f"<dt {anchor}>", "utf-8")
    assert load(DOCS / "check_site.py").unseen(tmp_path, ["mmdisentangle.errors"]) == [
        f"mmdisentangle.errors.{name} has no page" for name in errors.__all__ if name in ("DataError", "ShapeError")
    ]


class TestSourceLinks:
    @pytest.fixture
    def resolve(self):
        return load(DOCS / "_extensions" / "source_links.py").resolver("https://example.org/blob/v1")

    @pytest.mark.parametrize("name", ["TemporalInvariantLoss", "GradientReversal.forward", "SharedPrivateEncoder"])
    def test_the_lines_are_those_of_the_object(self, resolve, name: str) -> None:
        found = nn
        for part in name.split("."):
            found = getattr(found, part)
        url, _, lines = resolve("py", {"module": "mmdisentangle.nn", "fullname": name}).partition("#")
        first, last = (int(line.lstrip("L")) for line in lines.split("-"))
        root = Path(mmdisentangle.__file__).parents[1]
        source = (root / url.removeprefix("https://example.org/blob/v1/")).read_text("utf-8").splitlines()
        assert [line + "\n" for line in source[first - 1 : last]] == inspect.getsourcelines(found)[0]

    @pytest.mark.parametrize(
        ("domain", "module", "name"),
        [
            ("c", "mmdisentangle.nn", "GradientReversal"),
            ("py", "", "GradientReversal"),
            ("py", "mmdisentangle", "__version__"),
            ("py", "mmdisentangle.models", "RTILOutput.no_such_field"),
            ("py", "torch.nn", "Linear"),
        ],
    )
    def test_what_has_no_source_here_has_no_link(self, resolve, domain: str, module: str, name: str) -> None:
        assert resolve(domain, {"module": module, "fullname": name}) is None

    def test_the_host_comes_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        source_url = load(DOCS / "_extensions" / "source_links.py").source_url
        monkeypatch.delenv("MMDISENTANGLE_SOURCE_URL", raising=False)
        assert source_url() is None
        monkeypatch.setenv("MMDISENTANGLE_SOURCE_URL", "https://example.org/blob/v1/")
        assert source_url() == "https://example.org/blob/v1"
