"""Temporal invariance with a fused kernel behind it.

Two autograd.Functions, one for the divergence and one for its gradient, keep every property: ``torch.func.grad`` and
``vmap`` (the mapped axis joins the batch) run the kernels too, and a second derivative is that of the readable formula.
Compiled graphs hold custom operators, which no compiler looks into; alone, with an autograd formula registered, these
would not have those properties. What is not supported raises: forward-mode differentiation, ``torch.compile`` of
``torch.func.grad`` or ``vmap``, and a backward pass through an exported program, which holds the operator only.
"""

from types import ModuleType
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_choice, check_float
from mmdisentangle._core.errors import DtypeError, MMDisentangleError, SettingError, ShapeError, require_extra
from mmdisentangle._core.reduction import Reduction
from mmdisentangle.functional import temporal_invariance as reference
from mmdisentangle.functional._adjacent_jsd import adjacent_jsd_gradient
from mmdisentangle.functional.temporal_invariance import TemporalAggregation, TemporalDivergence, reduced_divergence

Impl: TypeAlias = Literal["auto", "reference", "fused"]
IMPLS = ("auto", "reference", "fused")
FUSED_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# A frame is one tile; wider ones would leave the registers.
MOST_FUSED_FEATURES = 8192
_WHERE = "temporal_invariance"


def temporal_invariance(
    x: Float[Tensor, "B T D"],
    mask: Bool[Tensor, "B T"] | None = None,
    *,
    divergence: TemporalDivergence = "js",
    aggregation: TemporalAggregation = "sample",
    temperature: float = 1.0,
    reduction: Reduction = "mean",
    impl: Impl = "auto",
) -> Float[Tensor, "..."]:
    r"""Divergence between neighbouring frames: `mmdisentangle.functional.temporal_invariance`, fused where possible.

    .. math:: L = \frac{1}{|V|} \sum_{(b,t) \in V} \mathrm{D}(P_{b,t}, P_{b,t+1}),
              \qquad P_{b,t} = \mathrm{softmax}(x_{b,t} / \tau)

    Use it in place of the function of `mmdisentangle.functional`, which defines what it computes.

    Args:
        x: codes or logits.
        mask: True = real frame; None means that all are real. Padding may hold anything, NaN included.
        divergence: as in the reference; the kernel computes ``"js"``.
        aggregation: as in the reference; the kernel computes ``"sample"``.
        temperature: divides the logits.
        reduction: ``"none"``, ``"mean"`` (over valid pairs) or ``"sum"``.
        impl: ``"reference"`` is the readable definition; ``"fused"`` the kernel, or an error where it cannot run;
            ``"auto"`` the kernel for what it can compute on a CUDA device in eager mode with triton installed, else the
            reference, which ``torch.compile`` fuses by itself.

    Shape:
        x ``[B, T, D]`` with D at most 8192 for the kernel, mask ``[B, T]``; result ``[]``, or ``[B, T-1]`` / ``[T-1]``
        for ``reduction="none"``.

    Returns:
        As the reference: for ``"js"`` nats, at most log 2; float32 for half-precision input.

    Raises:
        SettingError: an unknown setting; ``impl="fused"`` with settings or on a device that the kernel does not know.
        DtypeError, ShapeError: x or mask does not fit; ``impl="fused"`` with float64 or too many features.
        MissingExtraError: ``impl="fused"`` without triton.

    Numerics:
        The kernel reads float32, bfloat16 or float16 and computes in float32 by the formula of the reference, to a
        relative error near 1e-6 down to divergences of 1e-7, like the reference. Logits must be finite. It keeps ``x``
        and one number per frame, reads each frame once forward and once backward (and one more, or two, per stretch of
        4 to 32) and is deterministic. Second derivatives are those of the reference; forward-mode differentiation
        raises.

    Example:
        >>> x = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [0.0, 2.0]]])
        >>> temporal_invariance(x, reduction="none")
        tensor([[0.0000, 0.0895]])

    References:
        "Robust Temporal-Invariant Learning in Multimodal Disentanglement", 2024, arXiv:2409.00143.
    """
    check_choice(_WHERE, "impl", impl, IMPLS)
    check_float(_WHERE, "x", x, "B T D")
    if impl == "fused":
        _check_fused(x, divergence, aggregation)
    elif impl == "reference" or not _prefers_fused(x, divergence, aggregation):
        return reference(
            x, mask, divergence=divergence, aggregation=aggregation, temperature=temperature, reduction=reduction
        )
    return reduced_divergence(x, mask, divergence, aggregation, temperature, reduction, _fused_jsd)


def _check_fused(x: Tensor, divergence: str, aggregation: str) -> None:
    """Raise where the kernel cannot run."""
    if divergence != "js" or aggregation != "sample":
        raise SettingError(
            f"{_WHERE}: impl='fused' computes divergence='js' with aggregation='sample', got divergence={divergence!r} "
            f"with aggregation={aggregation!r}; use impl='auto'."
        )
    if x.dtype not in FUSED_DTYPES:
        raise DtypeError(
            f"{_WHERE}: x must be float32, bfloat16 or float16 for impl='fused', got {x.dtype}; use impl='auto'."
        )
    if x.shape[2] > MOST_FUSED_FEATURES:
        raise ShapeError(
            f"{_WHERE}: x must have at most {MOST_FUSED_FEATURES} features for impl='fused', got {x.shape[2]}; "
            "use impl='auto'."
        )
    if not torch.compiler.is_compiling():
        # A compiled graph asks when it launches.
        _kernels(x.device)


