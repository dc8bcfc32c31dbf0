"""Fusion of frames over graphs in time: growth with the length, and TransformerConv on the same edges beside it.

python -m benchmarks.frame_fusion            # minutes, 3 GB; rewrites benchmarks/results/frame_fusion.json
python -m benchmarks.frame_fusion --quick    # without the longest sequences, nothing written
"""

import argparse
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import TransformerConv

from benchmarks._measure import interleaved, peak_bytes, ratios, spread, write
from mmdisentangle.nn import DecoupledGraphFusion

MODALITIES, FEATURES, HEADS, WINDOW = ("text", "audio", "vision"), 64, 4, 2.0
LENGTHS = (1_000, 3_000, 10_000)
GRAPHS = ("exclusive", "agnostic")
OURS, THEIRS = "block-banded", "TransformerConv"
# Large enough that the shortest sequences do not fit into the processor's cache either.
BATCH = 2


def twins() -> dict[str, DecoupledGraphFusion]:
    """The layer as it is, and with TransformerConv of the same weights in it."""

    def conv(width: int) -> TransformerConv:
        return TransformerConv(width, width // HEADS, heads=HEADS)

    banded = DecoupledGraphFusion(MODALITIES, FEATURES, level="frame", window=WINDOW, num_heads=HEADS)
    plugged = DecoupledGraphFusion(MODALITIES, FEATURES, level="frame", window=WINDOW, conv=conv)
    plugged.load_state_dict({name.replace(".attention.", ".conv.lin_"): x for name, x in banded.state_dict().items()})
    return {OURS: banded, THEIRS: plugged}


def codes(length: int) -> list[dict[str, Tensor]]:
    return [{name: torch.randn(BATCH, length, FEATURES, requires_grad=True) for name in MODALITIES} for _ in GRAPHS]


def step(layer: DecoupledGraphFusion, families: list[dict[str, Tensor]]) -> Tensor:
    """Forward and backward."""
    layer.zero_grad()
    for family in families:
        for x in family.values():
            x.grad = None
    fused: Tensor = layer(*families).fused
    fused.square().sum().backward()
    return fused.detach()


def _run(name: str, length: int) -> str:
    return f"{name} at {length}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    lengths = LENGTHS[:-1] if arguments.quick else LENGTHS
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers, inputs = twins(), {length: codes(length) for length in lengths}
    for length in lengths:
        first, second = (step(layer, inputs[length]) for layer in layers.values())
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)

    # Every length in every round, too: growth is a ratio like any other.
    providers = {
        _run(name, length): partial(step, layer, inputs[length]) for length in lengths for name, layer in layers.items()
    }
    seconds = interleaved(providers, 2 if arguments.quick else arguments.rounds)
    memory = {key: peak_bytes(run) for key, run in providers.items()}
    table: dict[str, Any] = {}
    print(f"forward + backward of three modalities of T frames, width {FEATURES}, both graphs, one thread:")
    for length in lengths:
        ours, theirs = _run(OURS, length), _run(THEIRS, length)
        table[str(length)] = {
            "seconds": {name: spread(seconds[_run(name, length)]) for name in layers},
            "peak_bytes": {name: memory[_run(name, length)] for name in layers},
            "times_as_fast": ratios(seconds[theirs], seconds[ours]),
            "times_as_small": memory[theirs] / memory[ours],
        }
        fast = table[str(length)]["times_as_fast"]["median"]
        print(
            f"  T = {length:6,}: {spread(seconds[ours])['median']:.3f} s and {memory[ours] / 1e6:.0f} MB, "
            f"{fast:.1f} times as fast and {memory[theirs] / memory[ours]:.1f} times as small as TransformerConv"
        )
    short, long = lengths[0], lengths[-1]
    growth = {
        name: {
            "seconds": ratios(seconds[_run(name, long)], seconds[_run(name, short)]),
            "peak_bytes": memory[_run(name, long)] / memory[_run(name, short)],
        }
        for name in layers
    }
    for name, times in growth.items():
        print(
            f"  {name}: from {short:,} to {long:,} frames, {times['seconds']['median']:.1f} times the time and "
            f"{times['peak_bytes']:.1f} times the memory"
        )
    if not arguments.quick:
        settings = {"features": FEATURES, "heads": HEADS, "window": WINDOW, "batch": BATCH}
        write("frame_fusion", {**settings, "lengths": table, "growth": growth})


if __name__ == "__main__":
    main()
