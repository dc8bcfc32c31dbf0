"""Headlines of a GPU: the fused temporal loss against eager and compiled PyTorch, and the bandwidth of a copy.

No CPU could show these goals; `python -m benchmarks --device cuda` runs them.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.speed import released
from benchmarks.speed.case import Provider, Setting
from benchmarks.speed.measuring import spread, timed
from benchmarks.speed.suite import Row
from mmdisentangle import functional
from mmdisentangle.kernels import temporal_invariance

SHAPES = ((8, 5_000, 256, torch.float32), (32, 500, 256, torch.bfloat16))
ROUNDS = 50
CUDA = torch.device("cuda")


def run_headlines(
    device: torch.device = CUDA,
    shapes: Sequence[tuple[int, int, int, torch.dtype]] = SHAPES,
    backend: str = "inductor",
    budget: float = 10.0,
) -> list[Row]:
    """Speed-up over eager and compiled PyTorch, and the share of the copy bandwidth, counting 3 times the input."""
    rows = []
    for batch, length, features, dtype in shapes:
        x = Setting(device, dtype).randn(batch, length, features)
        providers = {
            "fused": Provider(partial(temporal_invariance, impl="fused")),
            "eager": Provider(released.temporal_samples),
            "compiled": Provider(torch.compile(functional.temporal_invariance, fullgraph=True, backend=backend)),
            # It reads and writes the input once: 2 times its bytes, where the loss may move 3 times.
            "copy": Provider(partial(_copy, torch.empty_like(x))),
        }
        expected = functional.temporal_invariance(x.detach().double()).float()
        torch.testing.assert_close(providers["fused"].call(x).detach(), expected, rtol=1e-3, atol=1e-6)
        seconds = {name: times["both"] for name, times in timed(providers, (x,), device, budget, ROUNDS).items()}
        seconds["copy"] = [1.5 * value for value in seconds["copy"]]
        name = f"temporal loss ({batch}, {length}, {features}) {str(dtype).removeprefix('torch.')}"
        for title, slow, provider, goal in (
            ("fused over eager", "eager", "plain eager", 15.0),
            ("fused over compiled", "compiled", "library, compiled", 1.0),
            ("share of the copy bandwidth", "copy", "copy of 1.5 times the input", 0.5),
        ):
            ratio = spread([a / b for a, b in zip(seconds[slow], seconds["fused"], strict=False)])
            rows.append(
                {
                    "headline": f"{name}, {title}",
                    "batch": batch,
                    "length": length,
                    "features": features,
                    "slow": provider,
                    "fast": "library, fused",
                    "quantity": "seconds",
                    "ratio": ratio,
                    "goal": goal,
                    "at_most": False,
                    "reached": ratio["median"] >= goal,
                }
            )
    return rows


def _copy(target: Tensor, x: Tensor) -> None:
    target.copy_(x.detach())
