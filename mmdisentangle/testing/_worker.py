"""One of the processes of the gather check: ``python -m mmdisentangle.testing._worker FOLDER RANK WORLD_SIZE``."""

import sys
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from mmdisentangle.testing.runs import flatten, gradients_of


def main(folder: Path, rank: int, world_size: int) -> None:
    """Run this rank's share of the batch and write its outputs and input gradients."""
    target, calls, paths = torch.load(folder / "job.pt", weights_only=False)
    keywords = calls[rank]
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'rendezvous'}",
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=120),
    )
    try:
        leaves = {
            name: keywords[argument] if modality is None else keywords[argument][modality]
            for name, argument, modality in paths
        }
        outputs = flatten(target(**keywords))
        gradients = gradients_of(outputs, leaves)
        values = {name: value.detach() for name, value in outputs.items()}
        torch.save((values, gradients), folder / f"result-{rank}.pt")
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
