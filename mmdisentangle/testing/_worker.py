"""One of several processes that wait for work: ``python -m mmdisentangle.testing._worker FOLDER RANK WORLD_SIZE``."""

import sys
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed


def main(folder: Path, rank: int, world_size: int) -> None:
    """Join the group, then run a job for each line on standard input and write its result."""
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'rendezvous'}",
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=120),
    )
    try:
        for line in sys.stdin:
            number = line.strip()
            function, arguments = torch.load(folder / f"job-{number}.pt", weights_only=False)
            outcome: tuple[Any, str | None]
            try:
                outcome = (function(*arguments[rank]), None)
            except Exception:
                outcome = (None, traceback.format_exc())
            torch.save(outcome, folder / f"result-{number}-{rank}.pt.part")
            (folder / f"result-{number}-{rank}.pt.part").replace(folder / f"result-{number}-{rank}.pt")
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
