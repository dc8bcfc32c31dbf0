"""The result file of the suite: written, read, and checked against its schema."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import torch

from benchmarks._measure import RESULTS, environment

SCHEMA = json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8"))


def machine(device: torch.device) -> dict[str, Any]:
    """What the numbers depend on, the GPU's name included."""
    found = environment()
    if device.type == "cuda":
        found |= {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return found


def result_path(device: torch.device) -> Path:
    """``speed_cpu.json``, or a file that carries the GPU's name."""
    name = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device).lower().replace(" ", "_")
    return RESULTS / f"speed_{name}.json"


def write(path: Path, results: dict[str, Any]) -> None:
    """Write results that fit the schema; others are a defect of the suite."""
    jsonschema.validate(results, SCHEMA)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Read results, and check them."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(results, SCHEMA)
    return results
