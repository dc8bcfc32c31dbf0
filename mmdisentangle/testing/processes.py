"""Call functions on several processes of one gloo group, which stay for the next call: starting them is what costs."""

import atexit
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

_WORKER = "mmdisentangle.testing._worker"
_TIMEOUT_S = 240
_pools: dict[int, "_Pool"] = {}


def run_processes(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call ``function(*arguments[rank])`` on as many processes as there are arguments.

    Args:
        function: picklable, so defined in a module. The processes are one ``torch.distributed`` group, and know who
            they are from the environment as under ``torchrun``.
        arguments: of each process, picklable.

    Returns:
        What each process returned.

    Raises:
        AssertionError: a process failed, or did not end in time.

    Example:
        >>> from mmdisentangle._core.distributed import world_size
        >>> run_processes(world_size, [(), ()])
        [2, 2]
    """
    pool = _pools.get(len(arguments)) or _Pool(len(arguments))
    # Whoever fails may leave the others in the middle of an exchange, so they are kept only if all goes well.
    _pools.pop(len(arguments), None)
    try:
        results = pool.call(function, arguments)
    except BaseException:
        pool.close()
        raise
    _pools[len(arguments)] = pool
    return results


class _Pool:
    def __init__(self, world_size: int) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.numbers = itertools.count()
        environment = {
            # Gloo wants a network interface; the loopback is there on every machine.
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TORCH_CPP_LOG_LEVEL": "ERROR",
            "WORLD_SIZE": str(world_size),
            "LOCAL_WORLD_SIZE": str(world_size),
        }
        self.started = [
            subprocess.Popen(
                [sys.executable, "-m", _WORKER, str(self.folder), str(rank), str(world_size)],
                env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
            )
            for rank in range(world_size)
        ]
        atexit.register(self.close)

    def call(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        number = next(self.numbers)
        torch.save((function, list(arguments)), self.folder / f"job-{number}.pt")
        for process in self.started:
            assert process.stdin is not None
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
        paths = [self.folder / f"result-{number}-{rank}.pt" for rank in range(len(self.started))]
        end = time.monotonic() + _TIMEOUT_S
        results: list[Any] = []
        for rank, path in enumerate(paths):
            while not path.exists():
                status = self.started[rank].poll()
                if status is not None:
                    raise AssertionError(f"process {rank} of {len(paths)} ended with exit status {status}")
                if time.monotonic() > end:
                    raise AssertionError(f"process {rank} of {len(paths)} took longer than {_TIMEOUT_S} s")
                self._raise_failure(paths)
                time.sleep(0.01)
            results.append(torch.load(path, weights_only=False)[0])
        self._raise_failure(paths)
        return results

    def _raise_failure(self, paths: Sequence[Path]) -> None:
        for rank, path in enumerate(paths):
            if path.exists():
                failure = torch.load(path, weights_only=False)[1]
                if failure is not None:
                    raise AssertionError(f"process {rank} of {len(paths)} failed: {failure.strip()}")

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()
        self.temporary.cleanup()
