"""Every public name has a docstring with an example, and a page of the API reference."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import mmdisentangle

API_PAGE = Path(__file__).resolve().parents[2] / "docs" / "api" / "index.md"
# Their help is their documentation.
COMMAND_LINE = "mmdisentangle.training.commands"
# The whole example needs more than a test may have.
NOT_RUN = {
    "TextEncoder": "downloads a language model",
    "TextFeatures": "downloads a language model",
    "encode_texts": "downloads a language model",
}


def find_rooms() -> dict[str, ModuleType]:
    """Return every package without an underscore in its path, and every such module of the uppermost floor."""
    found = pkgutil.walk_packages(mmdisentangle.__path__, "mmdisentangle.")
    names = [entry.name for entry in found if entry.ispkg or entry.name.count(".") == 1]
    public = [name for name in names if "._" not in name and name != COMMAND_LINE]
    return {name: importlib.import_module(name) for name in ("mmdisentangle", *public)}


ROOMS = find_rooms()


def find_values(room: ModuleType) -> dict[str, Any]:
    """Return what a room offers by name; a room inside it speaks for itself."""
    values = {name: getattr(room, name) for name in room.__all__}
    return {name: value for name, value in values.items() if not inspect.ismodule(value)}


def find_trouble(room: ModuleType, name: str, value: Any) -> str | None:
    """Return what the docstring of a name lacks; a constant, which has none, is shown in that of its room."""
    constant = not (inspect.isclass(value) or inspect.isroutine(value))
    # Not inspect.getdoc: a class must not pass with the example of its base.
    text = (room if constant else value).__doc__ or ""
    examples = [example for example in doctest.DocTestParser().get_examples(text) if not constant or name in text]
    if not examples:
        return "no example"
    runs = any(not example.options.get(doctest.SKIP) for example in examples)
    if not runs and name not in NOT_RUN:
        return "an example of which nothing is run"
    return "an example that runs: take it from NOT_RUN" if runs and name in NOT_RUN else None


def test_rooms_are_found() -> None:
    """Every part of the uppermost floor says what it offers."""
    silent = [name for name, room in ROOMS.items() if name.count(".") <= 1 and not getattr(room, "__all__", None)]
    assert not silent, "without __all__"
    assert {"mmdisentangle.nn.graph", "mmdisentangle.evaluation.factors", "mmdisentangle.errors"} < ROOMS.keys()


@pytest.mark.parametrize("name", [name for name, room in ROOMS.items() if getattr(room, "__all__", None)])
def test_every_name_has_an_example(name: str) -> None:
    found = {key: find_trouble(ROOMS[name], key, value) for key, value in find_values(ROOMS[name]).items()}
    assert not {key: trouble for key, trouble in found.items() if trouble}


def test_every_name_has_a_page() -> None:
    """A page is made of each name of each room that the API page lists."""
    if not API_PAGE.is_file():
        pytest.skip("a source archive has no documentation")
    listed = re.findall(r"^ +(mmdisentangle[.\w]*)$", API_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(listed) <= ROOMS.keys(), "listed, but no room"
    shown = {id(value) for name in listed for value in find_values(ROOMS[name]).values()}
    missing = {
        name: [key for key, value in find_values(room).items() if id(value) not in shown]
        for name, room in ROOMS.items()
        if getattr(room, "__all__", None)
    }
    assert not {name: names for name, names in missing.items() if names}
    floor = [name for name in ROOMS if name.count(".") == 1]
    assert not set(floor) - set(listed), "not on the API page"
