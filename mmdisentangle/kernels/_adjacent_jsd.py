# Triton has no types, and reads the annotations of a kernel itself.
# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-def, untyped-decorator"
"""Triton kernels of the Jensen-Shannon divergence between neighbouring frames; the only file here that imports triton.

A program walks a few stretches of frames side by side, one frame a step, and hands the frame and its probabilities on
to the next step in registers: a frame is read once, and each stretch reads one frame (backward: two) beyond its edges.
Each gradient is written once, so there are no atomics and the result is deterministic.

All logarithms are to base 2. With ``w = log2 p - log2 q``, ``e = 2^-|w|`` and ``z = w log(2) / 2`` as in
`mmdisentangle.functional`, up to the factor log 2

    z tanh z - log cosh z = 1 - log2(1 + e) - |w| e / (1 + e),        log1p(tanh |z|) = 1 - log2(1 + e),

where both differences cancel near 0 and give way to their power series. Per element that is two exp2, polynomials, and
in the forward pass one division.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.runtime.jit import JITFunction

# Elements a thread holds of each tensor that a program carries: more would spill, fewer leave few loads in flight.
_ELEMENTS_PER_THREAD = 16
# A tile of one warp is at least so many elements large; narrow frames share it.
_LEAST_TILE = 256
# Stretches are cut until there are so many programs, but no shorter than 4 frames, of which the edge is a quarter.
_ENOUGH_PROGRAMS = 4096
_LEAST_STEPS, _MOST_STEPS = 4, 32

_LOG_2 = tl.constexpr(math.log(2.0))
# |z| < 0.4, in units of w; there the series below are cut to what float32 can tell.
_SERIES_BELOW = tl.constexpr(0.8 / math.log(2.0))


@triton.jit
def _log2_1p(e):
    """``log2(1 + e)`` for e in 0..1 within 3e-8 and rounding: a Chebyshev fit, half as long as the general log2."""
    fit = 0.00757913751
    fit = fit * e - 0.0426871929
    fit = fit * e + 0.113051990
    fit = fit * e - 0.197285224
    fit = fit * e + 0.275719668
    fit = fit * e - 0.358428492
    fit = fit * e + 0.480695475
    fit = fit * e - 0.721340329
    return (fit * e + 1.442695) * e


@triton.jit
def _near_divergence(w):
    """``(z tanh z - log cosh z) / log 2`` for |z| < 0.4: with tanh z = sum T_n z^(2n-1), sum T_n (1 - 1 / 2n) z^2n."""
    s = w * w * (_LOG_2 * _LOG_2 / 4)
    series = 62 / 2835 * (9 / 10) - s * (1382 / 155925 * (11 / 12))
    series = 17 / 315 * (7 / 8) - s * series
    series = 2 / 15 * (5 / 6) - s * series
    series = 1 / 3 * (3 / 4) - s * series
    return s * (0.5 / _LOG_2 - s * (series * (1 / _LOG_2)))


@triton.jit
def _near_slope(w):
    """``log1p(tanh |z|) / log 2`` for |z| < 0.4: |z| less the sum of T_n / 2n z^2n."""
    s = w * w * (_LOG_2 * _LOG_2 / 4)
    series = 17 / 2520 - s * (62 / 28350)
    series = 2 / 90 - s * series
    series = 1 / 12 - s * series
    return tl.abs(w) * 0.5 - s * (0.5 / _LOG_2 - s * (series * (1 / _LOG_2)))


@triton.jit
def _read(x, mask, b, t, batch_stride, time_stride, columns, length, width, has_mask: tl.constexpr):
    """Frame ``t`` of each row and whether it is real; what is not real is not read, and counts as 0."""
    real = (t >= 0) & (t < length)
    if has_mask:
        real = tl.load(mask + b * length + t, mask=real, other=0) != 0
    offsets = (b * batch_stride + t * time_stride)[:, None] + columns[None, :]
    frame = tl.load(x + offsets, mask=real[:, None] & (columns < width)[None, :], other=0.0)
    return frame.to(tl.float32), real


@triton.jit
def _normalise(frame, scale, columns, width):
    """Probabilities of the frame and the base-2 logarithm of its normalisation."""
    frame = tl.where((columns < width)[None, :], frame, float("-inf"))
    largest = tl.max(frame, 1)
    powers = tl.exp2((frame - largest[:, None]) * scale)
    total = tl.sum(powers, 1)
    return powers * (1.0 / total)[:, None], largest * scale + tl.log2(total)


@triton.jit
def _stretch(segments, length, steps: tl.constexpr, rows: tl.constexpr):
    """Sample and first frame of the program's rows; those beyond the last stretch start where nothing is real."""
    segment = tl.program_id(0).to(tl.int64) * rows + tl.arange(0, rows)
    per_sample = tl.cdiv(length, steps)
    inside = segment < segments
    b = tl.where(inside, segment // per_sample, 0)
    return b, tl.where(inside, (segment % per_sample) * steps, length)


@triton.jit(do_not_specialize=["segments", "length"])
def _forward(
    x,
    mask,
    values,
    sums,
    batch_stride,
    time_stride,
    scale,
    segments,
    length,
    width,
    has_mask: tl.constexpr,
    steps: tl.constexpr,
    rows: tl.constexpr,
    padded_width: tl.constexpr,
):
    columns = tl.arange(0, padded_width)
    b, t = _stretch(segments, length, steps, rows)
    this, this_real = _read(x, mask, b, t, batch_stride, time_stride, columns, length, width, has_mask)
    p, lse = _normalise(this, scale, columns, width)
    for _ in range(steps):
        after, after_real = _read(x, mask, b, t + 1, batch_stride, time_stride, columns, length, width, has_mask)
        q, after_lse = _normalise(after, scale, columns, width)
        # The difference of the logits first: that of nearly equal frames is exact.
        w = (this - after) * scale - (lse - after_lse)[:, None]
        e = tl.exp2(-tl.abs(w))
        far = 1.0 - _log2_1p(e) - tl.abs(w) * e / (1.0 + e)
        terms = (p + q) * tl.where(tl.abs(w) < _SERIES_BELOW, _near_divergence(w), far)
        value = tl.where(this_real & after_real, tl.sum(terms, 1) * (_LOG_2 / 2), 0.0)
        tl.store(values + b * (length - 1) + t, value, mask=t + 1 < length)
        tl.store(sums + b * length + t, lse, mask=t < length)
        t += 1
        this, this_real, p, lse = after, after_real, q, after_lse


@triton.jit
def _slopes(this, after, lse, after_lse, scale):
    """``log2`` of 1 + tanh z and of 1 - tanh z."""
    w = (this - after) * scale - (lse - after_lse)[:, None]
    far = 1.0 - _log2_1p(tl.exp2(-tl.abs(w)))
    first = tl.where(tl.abs(w) < _SERIES_BELOW, _near_slope(w), far) + tl.minimum(w, 0.0)
    return first, first - w


@triton.jit(do_not_specialize=["segments", "length"])
def _backward(
    x,
    mask,
    sums,
    upstream,
    gradient,
    batch_stride,
    time_stride,
    upstream_batch_stride,
    upstream_time_stride,
    scale,
    factor,
    segments,
    length,
    width,
    has_mask: tl.constexpr,
    steps: tl.constexpr,
    rows: tl.constexpr,
    padded_width: tl.constexpr,
):
    columns = tl.arange(0, padded_width)
    inside = (columns < width)[None, :]
    b, t = _stretch(segments, length, steps, rows)
    before, before_real = _read(x, mask, b, t - 1, batch_stride, time_stride, columns, length, width, has_mask)
    this, this_real = _read(x, mask, b, t, batch_stride, time_stride, columns, length, width, has_mask)
    before_lse = tl.load(sums + b * length + t - 1, mask=(t > 0) & (t <= length), other=0.0)
    lse = tl.load(sums + b * length + t, mask=t < length, other=0.0)
    _, second = _slopes(before, this, before_lse, lse, scale)
    upstream += b * upstream_batch_stride + t * upstream_time_stride
    g = tl.load(upstream - upstream_time_stride, mask=before_real & this_real, other=0.0) * factor
    weight = g[:, None] * second
    for _ in range(steps):
        after, after_real = _read(x, mask, b, t + 1, batch_stride, time_stride, columns, length, width, has_mask)
        after_lse = tl.load(sums + b * length + t + 1, mask=t + 1 < length, other=0.0)
        g = tl.load(upstream, mask=this_real & after_real, other=0.0) * factor
        first, second = _slopes(this, after, lse, after_lse, scale)
        p = tl.exp2(tl.where(inside, this * scale - lse[:, None], float("-inf")))
        weight += g[:, None] * first
        total = tl.sum(p * weight, 1)
        offsets = (b * length + t)[:, None] * width + columns[None, :]
        tl.store(gradient + offsets, p * (weight - total[:, None]), mask=(t < length)[:, None] & inside)
        weight = g[:, None] * second
        t += 1
        upstream += upstream_time_stride
        this, this_real, lse = after, after_real, after_lse


def is_interpreted() -> bool:
    """Whether triton was imported with TRITON_INTERPRET=1, and so runs kernels on the CPU."""
    return not isinstance(_forward, JITFunction)


def _launch(kernel: Any, x: Tensor, mask: Tensor | None, temperature: float, **arguments: Any) -> None:
    """Run a kernel on ``x [B, T, D]``, given the arguments that the other one does not have."""
    batch, length, width = x.shape
    if not x.numel():
        return
    if x.stride(2) != 1:
        x = x.contiguous()
    padded_width = max(triton.next_power_of_2(width), 16)
    # The interpreter of triton 3.2 stores to a single row whatever its mask says.
    rows = max(_LEAST_TILE // padded_width, 2 if is_interpreted() else 1)
    steps = triton.next_power_of_2(batch * length // (rows * _ENOUGH_PROGRAMS))
    steps = min(max(steps, _LEAST_STEPS), _MOST_STEPS)
    segments = batch * triton.cdiv(length, steps)
    # Triton launches on the current device.
    with torch.cuda.device_of(x):
        kernel[(triton.cdiv(segments, rows),)](
            x=x,
            mask=None if mask is None else mask.contiguous(),
            batch_stride=x.stride(0),
            time_stride=x.stride(1),
            scale=math.log2(math.e) / temperature,
            segments=segments,
            length=length,
            width=width,
            has_mask=mask is not None,
            steps=steps,
            rows=rows,
            padded_width=padded_width,
            num_warps=max(padded_width // (32 * _ELEMENTS_PER_THREAD), 1),
            **arguments,
        )


def forward(x: Tensor, mask: Tensor | None, temperature: float) -> tuple[Tensor, Tensor]:
    """Divergence ``[B, T-1]`` in nats, 0 at pairs with an invalid frame, and base-2 log-sum-exp ``[B, T]``."""
    batch, length, _ = x.shape
    values = torch.empty(batch, length - 1, dtype=torch.float32, device=x.device)
    sums = torch.empty(batch, length, dtype=torch.float32, device=x.device)
    _launch(_forward, x, mask, temperature, values=values, sums=sums)
    return values, sums


def backward(x: Tensor, mask: Tensor | None, sums: Tensor, upstream: Tensor, temperature: float) -> Tensor:
    """Gradient ``[B, T, D]`` in the dtype of ``x``."""
    gradient = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    _launch(
        _backward,
        x,
        mask,
        temperature,
        sums=sums.contiguous(),
        upstream=upstream,
        upstream_batch_stride=upstream.stride(0),
        upstream_time_stride=upstream.stride(1),
        gradient=gradient,
        factor=math.log(2.0) / (2 * temperature),
    )
    return gradient