def _prefers_fused(x: Tensor, divergence: str, aggregation: str) -> bool:
    if not x.is_cuda or torch.compiler.is_compiling():
        return False
    try:
        _check_fused(x, divergence, aggregation)
    except MMDisentangleError:
        return False
    return not _kernels(x.device).is_interpreted()


def _kernels(device: torch.device) -> ModuleType:
    require_extra("triton", "fused")
    from mmdisentangle.kernels import _adjacent_jsd

    if device.type != "cuda" and not (device.type == "cpu" and _adjacent_jsd.is_interpreted()):
        raise SettingError(
            f"{_WHERE}: impl='fused' needs x on a CUDA device, got {device}; use impl='auto', "
            "or set TRITON_INTERPRET=1 before triton is imported to check the kernel on a CPU."
        )
    return _adjacent_jsd


def _forward(x: Tensor, mask: Tensor | None, temperature: float) -> tuple[Tensor, Tensor]:
    values, sums = _kernels(x.device).forward(x, mask, temperature)
    return values, sums


def _backward(x: Tensor, mask: Tensor | None, sums: Tensor, upstream: Tensor, temperature: float) -> Tensor:
    gradient: Tensor = _kernels(x.device).backward(x, mask, sums, upstream, temperature)
    return gradient


_forward_operator = torch.library.custom_op(
    "mmdisentangle::adjacent_jsd",
    _forward,
    mutates_args=(),
    schema="(Tensor x, Tensor? mask, float temperature) -> (Tensor, Tensor)",
)
_backward_operator = torch.library.custom_op(
    "mmdisentangle::adjacent_jsd_backward",
    _backward,
    mutates_args=(),
    schema="(Tensor x, Tensor? mask, Tensor sums, Tensor upstream, float temperature) -> Tensor",
)


@_forward_operator.register_fake
def _(x: Tensor, mask: Tensor | None, temperature: float) -> tuple[Tensor, Tensor]:
    batch, length, _ = x.shape
    sums = x.new_empty((batch, length), dtype=torch.float32)
    return sums.new_empty((batch, length - 1)), sums


@_backward_operator.register_fake
def _(x: Tensor, mask: Tensor | None, sums: Tensor, upstream: Tensor, temperature: float) -> Tensor:
    return x.new_empty(x.shape)


def _fused_jsd(x: Tensor, mask: Tensor | None, temperature: float) -> Tensor:
    values: Tensor = _FusedJSD.apply(x, mask, temperature)[0]  # type: ignore[no-untyped-call]
    return values


def _into_batch(size: int, axes: tuple[int | None, ...], tensors: tuple[Tensor | None, ...]) -> list[Tensor | None]:
    """Join the axes of ``size`` that vmap maps to the batch."""
    joined = []
    for axis, tensor in zip(axes, tensors, strict=True):
        if tensor is not None:
            tensor = tensor.expand(size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
        joined.append(None if tensor is None else tensor.flatten(0, 1))
    return joined


class _FusedJSD(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, mask: Tensor | None, temperature: float) -> tuple[Tensor, Tensor]:
        # An operator costs the host more than the plain call.
        run = _forward_operator if torch.compiler.is_compiling() else _forward
        return run(x, mask, temperature)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, mask, ctx.temperature = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, mask, output[1])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor | None) -> tuple[Tensor, None, None]:
        x, mask, sums = ctx.saved_tensors
        gradient: Tensor = _FusedGradient.apply(x, mask, sums, upstream, ctx.temperature)  # type: ignore[no-untyped-call]
        return gradient, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], *arguments: Any
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        joined = _into_batch(info.batch_size, in_dims[:2], arguments[:2])
        values, sums = _FusedJSD.apply(*joined, arguments[2])  # type: ignore[no-untyped-call]
        shape = (info.batch_size, -1)
        return (values.unflatten(0, shape), sums.unflatten(0, shape)), (0, 0)


class _FusedGradient(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, mask: Tensor | None, sums: Tensor, upstream: Tensor, temperature: float) -> Tensor:
        run = _backward_operator if torch.compiler.is_compiling() else _backward
        return run(x, mask, sums, upstream, temperature)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, mask, _, upstream, ctx.temperature = inputs
        ctx.save_for_backward(x, mask, upstream)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, mask, first_upstream = ctx.saved_tensors

        def gradient(x: Tensor, first_upstream: Tensor) -> Tensor:
            return adjacent_jsd_gradient(x, mask, ctx.temperature, first_upstream)

        pullback: Any = torch.func.vjp(gradient, x, first_upstream)[1]
        for_x, for_upstream = pullback(upstream)
        return for_x, None, None, for_upstream, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Tensor, int]:
        joined = _into_batch(info.batch_size, in_dims[:4], arguments[:4])
        gradient: Tensor = _FusedGradient.apply(*joined, arguments[4])  # type: ignore[no-untyped-call]
        return gradient.unflatten(0, (info.batch_size, -1)), 0
