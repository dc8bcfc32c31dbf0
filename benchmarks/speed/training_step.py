"""A whole RTIL training step: the released arithmetic, loops included, and the library's, published and corrected.

A step is forward, objective, backward, clipping of gradient values at 1 and Adam, with dropout on; text features are
given. All get the same data, the first two the same weights.
"""

import warnings
from collections.abc import Callable

import torch

from benchmarks.released_rtil import ReleasedRTIL
from benchmarks.speed.case import LIBRARY, RELEASED
from mmdisentangle.models import RTIL

WIDTHS = {"text": 768, "audio": 74, "vision": 47}
CORRECTED = "library, corrected"


def steps(batch: int, length: int) -> dict[str, Callable[[], None]]:
    """One training step of each program as a callable."""
    torch.manual_seed(0)
    released = ReleasedRTIL(WIDTHS["text"], WIDTHS["audio"], WIDTHS["vision"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        published = RTIL.from_released_state_dict(released.state_dict()).train()
    corrected = RTIL(WIDTHS, 1).train()
    inputs = {name: torch.randn(batch, length, width) for name, width in WIDTHS.items()}
    time_first = [x.transpose(0, 1).contiguous() for x in inputs.values()]
    target = torch.randn(batch, 1)

    def step(model: torch.nn.Module, total: Callable[[], torch.Tensor]) -> Callable[[], None]:
        adam = torch.optim.Adam(model.parameters(), lr=1.7e-5)

        def run() -> None:
            adam.zero_grad()
            total().backward()
            torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
            adam.step()

        return run

    return {
        RELEASED: step(released, lambda: released.objective(released(*time_first), target).total),
        LIBRARY: step(published, lambda: published.objective(published(inputs), target).total),
        CORRECTED: step(corrected, lambda: corrected.objective(corrected(inputs), target).total),
    }
