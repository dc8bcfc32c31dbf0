"""The parts of HSIC and CKA: centred kernels of each set of codes, and the estimate from two of them."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_choice, check_flag, check_number
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.numerics import without_autocast, zero_where_invalid
from mmdisentangle.functional._paired_codes import centred, drop_rounding, product_norm

DependenceKernel: TypeAlias = Literal["linear", "rbf"]
DEPENDENCE_KERNELS = ("linear", "rbf")


def check_dependence(where: str, kernel: str, unbiased: bool, bandwidth: float | None) -> None:
    """Require settings that fit together."""
    check_choice(where, "kernel", kernel, DEPENDENCE_KERNELS)
    check_flag(where, "unbiased", unbiased)
    if bandwidth is None:
        return
    if kernel != "rbf":
        raise SettingError(f"{where}: bandwidth belongs to kernel='rbf', got kernel={kernel!r}; leave bandwidth out.")
    check_number(where, "bandwidth", bandwidth, low=0, open_low=True)


def describe(x: Tensor, mask: Tensor | None, *, kernel: str, unbiased: bool, bandwidth: float | None) -> Tensor:
    """What `dependence` wants of one set: the centred codes ``[N, D]``, or for rbf the centred Gram matrix ``[N, N]``.

    Zero at masked samples.
    """
    x = centred(x, mask)
    if kernel == "linear":
        return x
    with without_autocast(x):
        return _centred_gram(_squared_distances(x), mask, unbiased, bandwidth)


def dependence(a: Tensor, b: Tensor, mask: Tensor | None, *, kernel: str, unbiased: bool) -> Tensor:
    """HSIC of two sets of codes from what `describe` made of them; 0 with too few samples."""
    least = 4 if unbiased else 2
    count = _count(a, mask)
    n = count.clamp(min=least)
    with without_autocast(a):
        if kernel == "rbf":
            total = (a * b).sum()
        elif unbiased:
            # Gram matrices without their diagonals, centred codes: the row sums are minus the squared lengths.
            lengths_a, lengths_b = a.square().sum(1), b.square().sum(1)
            total = product_norm(a, b) - (lengths_a * lengths_b).sum() * n / (n - 2)
            total = total + lengths_a.sum() * lengths_b.sum() / ((n - 1) * (n - 2))
        else:
            total = product_norm(a, b)
    value = total / (n * (n - 3) if unbiased else (n - 1).square())
    return torch.where(count >= least, value, torch.zeros_like(value))


def _count(x: Tensor, mask: Tensor | None) -> Tensor:
    """Number of samples that count, as a 0-dim tensor of the dtype of ``x``."""
    if mask is None:
        return torch.full((), x.shape[0], dtype=x.dtype, device=x.device)
    return mask.sum().to(x.dtype)


def _squared_distances(x: Tensor) -> Tensor:
    """Between all rows; those of equal rows are exactly zero, with the derivatives of a squared distance."""
    squares = x.square().sum(1)
    lengths = squares.unsqueeze(1) + squares
    rounding = torch.finfo(x.dtype).eps * max(x.shape[1], 1) ** 0.5 * lengths.detach()
    distances = lengths - 2 * (x @ x.mT)
    return distances - torch.where(distances > rounding, torch.zeros_like(distances), distances).detach()


def _centred_gram(distances: Tensor, mask: Tensor | None, unbiased: bool, bandwidth: float | None) -> Tensor:
    size = distances.shape[0]
    if size == 0:
        return distances
    others = ~torch.eye(size, dtype=torch.bool, device=distances.device)
    if mask is not None:
        others = others & mask & mask.unsqueeze(1)
    square = _median_square(distances.detach(), others) if bandwidth is None else bandwidth**2
    # exp - 1: centring cancels the constant, and nearly equal rows keep their digits. The diagonal is 0 then, so it
    # makes no difference whether it belongs to the sums.
    gram = zero_where_invalid(torch.expm1(-distances / (2 * square)), others)
    # As in centring a product of two centrings; without the diagonal, by Szekely and Rizzo, with two less.
    n = _count(distances, mask).clamp(min=4 if unbiased else 1)
    rows = gram.sum(1) / (n - 2 if unbiased else n)
    total = rows.sum() / (n - 1 if unbiased else n)
    rounding = torch.finfo(gram.dtype).eps * size**0.5 * gram.detach().abs().amax()
    gram = drop_rounding(gram - rows - rows.unsqueeze(1) + total, rounding)
    if unbiased:
        return zero_where_invalid(gram, others)
    return gram if mask is None else zero_where_invalid(gram, mask & mask.unsqueeze(1))


def _median_square(distances: Tensor, others: Tensor) -> Tensor:
    """Median over pairs; their mean where it is 0; 1 where all distances are 0. Nothing waits for the device."""
    count = others.sum()
    ordered = torch.where(others, distances, torch.inf).flatten().sort().values
    middle = ordered.gather(0, ((count - 1).clamp(min=0) // 2).unsqueeze(0)).squeeze(0)
    mean = zero_where_invalid(distances, others).sum() / count.clamp(min=1)
    middle = torch.where((middle > 0) & (count > 0), middle, mean)
    return torch.where(middle > 0, middle, torch.ones_like(middle))
