"""Safe arithmetic: no literal epsilons, finite gradients at zero, float32 where half precision would be wrong."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Return float16 and bfloat16 tensors as float32, others unchanged."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Return a context in which autocast does not take matrix products on ``x.device`` to half precision."""
    device = x.device.type
    if device == "meta" or not torch.is_autocast_enabled(device):
        return nullcontext()
    return torch.autocast(device_type=device, enabled=False)


def zero_where_invalid(x: Tensor, valid: Tensor | None) -> Tensor:
    """Zero ``x`` where ``valid`` is False, whatever stood there; ``valid`` has the leading axes of ``x``; None: all."""
    if valid is None:
        return x
    valid = valid.reshape(valid.shape + (1,) * (x.ndim - valid.ndim))
    return torch.where(valid, x, torch.zeros((), dtype=x.dtype, device=x.device))


def safe_sqrt(x: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0 instead of infinite."""
    positive = x > 0
    return torch.where(positive, x.clamp(min=torch.finfo(x.dtype).tiny).sqrt(), x * 0)


def unit_vectors(x: Tensor, *, detach_norm: bool = False) -> Tensor:
    """Scale the last axis to length one; zero vectors stay zero, with a finite gradient."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    norm = norm + (norm == 0)
    return x / (norm.detach() if detach_norm else norm)
