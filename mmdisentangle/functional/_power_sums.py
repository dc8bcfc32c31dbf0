"""Sums of the powers of a matrix's entries, whose backward pass keeps the matrix and not its powers."""

from typing import Any

import torch
from torch import Tensor


def power_sums(x: Tensor, highest: int) -> Tensor:
    """``x [..., N, D]`` to ``[..., highest - 1, D]``: sums over N of the powers 2..highest, which is 2 at least."""
    if torch.compiler.is_compiling():
        return _power_sums(x, highest)
    sums: Tensor = _PowerSums.apply(x, highest)  # type: ignore[no-untyped-call]
    return sums


def _power_sums(x: Tensor, highest: int) -> Tensor:
    sums, power = [], x
    for _ in range(2, highest + 1):
        power = power * x
        sums.append(power.sum(-2))
    return torch.stack(sums, -2)


class _PowerSums(torch.autograd.Function):
    """The derivative ``sum_k k g_k x^(k-1)`` by Horner's rule: half the passes over memory of that of every product."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, highest: int) -> Tensor:
        return _power_sums(x, highest)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        x, ctx.highest = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        *lower, slope = (order * weight.unsqueeze(-2) for order, weight in enumerate(upstream.unbind(-2), start=2))
        for weight in reversed(lower):
            slope = torch.addcmul(weight, slope, x)
        return slope * x, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        (x,) = ctx.saved_tensors
        power, changes = x, []
        for order in range(2, ctx.highest + 1):
            changes.append((order * power * tangent).sum(-2))
            power = power * x
        return torch.stack(changes, -2)
