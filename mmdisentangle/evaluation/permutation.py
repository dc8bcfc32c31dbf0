"""Permutation tests: is a dependence, or a difference of two samples, more than chance would give?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from mmdisentangle._core.checks import check_choice, check_count
from mmdisentangle._core.errors import DataError, DtypeError, SettingError, ShapeError
from mmdisentangle.functional._kernel_dependence import DEPENDENCE_KERNELS, DependenceKernel, describe
from mmdisentangle.functional._paired_codes import centred
from mmdisentangle.functional._row_distances import squared_distances, valid_pairs
from mmdisentangle.functional.maximum_mean_discrepancy import mean_kernel

Array: TypeAlias = Tensor | np.ndarray
IndependenceStatistic: TypeAlias = Literal["hsic", "distance_correlation"]
QUANTILES = (0.5, 0.9, 0.95, 0.99)
# Entries of all permuted Gram matrices that are in memory at a time.
_CHUNK = 2**22


@dataclass(frozen=True)
class PermutationTest:
    """What a permutation test found.

    Args:
        name: of the statistic.
        statistic: its value on the data as they are.
        p_value: share of the arrangements, the data's own one included, whose statistic is at least that large.
        null_mean: mean of the statistic over the permutations.
        null_quantiles: quantile to value, over the permutations.
        permutations: how many were drawn.
        samples: number of samples, of both sets together where there are two.
        groups: how many were permuted as a whole; the number of samples where none were given.

    Example:
        >>> x = torch.linspace(-1, 1, 40)
        >>> found = independence_test(x, x**2, permutations=99)
        >>> found.p_value, found.statistic > found.null_quantiles[0.95]
        (0.01, True)
    """

    name: str
    statistic: float
    p_value: float
    null_mean: float
    null_quantiles: Mapping[float, float]
    permutations: int
    samples: int
    groups: int


def independence_test(
    x: Array,
    y: Array,
    *,
    statistic: IndependenceStatistic = "hsic",
    kernel: DependenceKernel = "rbf",
    permutations: int = 999,
    seed: int = 0,
    groups: Array | None = None,
) -> PermutationTest:
    r"""Test whether two codes of the same samples are independent.

    .. math:: p = \frac{1 + \#\{\text{permutations with } S(x, y_\pi) \ge S(x, y)\}}{1 + \#\text{permutations}}

    Under independence p is at or below :math:`\alpha` with a probability of at most :math:`\alpha`, whatever the
    distributions and however few the samples: the test is exact. Use it on private against shared codes, or on codes
    against a factor. A large p is no proof of independence.

    Args:
        x: first codes, one row per sample.
        y: second codes of the same samples.
        statistic: ``"hsic"`` or ``"distance_correlation"``, the biased forms.
        kernel: of HSIC: ``"rbf"`` sees every kind of dependence, ``"linear"`` linear dependence only.
        permutations: how many to draw; the smallest possible p is 1 / (1 + permutations).
        seed: of the draw.
        groups: ``[N]``, for instance the subject of each sample. Samples of a group are not exchangeable one by one, so
            its rows of y stay together and in order, and whole groups change places with others of their size.

    Shape:
        x ``[N, D1]`` or ``[N]``, y ``[N, D2]`` or ``[N]``.

    Returns:
        A `PermutationTest`, its statistic in the units of `functional.hsic` and `functional.distance_correlation`.

    Raises:
        DtypeError: an argument is neither a tensor nor an array of real numbers.
        ShapeError: the numbers of samples differ.
        DataError: NaN or infinities.
        SettingError: fewer than four samples or permutations below 1; no two groups are of one size.

    Numerics:
        In float64. Both Gram matrices are computed once and permuted by index, in chunks: time N^2 (D1 + D2 +
        permutations), memory N^2 and a fixed chunk. Values that differ by rounding only count as equal.

    Example:
        >>> x = torch.linspace(-1, 1, 40)
        >>> independence_test(x, x**2).p_value, independence_test(x, x**2, kernel="linear").p_value > 0.9
        (0.001, True)

    References:
        Gretton et al., "A Kernel Statistical Test of Independence", 2007, NIPS 20.
        Phipson and Smyth, "Permutation P-values Should Never Be Zero", 2010, doi:10.2202/1544-6115.1585.
    """
    where = "independence_test"
    check_choice(where, "statistic", statistic, ("hsic", "distance_correlation"))
    check_choice(where, "kernel", kernel, DEPENDENCE_KERNELS)
    check_count(where, "permutations", permutations)
    first, second = _rows(where, "x", x), _rows(where, "y", y)
    size = first.shape[0]
    if second.shape[0] != size:
        raise ShapeError(f"{where}: x and y must have the same number of samples, got {size} and {second.shape[0]}.")
    _check_enough(where, size)
    members = _members(where, groups, size)
    kind = "distance" if statistic == "distance_correlation" else kernel
    a, b = (describe(codes, None, kernel=kind, unbiased=False) for codes in (first, second))
    if kind == "linear":
        a, b = a @ a.mT, b @ b.mT
    generator = torch.Generator().manual_seed(seed)
    drawn = [(a * b).sum().unsqueeze(0)]
    for count in _chunks(permutations, size**2):
        order = _group_orders(members, size, count, generator).to(a.device)
        drawn.append((b.take(order.unsqueeze(2) * size + order.unsqueeze(1)) * a).sum((1, 2)))
    sums, norm = torch.cat(drawn), a.norm() * b.norm()
    at_least = _at_least(sums, norm * size)
    if statistic == "hsic":
        values = sums / (size - 1) ** 2
    else:
        values = (sums / torch.where(norm > 0, norm, 1)).clamp(min=0).sqrt()
    return _result(statistic, values, at_least, samples=size, groups=len(members))


def two_sample_test(
    x: Array,
    y: Array,
    *,
    statistic: Literal["mmd"] = "mmd",
    permutations: int = 999,
    seed: int = 0,
    groups: tuple[Array, Array] | None = None,
) -> PermutationTest:
    r"""Test whether two sets of codes come from one distribution.

    .. math:: p = \frac{1 + \#\{\text{permutations with } S_\pi \ge S\}}{1 + \#\text{permutations}}

    where a permutation deals the samples out to two sets of the same sizes. Exact, as `independence_test` is. Use it on
    the shared codes of two modalities, or on codes of training and test data.

    Args:
        x: first set, one row per sample.
        y: second set; the number of rows may differ.
        statistic: ``"mmd"``, the unbiased squared maximum mean discrepancy at its default bandwidths.
        permutations: how many to draw; the smallest possible p is 1 / (1 + permutations).
        seed: of the draw.
        groups: pair ``([N], [M])``, for instance the subject of each sample: whole groups are dealt out. A name in both
            sets means two groups.

    Shape:
        x ``[N, D]`` or ``[N]``, y ``[M, D]`` or ``[M]``.

    Returns:
        A `PermutationTest`, its statistic that of `functional.maximum_mean_discrepancy`.

    Raises:
        DtypeError: an argument is neither a tensor nor an array of real numbers.
        ShapeError: widths differ, or groups do not match.
        SettingError: fewer than four samples in all, or than two in a set; permutations below 1; fewer than four
            groups.

    Numerics:
        In float64. The Gram matrix of all samples is computed once; every permutation is a row of a matrix product with
        it: time (N + M)^2 (D + permutations). Values that differ by rounding only count as equal.

    Example:
        >>> x = torch.linspace(-1, 1, 30)
        >>> two_sample_test(x, x[1::2]).p_value > 0.5, two_sample_test(x, x[1::2] + 1).p_value
        (True, 0.001)

    References:
        Gretton et al., "A Kernel Two-Sample Test", 2012, JMLR 13.
        Phipson and Smyth, "Permutation P-values Should Never Be Zero", 2010, doi:10.2202/1544-6115.1585.
    """
    where = "two_sample_test"
    check_choice(where, "statistic", statistic, ("mmd",))
    check_count(where, "permutations", permutations)
    first, second = _rows(where, "x", x), _rows(where, "y", y)
    if first.shape[1] != second.shape[1]:
        raise ShapeError(
            f"{where}: x and y must have the same number of features, got {first.shape[1]} and {second.shape[1]}."
        )
    n, size = first.shape[0], first.shape[0] + second.shape[0]
    _check_enough(where, size)
    if min(n, size - n) < 2:
        raise SettingError(f"{where}: each set needs at least two samples, got {n} and {size - n}.")
    member = _both_groups(where, groups, n, size)
    joined = centred(torch.cat((first, second)), None)
    distances = squared_distances(joined)
    others = valid_pairs(distances, None)
    gram = torch.where(others, mean_kernel(distances, others, None), 0)
    generator = torch.Generator().manual_seed(seed)
    of_groups, in_first = int(member.max()) + 1, int(member[:n].max()) + 1
    drawn = [_discrepancies(gram, (torch.arange(size) < n).unsqueeze(0).to(gram.device))]
    for count in _chunks(permutations, size):
        dealt = torch.rand(count, of_groups, generator=generator, dtype=torch.float64).argsort(1) < in_first
        drawn.append(_discrepancies(gram, dealt[:, member].to(gram.device)))
    values = torch.cat(drawn)
    # No entry of the Gram matrix is larger than 1.
    return _result(statistic, values, _at_least(values, size), samples=size, groups=of_groups)


def _rows(where: str, name: str, codes: object) -> Tensor:
    """Codes as a detached float64 tensor ``[N, D]``."""
    if isinstance(codes, np.ndarray) and codes.dtype.kind in "fiub":
        codes = torch.from_numpy(codes)
    if not isinstance(codes, Tensor) or codes.is_complex():
        raise DtypeError(
            f"{where}: {name} must be a tensor or an array of real numbers, got {type(codes).__name__}"
            f"{f' of {codes.dtype}' if isinstance(codes, Tensor | np.ndarray) else ''}."
        )
    if codes.ndim not in (1, 2):
        raise ShapeError(f"{where}: {name} must have shape [N, D] or [N], got {list(codes.shape)}.")
    codes = codes.detach().double()
    if not codes.isfinite().all():
        raise DataError(f"{where}: {name} holds NaN or infinities; leave these samples out.")
    return codes.unsqueeze(1) if codes.ndim == 1 else codes


def _check_enough(where: str, size: int) -> None:
    if size < 4:
        raise SettingError(f"{where}: at least four samples are needed, got {size}.")


def _numbered(where: str, name: str, groups: object, size: int) -> Tensor:
    """Number the groups 0, 1, ... of ``size`` samples, in the order of their names."""
    names = groups.cpu().numpy() if isinstance(groups, Tensor) else np.asarray(groups)
    if names.shape != (size,):
        raise ShapeError(f"{where}: {name} must have shape [{size}], one group per sample, got {list(names.shape)}.")
    return torch.from_numpy(np.unique(names, return_inverse=True)[1]).long()


def _members(where: str, groups: object, size: int) -> list[Tensor]:
    """Rows of every group, each in the order of the samples."""
    if groups is None:
        return list(torch.arange(size).split(1))
    number = _numbered(where, "groups", groups, size)
    members = [(number == group).nonzero().squeeze(1) for group in range(int(number.max()) + 1)]
    if len({len(rows) for rows in members}) == len(members):
        raise SettingError(
            f"{where}: groups change places with groups of their size, and no two of the {len(members)} groups are of "
            "one size; cut them to equal lengths."
        )
    return members


def _both_groups(where: str, groups: object, n: int, size: int) -> Tensor:
    """Number of the group of every sample; those of the first set come first."""
    if groups is None:
        return torch.arange(size)
    if not isinstance(groups, tuple) or len(groups) != 2:
        raise DtypeError(f"{where}: groups must be a pair (of x, of y), got {type(groups).__name__}.")
    first = _numbered(where, "groups of x", groups[0], n)
    second = _numbered(where, "groups of y", groups[1], size - n) + first.max() + 1
    if second.max() < 3:
        raise SettingError(f"{where}: at least four groups are needed, got {int(second.max()) + 1}.")
    return torch.cat((first, second))


def _group_orders(members: list[Tensor], size: int, count: int, generator: torch.Generator) -> Tensor:
    """``[count, size]``: permutations of the samples in which groups of one size have changed places."""
    orders = torch.empty(count, size, dtype=torch.int64)
    by_length: dict[int, list[Tensor]] = {}
    for rows in members:
        by_length.setdefault(len(rows), []).append(rows)
    for alike in by_length.values():
        blocks = torch.stack(alike)
        drawn = torch.rand(count, len(alike), generator=generator, dtype=torch.float64).argsort(1)
        orders[:, blocks.flatten()] = blocks[drawn].flatten(1)
    return orders


def _discrepancies(gram: Tensor, in_first: Tensor) -> Tensor:
    """Unbiased discrepancy for every row of ``in_first [P, N + M]``; the diagonal of the Gram matrix is 0."""
    chosen = in_first.to(gram.dtype)
    n, m = chosen.sum(1), (1 - chosen).sum(1)
    rows = chosen @ gram
    within_x = (rows * chosen).sum(1)
    between = rows.sum(1) - within_x
    within_y = gram.sum() - 2 * between - within_x
    # Groups of unequal sizes may leave a set with a single sample, which has no pairs.
    return within_x / (n * (n - 1)).clamp(min=1) + within_y / (m * (m - 1)).clamp(min=1) - 2 * between / (n * m)


def _chunks(permutations: int, entries: int) -> Iterator[int]:
    """Numbers of permutations to take at a time, ``entries`` numbers each."""
    most = max(_CHUNK // entries, 1)
    for start in range(0, permutations, most):
        yield min(most, permutations - start)


def _at_least(values: Tensor, size: Tensor | int) -> int:
    """How many of the later values are no less than the first; sums of ``size`` are told apart beyond rounding only."""
    return int((values[1:] >= values[0] - torch.finfo(values.dtype).eps * size).sum())


def _result(name: str, values: Tensor, at_least: int, *, samples: int, groups: int) -> PermutationTest:
    """Make the result of the value on the data, which comes first, and of those on the permutations."""
    null = values[1:]
    quantiles = torch.quantile(null, torch.tensor(QUANTILES, dtype=null.dtype, device=null.device))
    return PermutationTest(
        name=name,
        statistic=float(values[0]),
        p_value=(1 + at_least) / (1 + len(null)),
        null_mean=float(null.mean()),
        null_quantiles=dict(zip(QUANTILES, quantiles.tolist(), strict=True)),
        permutations=len(null),
        samples=samples,
        groups=groups,
    )
