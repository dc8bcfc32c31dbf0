"""Two linear maps with ReLU and dropout between them, whose wide middle need not be stored.

The hidden layer of a Transformer's feed-forward network is many times as wide as its input; kept for the backward pass
it is much of the memory that a long batch takes. Where it is large, rows are worked on in chunks that stay in a core's
cache, and the backward pass computes the hidden rows, with the same dropout mask, again. Measured on one thread of a
processor: as fast as keeping 33 million hidden entries, a quarter slower than keeping 6 million. Hence the limit, 32 MB
in float32.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from mmdisentangle._core.dropout import (
    draw_seed,
    is_plain,
    kept_levels,
    mask_stream,
    relu_dropout,
    scale_of,
    seeded_relu_dropout,
)
from mmdisentangle._core.numerics import without_autocast

# Entries of the hidden layer from which on it is not kept, and of one chunk of it.
_RECOMPUTED_FROM = 8_000_000
_CHUNK_ENTRIES = 1 << 18


def relu_feed_forward(
    x: Tensor,
    weight_in: Tensor,
    bias_in: Tensor,
    weight_out: Tensor,
    bias_out: Tensor,
    *,
    p: float = 0.0,
    training: bool = False,
) -> Tensor:
    """``linear(dropout(relu(linear(x))))`` over the last axis of x.

    The plain composition, but on a CPU outside of compilers, exporters and autocast, where the hidden layer is large.
    """
    p = p if training else 0.0
    if not _is_recomputed(x, weight_in, p):
        return linear(relu_dropout(linear(x, weight_in, bias_in), p, training), weight_out, bias_out)
    rows = x.reshape(-1, x.shape[-1])
    # Without dropout nothing is drawn.
    seed = draw_seed() if p else torch.zeros((), dtype=torch.int64)
    result: Tensor = _ReluFeedForward.apply(  # type: ignore[no-untyped-call]
        rows, weight_in, bias_in, weight_out, bias_out, seed, kept_levels(p)
    )
    return result.reshape(*x.shape[:-1], weight_out.shape[0])


def _is_recomputed(x: Tensor, weight_in: Tensor, p: float) -> bool:
    if not is_plain(x) or x.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled("cpu"):
        # Sums over chunks of the weights' gradients would lose digits in half precision.
        return False
    return p < 1 and x.numel() // max(x.shape[-1], 1) * weight_in.shape[0] >= _RECOMPUTED_FROM


class _ReluFeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        x: Tensor, weight_in: Tensor, bias_in: Tensor, weight_out: Tensor, bias_out: Tensor, seed: Tensor, kept: int
    ) -> Tensor:
        rows, hidden = _chunks(x, weight_in, bias_in, seed, kept)
        result = x.new_empty(x.shape[0], weight_out.shape[0])
        for start in range(0, x.shape[0], rows):
            torch.addmm(bias_out, hidden(start), weight_out.T, out=result[start : start + rows])
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight_in, bias_in, weight_out, _, seed, ctx.kept = inputs
        ctx.save_for_backward(x, weight_in, bias_in, weight_out, seed)
        ctx.save_for_forward(x, weight_in, bias_in, weight_out, seed)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_in, bias_in, weight_out, seed = ctx.saved_tensors
        scale = scale_of(ctx.kept)
        if torch.is_grad_enabled():
            # A further derivative is wanted: the same formulas in one piece.
            hidden = seeded_relu_dropout(linear(x, weight_in, bias_in), seed, ctx.kept)
            change = torch.ops.aten.threshold_backward(upstream @ weight_out, hidden, 0) * scale
            gradients = (change @ weight_in, change.T @ x, change.sum(0), upstream.T @ hidden, upstream.sum(0))
            return *gradients, None, None
        with without_autocast(x):
            return *_gradients(ctx, upstream), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        x, weight_in, bias_in, weight_out, seed = ctx.saved_tensors
        of_x, of_weight_in, of_bias_in, of_weight_out, of_bias_out = tangents[:5]
        hidden = seeded_relu_dropout(linear(x, weight_in, bias_in), seed, ctx.kept)
        change = torch.zeros_like(hidden)
        for part in (
            None if of_x is None else of_x @ weight_in.T,
            None if of_weight_in is None else x @ of_weight_in.T,
            of_bias_in,
        ):
            change = change if part is None else change + part
        result: Tensor = (change * (hidden > 0) * scale_of(ctx.kept)) @ weight_out.T
        result = result if of_weight_out is None else result + hidden @ of_weight_out.T
        return result if of_bias_out is None else result + of_bias_out

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        calls = [
            [x if dim is None else x.select(dim, n) for x, dim in zip(inputs, in_dims, strict=True)]
            for n in range(info.batch_size)
        ]
        return torch.stack([_ReluFeedForward.apply(*call) for call in calls]), 0  # type: ignore[no-untyped-call]


def _gradients(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    """Of x, weights and biases in order, chunk by chunk; None for those that want none."""
    x, weight_in, bias_in, weight_out, seed = ctx.saved_tensors
    rows, hidden_rows = _chunks(x, weight_in, bias_in, seed, ctx.kept)
    wanted = ctx.needs_input_grad
    sums = [upstream.new_zeros(tensor.shape) for tensor in (weight_in, bias_in, weight_out)]
    of_weight_in, of_bias_in, of_weight_out = sums
    of_x: list[Tensor] = []
    for start in range(0, x.shape[0], rows):
        hidden, part = hidden_rows(start), upstream[start : start + rows]
        change = torch.ops.aten.threshold_backward(part @ weight_out, hidden, 0).mul_(scale_of(ctx.kept))
        if wanted[0]:
            of_x.append(change @ weight_in)
        if wanted[1]:
            of_weight_in.addmm_(change.T, x[start : start + rows])
        if wanted[2]:
            of_bias_in.add_(change.sum(0))
        if wanted[3]:
            of_weight_out.addmm_(part.T, hidden)
    found = (torch.cat(of_x) if of_x else None, *sums, upstream.sum(0) if wanted[4] else None)
    return tuple(gradient if want else None for gradient, want in zip(found, wanted, strict=False))


def _chunks(x: Tensor, weight: Tensor, bias: Tensor, seed: Tensor, kept: int) -> Any:
    """Rows of a chunk, and a function from the first row of a chunk to its hidden rows, to be called in order."""
    width = weight.shape[0]
    # The mask comes in fours.
    rows = max(_CHUNK_ENTRIES // width // 4, 1) * 4
    draw = mask_stream(seed, kept, rows * width, x.dtype)

    def hidden(start: int) -> Tensor:
        part = linear(x[start : start + rows], weight, bias).relu_()
        return part.mul_(draw()[: part.numel()].view_as(part))

    return rows, hidden
