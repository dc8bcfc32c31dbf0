"""One training step on one very long sequence: seconds and the peak of resident memory.

    python -m benchmarks.long_sequences                  # both models at 20,000 frames, minutes; rewrites the result
    python -m benchmarks.long_sequences --frames 2000    # seconds; writes no result

A step is forward, objective and backward, dropout on, on one sequence of three modalities of equal length. Every model
runs in a process of its own, and the peak is that of the process (VmHWM), so Linux only: interpreter, torch, weights,
inputs and gradients are in it.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks._measure import write
from mmdisentangle import create_model

WIDTHS = {"text": 768, "audio": 74, "vision": 47}
FRAMES = 20_000
# All other settings are the defaults.
SETTINGS: dict[str, dict[str, Any]] = {
    "rtil": {"checkpoint_activations": True},
    "mea": {"checkpoint_activations": True, "window": 64},
}


def measure(name: str, frames: int) -> dict[str, float]:
    """Seconds of one step and GiB of resident memory at its peak, of this process."""
    torch.manual_seed(0)
    model = create_model(name, modalities=WIDTHS, num_outputs=1, **SETTINGS[name]).train()
    inputs = {modality: torch.randn(1, frames, width) for modality, width in WIDTHS.items()}
    before = _resident("VmRSS")
    start = time.perf_counter()
    objective = model.objective(model(inputs), torch.ones(1, 1))
    forward = time.perf_counter() - start
    objective.total.backward()
    seconds = time.perf_counter() - start
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients
    assert all(bool(torch.isfinite(x).all()) for x in (*objective, *gradients))
    return {"seconds": seconds, "forward_seconds": forward, "gib_before": before, "peak_gib": _resident("VmHWM")}


def _resident(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{key}:"))) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--model", choices=tuple(SETTINGS))
    parser.add_argument("--measure", action="store_true", help="run one model in this process, and print JSON")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.model, arguments.frames)))
        return
    rows = {}
    for name in SETTINGS if arguments.model is None else (arguments.model,):
        command = [sys.executable, "-m", "benchmarks.long_sequences", "--measure", f"--model={name}"]
        command.append(f"--frames={arguments.frames}")
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows[name] = {"settings": SETTINGS[name], **found}
        print(
            f"{name}, {arguments.frames:,} frames x {len(WIDTHS)} modalities: {found['seconds']:.0f} s, "
            f"{found['peak_gib']:.2f} GiB at the peak",
            flush=True,
        )
    if arguments.model is None and arguments.frames == FRAMES:
        write("long_sequences", {"frames": FRAMES, "batch": 1, "widths": WIDTHS, "models": rows})


if __name__ == "__main__":
    main()
