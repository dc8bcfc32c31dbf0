"""Headlines of a GPU: the fused temporal loss against eager PyTorch, and against the bandwidth of a copy.

Nothing here has a goal that a CPU could show; `python -m benchmarks --device cuda` runs it.
"""

from functools import partial

import torch
from mmdisentangle.kernels import temporal_invariance
from torch import Tensor

from benchmarks.speed import released
from benchmarks.speed.case import Provider, Setting
from benchmarks.speed.measuring import spread, timed
from benchmarks.speed.suite import Row
from mmdisentangle import functional

SHAPES = ((8, 5_000, 256, torch.float32), (32, 500, 256, torch.bfloat16))
ROUNDS = 50


def run_headlines() -> list[Row]:
    """Speed-up over eager and compiled PyTorch, and the share of the copy bandwidth, counting 3 times the input."""
    rows = []
    device = torch.device("cuda")
    for batch, length, features, dtype in SHAPES:
        x = Setting(device, dtype).randn(batch, length, features)
        target = torch.empty_like(x)
        providers = {
            "fused": Provider(lambda x: temporal_invariance(x, impl="fused")),
            "eager": Provider(released.temporal_samples),
            "compiled": Provider(torch.compile(functional.temporal_invariance, fullgraph=True)),
        }
        expected = functional.temporal_invariance(x.detach().double()).float()
        torch.testing.assert_close(providers["fused"].call(x).detach(), expected, rtol=1e-3, atol=1e-6)
        for provider in providers.values():
            provider.call(x).backward()
        seconds = {name: times["both"] for name, times in timed(providers, (x,), device, 10.0, ROUNDS).items()}
        copies = timed({"copy": Provider(partial(_copy, target))}, (x,), device, 2.0, ROUNDS)
        # A copy reads and writes the input once: 2 times its bytes; the loss is allowed 3 times.
        floor = [1.5 * value for value in copies["copy"]["both"]]
        name = f"({batch}, {length}, {features}) {str(dtype).removeprefix('torch.')}"
        comparisons = (
            (f"temporal loss {name}, fused over eager", seconds["eager"], "plain eager", 15.0),
            (f"temporal loss {name}, fused over compiled", seconds["compiled"], "library, compiled", 1.0),
            (f"temporal loss {name}, share of the copy bandwidth", floor, "copy", 0.5),
        )
        for title, slow, slow_name, goal in comparisons:
            ratio = spread([a / b for a, b in zip(slow, seconds["fused"], strict=False)])
            rows.append(
                {
                    "headline": title,
                    "batch": batch,
                    "length": length,
                    "features": features,
                    "slow": slow_name,
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
