"""Peak memory, and a record of the machine."""

import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity, profile

RESULTS = Path(__file__).parent / "results"


def peak_bytes(run: Callable[[], object]) -> int:
    """Largest sum of live CPU tensor bytes that ``run`` allocates, from the allocator's own events.

    What was there before and is freed on the way does not count: the profiler may know a wrong size for it.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    live: dict[int, int] = {}
    total = peak = 0
    for event in sorted(_allocations(recorded.profiler.kineto_results.experimental_event_tree())):
        _, address, size = event
        if size > 0:
            live[address] = size
            total += size
        else:
            total -= live.pop(address, 0)
        peak = max(peak, total)
    return peak


def _allocations(nodes: Iterable[Any]) -> Iterator[tuple[int, int, int]]:
    """Time, address and bytes (negative where freed) of every allocation below the nodes."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        waiting += node.children
        if node.tag == _EventType.Allocation:
            yield node.start_time_ns, node.extra_fields.ptr, node.extra_fields.alloc_size


def _processor() -> str:
    """The processor's name where the system tells it (Linux), else its kind."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.machine()


def environment() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "allocator": "jemalloc/tcmalloc" if "malloc" in os.environ.get("LD_PRELOAD", "") else "glibc malloc, defaults",
    }


def write(name: str, results: Mapping[str, Any], directory: Path = RESULTS) -> Path:
    """Write one committed result file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    path.write_text(json.dumps({"environment": environment(), **results}, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {path}")
    return path
