"""How docstrings become pages: single backticks name a public part, wherever in the package it lives."""

from typing import Any

from docutils import nodes
from sphinx.domains.python import PyXRefRole


class NameRole(PyXRefRole):
    """Like ``:py:obj:``, but the name need not be spelt with its module."""

    def process_link(
        self, env: Any, refnode: nodes.Element, has_explicit_title: bool, title: str, target: str
    ) -> tuple[str, str]:
        title, target = super().process_link(env, refnode, has_explicit_title, title, target)
        refnode["refdomain"], refnode["reftype"] = "py", "obj"
        refnode["refspecific"] = True
        return title, target


def skip_member(app: Any, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave the fields of named tuples to the docstring of the class, and the parts of a repr to the reader."""
    return True if type(member).__name__ == "_tuplegetter" or name == "extra_repr" else None


def readable_defaults(
    app: Any, what: str, name: str, value: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write defaults that a factory makes as ``...``, which can be parsed."""
    return signature and signature.replace("<factory>", "..."), returns


def describe_constant(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Send the reader of a constant, whose docstring is that of its type, to the example of its room."""
    if what == "data":
        lines[:] = [f"A constant; :py:mod:`{name.rpartition('.')[0]}` says what it is for, with an example.", ""]


def setup(app: Any) -> dict[str, Any]:
    app.add_role("name", NameRole())
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-signature", readable_defaults)
    app.connect("autodoc-process-docstring", describe_constant)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
