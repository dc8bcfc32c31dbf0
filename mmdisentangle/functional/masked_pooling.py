"""Pooling over real frames only."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_mask, check_tensor
from mmdisentangle._core.errors import DtypeError, ShapeError
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid


def masked_mean(x: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None, dim: int = 1) -> Float[Tensor, "..."]:
    r"""Mean over axis ``dim`` of the entries whose mask is True.

    .. math:: y = \frac{1}{\max(1, |R|)} \sum_{t \in R} x_t, \qquad R = \{ t : \mathrm{mask}_t \}

    Use it to pool a sequence of codes over time. The sum runs in float32 at least.

    Args:
        x: any floating tensor.
        mask: True = counts; None means that all do. Its shape is that of the leading axes of ``x``, ``dim`` included.
        dim: the axis to average over.

    Shape:
        x ``[B, T, D]``, mask ``[B, T]``, ``dim=1`` gives ``[B, D]``; other numbers of axes likewise.

    Returns:
        Mean in the units and dtype of ``x``; 0 where nothing counts.

    Raises:
        DtypeError: x is not floating or the mask not boolean.
        ShapeError: the mask does not match the leading axes of x, or ends before ``dim``.

    Example:
        >>> masked_mean(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]), 1)
        tensor([[2.]])
    """
    dim = _check_pooling("masked_mean", x, mask, dim)
    if mask is None:
        return (at_least_float32(x).sum(dim) / max(x.shape[dim], 1)).to(x.dtype)
    total = at_least_float32(zero_where_invalid(x, mask)).sum(dim)
    count = mask.sum(dim).clamp(min=1).to(total.dtype)
    count = count.reshape(count.shape + (1,) * (total.ndim - count.ndim))
    return (total / count).to(x.dtype)


def masked_max(x: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None, dim: int = 1) -> Float[Tensor, "..."]:
    r"""Maximum over axis ``dim`` of the entries whose mask is True.

    .. math:: y = \max_{t \in R} x_t, \qquad y = 0 \text{ where } R \text{ is empty}

    Use it beside `masked_mean` where one frame out of many decides.

    Args:
        x: any floating tensor.
        mask: True = counts; None means that all do. Its shape is that of the leading axes of ``x``, ``dim`` included.
        dim: the axis to take the maximum over.

    Shape:
        x ``[B, T, D]``, mask ``[B, T]``, ``dim=1`` gives ``[B, D]``; other numbers of axes likewise.

    Returns:
        Maximum in the units and dtype of ``x``; 0 where nothing counts.

    Raises:
        DtypeError: x is not floating or the mask not boolean.
        ShapeError: the mask does not match the leading axes of x, or ends before ``dim``.

    Numerics:
        Equal largest entries share the gradient.

    Example:
        >>> masked_max(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]), 1)
        tensor([[3.]])
    """
    dim = _check_pooling("masked_max", x, mask, dim)
    if x.shape[dim] == 0:
        # No entry is the largest one.
        return x.sum(dim)
    if mask is None:
        return x.amax(dim)
    spread = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
    return zero_where_invalid(x.masked_fill(~spread, -torch.inf).amax(dim), mask.any(dim))


def _check_pooling(where: str, x: Tensor, mask: Tensor | None, dim: int) -> int:
    """Check the arguments, and return the axis counted from the front."""
    check_tensor(where, "x", x)
    if not x.is_floating_point():
        raise DtypeError(f"{where}: x must be a floating-point tensor, got {x.dtype}; convert it with x.float().")
    if not -x.ndim <= dim < x.ndim:
        raise ShapeError(f"{where}: dim must be an axis of x with shape {list(x.shape)}, got {dim}.")
    dim %= x.ndim
    if mask is None:
        return dim
    check_tensor(where, "mask", mask)
    if mask.ndim > x.ndim or dim >= mask.ndim:
        raise ShapeError(
            f"{where}: mask must have the leading axes of x {list(x.shape)} up to dim={dim} at least, "
            f"got shape {list(mask.shape)}."
        )
    check_mask(where, "mask", mask, x.shape[: mask.ndim])
    return dim


def masked_mean_square(x: Float[Tensor, "*batch D"], mask: Bool[Tensor, "*batch"] | None = None) -> Float[Tensor, ""]:
    r"""Mean of the squares of all entries whose row is valid; 0 where none is.

    .. math:: y = \frac{1}{\max(1, |R|)\, D} \sum_{r \in R} \|x_r\|^2

    Args:
        x: differences, for instance reconstruction minus target.
        mask: True = the row counts.

    Example:
        >>> masked_mean_square(torch.tensor([[1.0, 3.0], [9.0, 9.0]]), torch.tensor([True, False]))
        tensor(5.)
    """
    check_tensor("masked_mean_square", "x", x)
    if not x.is_floating_point():
        raise DtypeError(f"masked_mean_square: x must be a floating-point tensor, got {x.dtype}.")
    x = at_least_float32(x)
    if mask is None:
        return x.square().sum() / max(x.numel(), 1)
    check_mask("masked_mean_square", "mask", mask, x.shape[:-1])
    return zero_where_invalid(x, mask).square().sum() / (mask.sum().clamp(min=1) * max(x.shape[-1], 1)).to(x.dtype)
