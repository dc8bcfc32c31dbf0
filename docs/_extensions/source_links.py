"""Links from the API pages to the lines of the source, on a host that the environment names."""

import importlib
import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "MMDISENTANGLE_SOURCE_URL"


def source_url() -> str | None:
    """Where the files of the repository are shown, for instance ``https://HOST/OWNER/mmdisentangle/blob/v0.1.0``."""
    return os.environ.get(VARIABLE, "").rstrip("/") or None


def resolver(url: str) -> Callable[[str, Mapping[str, str]], str | None]:
    """Make the ``linkcode_resolve`` of a ``conf.py``."""

    def resolve(domain: str, info: Mapping[str, str]) -> str | None:
        if domain != "py" or not info["module"]:
            return None
        found: Any = importlib.import_module(info["module"])
        for name in info["fullname"].split("."):
            # Fields of data classes without a default are no attributes of the class.
            if not hasattr(found, name):
                return None
            found = getattr(found, name)
        found = inspect.unwrap(found.fget if isinstance(found, property) else found)
        try:
            file = Path(inspect.getsourcefile(found) or "").resolve()
            lines, first = inspect.getsourcelines(found)
        except (TypeError, OSError):
            return None
        if ROOT / "mmdisentangle" not in file.parents:
            return None
        return f"{url}/{file.relative_to(ROOT).as_posix()}#L{first}-L{first + len(lines) - 1}"

    return resolve
