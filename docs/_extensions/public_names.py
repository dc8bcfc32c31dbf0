"""The role of single backticks in docstrings: a public name, wherever in the package it lives."""

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


def setup(app: Any) -> dict[str, Any]:
    app.add_role("name", NameRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
