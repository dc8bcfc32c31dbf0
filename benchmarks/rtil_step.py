"""A whole RTIL training step in published mode against a transcription of the released arithmetic, loops included.

    python -m benchmarks.rtil_step            # the two sizes of the documentation, some minutes
    python -m benchmarks.rtil_step --quick    # a small one, in seconds

A step is forward, objective, backward, clipping of gradient values at 1 and Adam, with dropout on; text features are
given. Both programs get the same weights and data, and run in turn.
"""

import argparse
import warnings

import torch

from benchmarks._measure import interleaved, ratios, spread, write
from benchmarks.released_rtil import ReleasedRTIL
from mmdisentangle.models import RTIL

WIDTHS = {"text": 768, "audio": 74, "vision": 47}
SIZES = ((64, 50), (32, 500))


def steps(batch: int, length: int) -> dict[str, object]:
    """One training step of each program as a callable."""
    torch.manual_seed(0)
    released = ReleasedRTIL(WIDTHS["text"], WIDTHS["audio"], WIDTHS["vision"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        library = RTIL.from_released_state_dict(released.state_dict()).train()
    inputs = {name: torch.randn(batch, length, width) for name, width in WIDTHS.items()}
    time_first = [x.transpose(0, 1).contiguous() for x in inputs.values()]
    target = torch.randn(batch, 1)
    adams = [torch.optim.Adam(model.parameters(), lr=1.7e-5) for model in (released, library)]

    def finish(model: torch.nn.Module, adam: torch.optim.Optimizer, total: torch.Tensor) -> None:
        adam.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
        adam.step()

    def released_step() -> None:
        finish(released, adams[0], released.objective(released(*time_first), target).total)

    def library_step() -> None:
        finish(library, adams[1], library.objective(library(inputs), target).total)

    return {"released arithmetic": released_step, "library": library_step}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small size; writes no result")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    for batch, length in ((8, 20),) if arguments.quick else SIZES:
        seconds = interleaved(steps(batch, length), 3 if arguments.quick else arguments.rounds)
        speedup = ratios(seconds["released arithmetic"], seconds["library"])
        print(
            f"(B, T) = ({batch}, {length}): library {spread(seconds['library'])['median']:.3f} s a step, "
            f"{speedup['median']:.2f} times as fast as the released arithmetic "
            f"({speedup['min']:.2f}..{speedup['max']:.2f})",
            flush=True,
        )
        rows.append(
            {
                "batch": batch,
                "length": length,
                "seconds": {name: spread(values) for name, values in seconds.items()},
                "times_released": speedup,
            }
        )
    if not arguments.quick:
        write("rtil_step", {"widths": WIDTHS, "hidden_features": 128, "sizes": rows})


if __name__ == "__main__":
    main()
