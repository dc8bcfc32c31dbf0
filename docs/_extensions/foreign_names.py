"""Links to the documentation of others without asking their sites: the names used here are listed in `_inventories`."""

import re
import zlib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.environment import BuildEnvironment

LISTS = Path(__file__).parents[1] / "_inventories"
ADDRESS = re.compile(r"https://\S+")

# Where a type says it lives, and where its documentation is.
DOCUMENTED = {
    "HeteroData": "torch_geometric.data.HeteroData",
    "Tensor": "torch.Tensor",
    "lightning.pytorch.callbacks.callback.Callback": "lightning.pytorch.callbacks.Callback",
    "lightning.pytorch.core.module.LightningModule": "lightning.pytorch.LightningModule",
    "lightning.pytorch.trainer.trainer.Trainer": "lightning.pytorch.Trainer",
    "torch._C.Generator": "torch.Generator",
    "torch.export.exported_program.ExportedProgram": "torch.export.ExportedProgram",
    "torch.nn.modules.module.Module": "torch.nn.Module",
}


def inventories(folder: Path) -> dict[str, tuple[str, str]]:
    """Write the lists in the form that intersphinx reads, and return its mapping."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for path in sorted(LISTS.glob("*.txt")):
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        address = ADDRESS.search(head)
        assert address is not None
        rows = (line.split() for line in lines)
        body = "".join(f"{name} {kind} 1 {page} -\n" for name, kind, page in rows)
        written = folder / f"{path.stem}.inv"
        preamble = f"# Sphinx inventory version 2\n# Project: {path.stem}\n# Version: \n# zlib\n"
        written.write_bytes(preamble.encode() + zlib.compress(body.encode()))
        mapping[path.stem] = (address.group().rstrip("/"), str(written))
    return mapping


def rename(app: Any, env: BuildEnvironment, node: nodes.Element, text: nodes.Node) -> None:
    """Look for a type under its documented name; intersphinx comes after this."""
    node["reftarget"] = DOCUMENTED.get(node["reftarget"], node["reftarget"])


def setup(app: Any) -> dict[str, Any]:
    app.connect("missing-reference", rename, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
