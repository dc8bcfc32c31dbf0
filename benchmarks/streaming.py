"""Training from disk on more data than the process may hold: memory, speed, and the time spent waiting for batches.

    python -m benchmarks.streaming                    # 200,000 samples, half an hour; rewrites the result
    python -m benchmarks.streaming --samples 5000     # a minute; writes no result
    python -m benchmarks.streaming --folder shards    # keeps data and finished trainings there, and uses them again

One epoch of a small RTIL over synthetic shards, split, statistics and validation included, once for each number of
loader processes. Every training runs in a process of its own that may have 1 GiB of private memory beside what it has
when it starts (RLIMIT_DATA, inherited by the loader's processes). That the limit holds is shown by reading the samples
into a list under it, which fails. Pages of the mapped files are not in the limit: the system takes them back when
memory is short. Linux only.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks._measure import write
from benchmarks._runs import cached
from mmdisentangle.data import MultimodalSample, SampleStream, load_shards, write_shards
from mmdisentangle.training import fit, load_config

SAMPLES, FRAMES, BATCH = 200_000, 100, 256
WIDTHS = {"motion": 16, "sound": 8}
MODEL = {"hidden_features": 8, "num_heads": 2, "encoder_blocks": 2}
WORKERS = (0, 1, 2)
SPARE = 2**30
_MIB = 2**20


def stream(count: int) -> Iterator[MultimodalSample]:
    """Noise around a level that the modalities share and the target tells."""
    generator = torch.Generator().manual_seed(0)
    for index in range(count):
        level = torch.randn((), generator=generator)
        inputs = {name: level + torch.randn(FRAMES, width, generator=generator) for name, width in WIDTHS.items()}
        yield MultimodalSample(inputs, level, str(index))


def generate(folder: Path, count: int) -> None:
    """Write the shards, unless they are there."""
    if folder.is_dir():
        return
    start = time.perf_counter()
    write_shards(folder, {"train": SampleStream(stream(count), WIDTHS, name="streaming")})
    print(f"wrote {count:,} samples in {time.perf_counter() - start:.0f} s", flush=True)


def size(folder: Path) -> int:
    """Bytes of the shards."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def measure(folder: Path, workers: int) -> dict[str, Any]:
    """One epoch under the limit, in this process."""
    # One thread computes, so that a loader process has a core where there are two.
    torch.set_num_threads(1)
    data = load_shards(folder)
    settings = ["training.max_epochs=1", "training.accelerator=cpu", f"data.batch_size={BATCH}", "optim.lr=3e-3"]
    settings += [f"data.num_workers={workers}", *(f"model.{name}={value}" for name, value in MODEL.items())]
    config = load_config(overrides=settings)
    # Once around, so that everything is imported and the allocator has what it needs for a batch.
    fit(config, train=data.subset(range(2 * BATCH)))
    before = _kibibytes(Path("/proc/self/status"), "VmData") * 1024
    limit = before + SPARE
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    peaks = _Peaks()
    start = time.perf_counter()
    result = fit(config, train=data)
    seconds = time.perf_counter() - start
    peaks.stop()
    try:
        held = bool(list(data))
    except (MemoryError, RuntimeError):
        held = False
    return {
        "fits_in_memory": held,
        "seconds": seconds,
        "steps": result.history[-1]["step"],
        "steps_per_second": result.cost.steps_per_second,
        "waiting": result.cost.waiting,
        "validation": result.scores["validation"],
        "mib": {
            "data": size(folder) / _MIB,
            "limit": limit / _MIB,
            "private_before": before / _MIB,
            "private_peak": peaks.private / _MIB,
            "resident_peak": peaks.resident / _MIB,
        },
    }


class _Peaks:
    """Largest memory of this process and its children together, looked at ten times a second."""

    def __init__(self) -> None:
        self.private = self.resident = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        own = os.getpid()
        while not self._over.wait(0.1):
            children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
            processes = [own, *map(int, children)]
            # Pages that processes share count once: a forked one begins with all of its parent's.
            maps = [Path(f"/proc/{process}/smaps_rollup") for process in processes]
            self.private = max(self.private, sum(_kibibytes(file, "Pss_Anon") for file in maps) * 1024)
            self.resident = max(self.resident, sum(_kibibytes(file, "Pss") for file in maps) * 1024)


def _kibibytes(file: Path, key: str) -> int:
    """A number of a file of the system; 0 where the process has ended."""
    try:
        lines = file.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0)


def measure_apart(folder: Path, workers: int) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.streaming", f"--measure={workers}", f"--folder={folder}"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {"workers": workers, **found}


def report(row: dict[str, Any]) -> str:
    """One line."""
    mib = row["mib"]
    return (
        f"{row['workers']} loader processes: {row['seconds']:.0f} s, {row['steps_per_second']:.2f} steps/s, "
        f"{row['waiting']:.1%} waiting; private memory {mib['private_peak']:.0f} MiB at the peak, resident "
        f"{mib['resident_peak']:.0f} MiB, limit of a process {mib['limit']:.0f} MiB, data {mib['data']:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--folder", type=Path, help="where the shards are, or shall be kept")
    parser.add_argument("--measure", type=int, help="run one training in this process, and print JSON")
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.folder, arguments.measure)))
        return
    with TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary) / "shards"
        generate(folder, arguments.samples)
        runs = Path(f"{folder}.runs")
        rows = {
            str(workers): cached(runs / f"{workers}.json", measure_apart, report, folder=folder, workers=workers)
            for workers in WORKERS
        }
    if arguments.samples == SAMPLES:
        assert not any(row["fits_in_memory"] for row in rows.values())
        given = {"samples": SAMPLES, "frames": FRAMES, "batch": BATCH, "widths": WIDTHS, "model": MODEL}
        write("streaming", {**given, "workers": rows})


if __name__ == "__main__":
    main()
