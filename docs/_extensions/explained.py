"""A link from every page of the API to the page that explains what it describes, and says when not to use it."""

import inspect
from pathlib import Path
from typing import Any

from components import stem_of, stems

DOCS = Path(__file__).parents[1]
# Where there is no page of the part itself: the guide to its room.
GUIDES = {
    "kernels": "guides/kernels",
    "data": "guides/data",
    "evaluation": "guides/evaluation",
    "training": "guides/training",
    "testing": "guides/contract",
    "models": "models/index",
    "errors": "guides/troubleshooting",
}
# And the guides to parts of a room, by file.
STEMS = {
    **dict.fromkeys(
        ("leakage", "leakage_result", "leakage_page", "part_use", "probes", "verdict", "verdicts"), "leakage"
    ),
    **dict.fromkeys(("export", "pretrained"), "sharing"),
    **dict.fromkeys(("shards", "shard_writer", "lazy"), "large_data"),
    "degradation": "missing_modalities",
    "monitor": "adversary",
    "text": "text",
}


def page_of(room: str, value: Any) -> str | None:
    """Page that explains a public class or function, from the top of the documentation; None where there is none."""
    stem = stem_of(value)
    if room in ("functional", "nn"):
        return f"components/{stem}" if stem in stems() else None
    if stem in STEMS:
        return f"guides/{STEMS[stem]}"
    if room == "models":
        stem = stem.removesuffix("_settings")
        pages = (f"methods/{stem}", f"models/{stem}")
        return next((page for page in pages if (DOCS / f"{page}.md").is_file()), GUIDES[room])
    return GUIDES.get(room)


def explain(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Say where a public name of a room is explained, below its docstring."""
    parts = name.split(".")
    if len(parts) != 3 or parts[0] != "mmdisentangle" or not (inspect.isclass(value) or inspect.isroutine(value)):
        return
    page = page_of(parts[1], value)
    if page is not None:
        lines += ["", f"Explained in :doc:`/{page}`.", ""]


def setup(app: Any) -> dict[str, Any]:
    # After napoleon, which rewrites the whole docstring.
    app.connect("autodoc-process-docstring", explain, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
