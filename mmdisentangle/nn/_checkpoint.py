"""Activation checkpointing: keep what goes into a part, and compute the rest once more in the backward pass."""

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch.utils.checkpoint import checkpoint

Result = TypeVar("Result")


def checkpointed(part: Callable[..., Result], *arguments: object, active: bool) -> Result:
    """Return ``part(*arguments)``; where ``active`` and gradients are recorded, without what it stores for them.

    Value and gradients are those of the plain call, to the last bit and with dropout on: the state of the random
    numbers is put back before the part runs again. The second run costs about a third of the step. ``torch.func``
    transforms refuse it, as they do every hook on saved tensors, and ``torch.func.functional_call`` must not be used
    with it: the second run would read the module's own weights.
    """
    if not (active and torch.is_grad_enabled()):
        return part(*arguments)
    return cast(Result, checkpoint(part, *arguments, use_reentrant=False))
