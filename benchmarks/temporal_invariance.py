"""Temporal-invariant loss: time against the released loop, and peak memory of the per-sample form.

python -m benchmarks.temporal_invariance
"""

import argparse
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

from benchmarks._measure import interleaved, peak_bytes, ratios, spread, write
from mmdisentangle.functional import temporal_invariance

BATCH_SHAPE, SAMPLE_SHAPE = (16, 300, 128), (8, 5000, 256)


def released_loop(x: Tensor) -> Tensor:
    """The released arithmetic: batch mean of the softmax, then a Python loop over frames, time first."""
    x = x.transpose(0, 1)
    total = x.new_zeros(())
    for t in range(x.shape[0] - 1):
        p, q = x[t].softmax(-1).mean(0), x[t + 1].softmax(-1).mean(0)
        m = (p + q) / 2
        total = total + ((p * (p / m + 1e-10).log()).sum() + (q * (q / m + 1e-10).log()).sum()) / 2
    return total / (x.shape[0] - 1)


def forward_backward(loss, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    x.grad = None
    value = loss(x)
    value.backward()
    return value


def resident_growth() -> float:
    """Growth of resident memory at the peak of forward + backward, in units of the input's bytes (Linux)."""
    torch.set_num_threads(1)
    small = torch.randn(2, 8, 4, requires_grad=True)
    forward_backward(temporal_invariance, small)
    x = torch.randn(SAMPLE_SHAPE, requires_grad=True)
    # Forget the peak of the imports.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    forward_backward(temporal_invariance, x)
    return (_status("VmHWM") - before) * 1024 / (x.numel() * x.element_size())


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{key}:")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--resident", action="store_true", help="print the growth of resident memory, and nothing else")
    arguments = parser.parse_args()
    if arguments.resident:
        print(resident_growth())
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.randn(BATCH_SHAPE, requires_grad=True)

    def batch(x: Tensor) -> Tensor:
        return temporal_invariance(x, aggregation="batch")

    assert abs(released_loop(x) - batch(x)) < 1e-6
    seconds = interleaved(
        {"released loop": lambda: forward_backward(released_loop, x), "library": lambda: forward_backward(batch, x)},
        arguments.rounds,
        warmup=2,
    )
    speedup = ratios(seconds["released loop"], seconds["library"])
    print(f"batch aggregation at {BATCH_SHAPE}, forward + backward, one thread:")
    print(f"  {speedup['median']:.0f} times the released loop ({speedup['min']:.0f}..{speedup['max']:.0f})")

    x = torch.randn(SAMPLE_SHAPE, requires_grad=True)
    memory = peak_bytes(lambda: forward_backward(temporal_invariance, x)) / (x.numel() * x.element_size())
    command = [sys.executable, "-m", "benchmarks.temporal_invariance", "--resident"]
    resident = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    sample_seconds = interleaved({"library": lambda: forward_backward(temporal_invariance, x)}, 3)["library"]
    print(f"per sample at {SAMPLE_SHAPE}, forward + backward, in units of the input's bytes:")
    print(f"  {memory:.2f} live tensor bytes at peak, {resident:.2f} growth of resident memory (the gradient is 1.00)")
    write(
        "temporal_invariance",
        {
            "batch": {
                "shape": BATCH_SHAPE,
                "seconds": {name: spread(values) for name, values in seconds.items()},
                "times_released_loop": speedup,
            },
            "sample": {
                "shape": SAMPLE_SHAPE,
                "seconds": spread(sample_seconds),
                "peak_over_input": memory,
                "resident_growth_over_input": resident,
            },
        },
    )


if __name__ == "__main__":
    main()
