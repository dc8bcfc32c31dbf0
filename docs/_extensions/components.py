"""Parts of a component's page that are made from its code: formula, names, cost, each for one file stem.

``{formula} hsic`` shows the formulas of the docstrings of ``hsic.py``, ``{parts} hsic`` its public names with what they
say of themselves, and ``{cost} hsic`` the plots that ``make bench`` drew of it.
"""

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from mmdisentangle import functional, nn

ROOMS = (functional, nn)
PAGES = Path(__file__).parents[1] / "components"
PLOTS = Path(__file__).parents[1] / "_static" / "speed" / "cpu"
FORMULA = re.compile(r"^\.\. math::.*\n(?:(?:[ ]+.*)?\n)*", re.MULTILINE)


def stem_of(value: Any) -> str:
    """Name of the file that defines a public name."""
    return value.__module__.rsplit(".", 1)[-1].lstrip("_")


def names_of(stem: str) -> Iterator[tuple[str, Any]]:
    """Public names that the files of a stem define, as written in user code, functions first."""
    seen = set()
    for room in ROOMS:
        for name in room.__all__:
            value = getattr(room, name)
            if stem_of(value) == stem and value not in seen:
                seen.add(value)
                yield f"{room.__name__}.{name}", value


def stems() -> list[str]:
    """Every stem that has a page: those of the public functions and modules."""
    return sorted({stem_of(getattr(room, name)) for room in ROOMS for name in room.__all__})


def formulas_of(stem: str) -> list[str]:
    """Blocks ``.. math::`` of the docstrings of the functions, or of the modules where no function has one."""
    of_functions, of_classes = (
        [block.strip() for _, value in names_of(stem) if inspect.isclass(value) is wanted for block in blocks_of(value)]
        for wanted in (False, True)
    )
    return list(dict.fromkeys(of_functions or of_classes))


def blocks_of(value: Any) -> list[str]:
    return FORMULA.findall(f"{inspect.getdoc(value)}\n")


def plots_of(stem: str) -> list[Path]:
    """Plots of the stem's benchmark cases."""
    others = [other for other in stems() if other.startswith(f"{stem}_")]
    plots = [path for path in PLOTS.glob("*.svg") if path.stem == stem or path.stem.startswith(f"{stem}_")]
    return sorted(path for path in plots if not any(path.stem.startswith(other) for other in others))


class FromCode(SphinxDirective, ABC):
    """Parses the lines that a subclass makes from a stem."""

    required_arguments = 1

    @abstractmethod
    def lines(self, stem: str) -> Iterator[str]:
        """reStructuredText, a line or several at a time."""

    def run(self) -> list[nodes.Node]:
        stem = self.arguments[0]
        for _, value in names_of(stem):
            self.env.note_dependency(inspect.getfile(value))
        made = "\n".join(self.lines(stem))
        if not made:
            raise self.error(f"nothing to show of the stem {stem}")
        return self.parse_text_to_nodes(f"```{{eval-rst}}\n{made}\n```")


class Formula(FromCode):
    def lines(self, stem: str) -> Iterator[str]:
        for block in formulas_of(stem):
            yield from (block, "")


class Parts(FromCode):
    def lines(self, stem: str) -> Iterator[str]:
        for name, value in names_of(stem):
            role = "class" if inspect.isclass(value) else "func"
            yield f":py:{role}:`{name.removeprefix('mmdisentangle.')} <{name}>`"
            yield f"    {(inspect.getdoc(value) or '').splitlines()[0]}"
            yield ""


class Overview(SphinxDirective):
    """A table of stems, one a line: the page, its first sentence, its names."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        lines = ["| | | |", "|---|---|---|"]
        for stem in filter(None, map(str.strip, self.content)):
            page = PAGES / f"{stem}.md"
            self.env.note_dependency(str(page))
            title, said = beginning(page.read_text(encoding="utf-8"))
            # Results are found beside what returns them.
            main = [name for name, value in names_of(stem) if not hasattr(value, "_fields")]
            roles = (f"{{py:obj}}`{name.rsplit('.', 1)[-1]} <{name}>`" for name in main)
            lines.append(f"| [{title}]({stem}.md) | {said} | {', '.join(roles)} |")
        return self.parse_text_to_nodes("\n".join(lines))


def beginning(page: str) -> tuple[str, str]:
    """Title and first sentence of a page, without its citations."""
    title, said = page.removeprefix("# ").split("\n\n", 2)[:2]
    sentence = re.split(r"(?<=\.)\s", re.sub(r"\s*\{cite:.\}`[^`]*`", "", said))[0]
    return title, " ".join(sentence.split()).replace("|", r"\|")


class Cost(FromCode):
    def lines(self, stem: str) -> Iterator[str]:
        for path in plots_of(stem):
            self.env.note_dependency(str(path))
            yield f".. figure:: /_static/speed/cpu/{path.name}"
            yield f"   :alt: time and memory of {path.stem} against the length"
            yield "   :figclass: plot"
            yield ""


def setup(app: Any) -> dict[str, Any]:
    for name, directive in {"formula": Formula, "parts": Parts, "cost": Cost, "overview": Overview}.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
