"""The parts of HSIC, CKA and distance correlation: centred kernels of each set of codes, and what two of them share."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_choice, check_flag, check_number
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.numerics import safe_sqrt, without_autocast, zero_where_invalid
from mmdisentangle.functional._paired_codes import centred, count_samples, drop_rounding, product_norm, unit_scale
from mmdisentangle.functional._row_distances import median_square, squared_distances, valid_pairs

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


def describe(x: Tensor, mask: Tensor | None, *, kernel: str, unbiased: bool, bandwidth: float | None = None) -> Tensor:
    """What `dependence` wants of one set: the centred codes ``[N, D]``, or for other kernels the centred Gram matrix.

    Zero at masked samples. ``kernel="distance"``, that of the distance correlation, is minus the distance.
    """
    x = centred(x, mask)
    if kernel == "linear":
        return x
    with without_autocast(x):
        distances = squared_distances(x)
        others = valid_pairs(distances, mask)
        if kernel == "distance":
            gram = -safe_sqrt(distances)
        else:
            square = median_square(distances.detach(), others) if bandwidth is None else bandwidth**2
            # exp - 1: centring cancels the constant, and nearly equal rows keep their digits.
            gram = torch.expm1(-distances / (2 * square))
        # The diagonal is 0 in both, so it makes no difference whether it belongs to the sums.
        return _centred_gram(zero_where_invalid(gram, others), others, mask, unbiased)


def dependence(a: Tensor, b: Tensor, mask: Tensor | None, *, kernel: str, unbiased: bool) -> Tensor:
    """HSIC of two sets of codes from what `describe` made of them; 0 with too few samples."""
    least = 4 if unbiased else 2
    count = count_samples(a, mask)
    n = count.clamp(min=least)
    with without_autocast(a):
        if kernel != "linear":
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


def alignment(a: Tensor, b: Tensor, mask: Tensor | None, *, kernel: str, unbiased: bool) -> Tensor:
    """`dependence` in parts of what each set depends on itself; 0 where either is constant."""
    a, b = unit_scale(a), unit_scale(b)
    between = dependence(a, b, mask, kernel=kernel, unbiased=unbiased)
    within_a, within_b = (dependence(own, own, mask, kernel=kernel, unbiased=unbiased) for own in (a, b))
    varies = torch.ones_like(between, dtype=torch.bool)
    for own, within in ((a, within_a), (b, within_b)):
        # The unbiased one is a difference; where all its terms cancel it is rounding (one-hot codes, for instance).
        whole = dependence(own, own, mask, kernel=kernel, unbiased=False) if unbiased else within
        varies = varies & (within > torch.finfo(own.dtype).eps * own.shape[0] * whole.detach())
    one, zero = torch.ones_like(between), torch.zeros_like(between)
    product = torch.where(varies, within_a * within_b, one)
    return torch.where(varies, between, zero) / product.sqrt()


def _centred_gram(gram: Tensor, others: Tensor, mask: Tensor | None, unbiased: bool) -> Tensor:
    """Rows and columns with the mean 0; without the diagonal, by Szekely and Rizzo, where ``unbiased``."""
    size = gram.shape[0]
    if size == 0:
        return gram
    # As in centring a product of two centrings; without the diagonal with two less.
    n = count_samples(gram, mask).clamp(min=4 if unbiased else 1)
    rows = gram.sum(1) / (n - 2 if unbiased else n)
    total = rows.sum() / (n - 1 if unbiased else n)
    rounding = torch.finfo(gram.dtype).eps * size**0.5 * gram.detach().abs().amax()
    gram = drop_rounding(gram - rows - rows.unsqueeze(1) + total, rounding)
    if unbiased:
        return zero_where_invalid(gram, others)
    return gram if mask is None else zero_where_invalid(gram, mask & mask.unsqueeze(1))
