"""Dropout that costs a processor little: four decisions from one 64-bit random number, and no mask kept.

torch draws one number per entry for a tensor on the CPU, and keeps a mask of floats; measured on one thread with six
million entries, dropout takes it 1.6 times as long, and dropout after ReLU three times. For small tensors, on other
devices, and for compilers and exporters, torch's own is used.

A decision needs 16 bits: the probability to keep is rounded to a multiple of 1/65,536, and the kept entries are divided
by the rounded one, so that the expectation stays exact. A mask is a function of its seed, which is drawn from torch's
default generator; the backward pass draws the same mask again.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout as torch_dropout

_LEVELS = 1 << 16
_LOWEST = -(1 << 63)
# Entries handled at a time: their random numbers stay in a core's cache.
_CHUNK = 1 << 16
# Fewer entries are dropped faster by torch, since every mask has a generator to seed.
_LEAST = 1 << 16


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Zero entries with probability ``p`` in training, and divide the others by the probability to keep them."""
    if not _is_drawn_here(x, p, training):
        return torch_dropout(x, p, training)
    dropped: Tensor = _Dropout.apply(x, draw_seed(), kept_levels(p))  # type: ignore[no-untyped-call]
    return dropped


def relu_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """``dropout(relu(x))`` in one pass, which keeps nothing but its result."""
    if not _is_drawn_here(x, p, training):
        return torch_dropout(x.relu(), p, training)
    return seeded_relu_dropout(x, draw_seed(), kept_levels(p))


def seeded_relu_dropout(x: Tensor, seed: Tensor, kept: int) -> Tensor:
    """``dropout(relu(x))`` with the mask that belongs to ``seed``."""
    dropped: Tensor = _ReluDropout.apply(x, seed, kept)  # type: ignore[no-untyped-call]
    return dropped


def draw_seed() -> Tensor:
    """Drawn as a tensor, so that ``vmap`` decides by its own rules whether every entry of its axis gets another."""
    return torch.randint(1 << 62, ())


def kept_levels(p: float) -> int:
    """Probability to keep, in units of 1/65,536."""
    return max(round((1 - p) * _LEVELS), 1)


def scale_of(kept: int) -> float:
    """Return the factor of the entries that are kept."""
    return _LEVELS / kept


def mask_stream(seed: Tensor, kept: int, entries: int, dtype: torch.dtype) -> Callable[[], Tensor]:
    """Return a function that draws the next ``entries`` of the mask of ``seed``: 0, or the factor of those kept.

    Every call overwrites what the last one returned. ``entries`` should be a multiple of 4: the mask of a seed is then
    the same however it is cut.
    """
    generator = torch.Generator().manual_seed(int(seed))
    numbers = torch.empty(-(-entries // 4), dtype=torch.int64)
    # bfloat16 would round the factor.
    factors = torch.empty(entries, dtype=torch.float64 if dtype == torch.float64 else torch.float32)

    if kept == _LEVELS:
        factors.fill_(1)
        return lambda: factors

    def draw() -> Tensor:
        levels = numbers.random_(_LOWEST, None, generator=generator).view(torch.int16)[:entries]
        return torch.lt(levels, kept - _LEVELS // 2, out=factors).mul_(scale_of(kept))

    return draw


def is_plain(x: Tensor) -> bool:
    """Whether x is a tensor of numbers on the CPU: no subclass, and no compiler or exporter that follows it."""
    if torch.compiler.is_compiling():
        return False
    return type(x) in (Tensor, torch.nn.Parameter) and x.device.type == "cpu"


def _is_drawn_here(x: Tensor, p: float, training: bool) -> bool:
    return training and 0 < p < 1 and x.numel() >= _LEAST and is_plain(x)


def _masked(x: Tensor, seed: Tensor, kept: int, *, relu: bool = False) -> Tensor:
    flat = x.contiguous().reshape(-1)
    result = torch.empty_like(flat)
    chunk = min(_CHUNK, (flat.numel() // 4 + 1) * 4)
    draw = mask_stream(seed, kept, chunk, x.dtype)
    for start in range(0, flat.numel(), chunk):
        part, out = flat[start : start + chunk], result[start : start + chunk]
        if relu:
            part = torch.clamp(part, min=0, out=out)
        torch.mul(part, draw()[: part.numel()], out=out)
    return result.view(x.shape)


def _batched(function: Any, info: Any, in_dims: tuple[int | None, ...], x: Tensor, seed: Tensor, kept: int) -> Tensor:
    """Return ``function`` over the mapped axis, moved to the front: one mask for all, or one each."""
    x = x.movedim(in_dims[0], 0) if in_dims[0] is not None else x.expand(info.batch_size, *x.shape)
    seeds = seed.movedim(in_dims[1], 0) if in_dims[1] is not None else seed.expand(info.batch_size)
    return torch.stack([function.apply(part, own, kept) for part, own in zip(x, seeds, strict=True)])


class _Dropout(torch.autograd.Function):
    """A linear map given its seed: the backward pass is the map itself, and so is every further derivative."""

    @staticmethod
    def forward(x: Tensor, seed: Tensor, kept: int) -> Tensor:
        return _masked(x, seed, kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])
        ctx.kept = inputs[2]

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (seed,) = ctx.saved_tensors
        return _Dropout.apply(upstream, seed, ctx.kept), None, None  # type: ignore[no-untyped-call]

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        (seed,) = ctx.saved_tensors
        change: Tensor = _Dropout.apply(tangent, seed, ctx.kept)  # type: ignore[no-untyped-call]
        return change

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, seed: Tensor, kept: int) -> tuple[Tensor, int]:
        return _batched(_Dropout, info, in_dims, x, seed, kept), 0


class _ReluDropout(torch.autograd.Function):
    """What is positive in the result was positive before and has been kept: no mask is needed."""

    @staticmethod
    def forward(x: Tensor, seed: Tensor, kept: int) -> Tensor:
        return _masked(x, seed, kept, relu=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)
        ctx.scale = scale_of(inputs[2])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (result,) = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(upstream, result, 0)
        # In place where no further derivative is wanted.
        return gradient * ctx.scale if torch.is_grad_enabled() else gradient.mul_(ctx.scale), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        (result,) = ctx.saved_tensors
        change: Tensor = tangent * (result > 0) * ctx.scale
        return change

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, seed: Tensor, kept: int) -> tuple[Tensor, int]:
        return _batched(_ReluDropout, info, in_dims, x, seed, kept), 0
