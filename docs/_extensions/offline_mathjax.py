"""Formulas without a network: MathJax from an installed package, one file, beside the pages."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

SCRIPT = "tex-svg.js"


def setup(app: Any) -> dict[str, Any]:
    app.config.mathjax_path = f"mathjax/{SCRIPT}"
    app.config.mathjax_loading_method = "defer"
    app.connect("build-finished", copy_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def copy_script(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        package = importlib.util.find_spec("sphinx-mathjax-offline")
        assert package is not None
        assert package.origin is not None
        target = Path(app.outdir, "_static", "mathjax", SCRIPT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(package.origin).parent / "static" / "mathjax" / SCRIPT, target)
