"""Several processes: a gathered batch gives the value and the gradient of one process with the whole batch."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from mmdisentangle.testing import _worker
from mmdisentangle.testing.case import Case
from mmdisentangle.testing.problem import Call, draw
from mmdisentangle.testing.registry import check
from mmdisentangle.testing.runs import assert_same, flatten, gradients_of

_WORLD_SIZE = 2
_TIMEOUT_S = 240


def _gathers(case: Case) -> bool:
    return case.gather is not None


@check(_gathers)
def gather(case: Case) -> None:
    """Two processes with uneven batches give the value of one and, averaged as DDP does, its gradient."""
    problem = draw(case, batch=5)
    whole = problem.call(dtype=torch.float64)
    outputs = flatten(case.target(dtype=torch.float64)(**whole.keywords))
    expected = {name: value.detach() for name, value in outputs.items()}
    gradients = _real_entries(gradients_of(outputs, whole.leaves), whole)
    shares = [problem.select(range(2)).tight(), problem.select(range(2, 5)).tight()]
    calls = [share.call(dtype=torch.float64) for share in shares]
    results = _run_processes(case, calls)
    for rank, (values, _) in enumerate(results):
        assert_same(values, expected, f"process {rank}")
    per_rank = [_real_entries(found, call) for (_, found), call in zip(results, calls, strict=True)]
    # Averaged over processes, as DistributedDataParallel does with the parameters behind these inputs.
    averaged = {name: torch.cat([found[name] for found in per_rank]) / _WORLD_SIZE for name in gradients}
    assert_same(averaged, gradients, "over two processes", label="gradient of ")


def _real_entries(gradients: dict[str, Tensor], call: Call) -> dict[str, Tensor]:
    return {name: value[call.real[name]] for name, value in gradients.items() if call.real[name].ndim}


def _run_processes(case: Case, calls: list[Call]) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    target = case.target(dtype=torch.float64, gather=True)
    paths = [(leaf.name, leaf.argument, leaf.modality) for leaf in case.leaves if leaf.name in calls[0].leaves]
    with tempfile.TemporaryDirectory() as folder:
        torch.save((target, [call.keywords for call in calls], paths), Path(folder) / "job.pt")
        # Gloo wants a network interface; the loopback is there on every machine.
        environment = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"} | dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        started = [
            subprocess.Popen(
                [sys.executable, "-m", _worker.__name__, folder, str(rank), str(len(calls))],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(len(calls))
        ]
        try:
            errors = [process.communicate(timeout=_TIMEOUT_S)[1] for process in started]
        finally:
            for process in started:
                process.kill()
        for rank, process in enumerate(started):
            if process.returncode:
                last = errors[rank].strip().splitlines()[-1:]
                raise AssertionError(f"process {rank} of {len(calls)} failed: {' '.join(last)}")
        return [torch.load(Path(folder) / f"result-{rank}.pt", weights_only=True) for rank in range(len(calls))]
