"""Batch statistics over several processes: gather the samples of all ranks, or sum over them, with gradients."""

from typing import Any

import torch
from torch import Tensor, distributed

from mmdisentangle._core.numerics import zero_where_invalid


class _AllGather(torch.autograd.Function):
    """Gather equally shaped tensors; the backward pass sums each rank's part over all ranks.

    Every rank computes the same loss, so the sum is the number of ranks times the gradient, and the averaging of
    DistributedDataParallel divides by it: the parameter gradients are those of one process with the whole batch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        gathered = [torch.empty_like(x) for _ in range(distributed.get_world_size())]
        distributed.all_gather(gathered, x.contiguous())
        return torch.stack(gathered)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        total = upstream.clone()
        distributed.all_reduce(total)
        return total[distributed.get_rank()]


class _AllSum(torch.autograd.Function):
    """Sum over ranks; the backward pass sums the upstream gradients likewise, see `_AllGather`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        total = upstream.clone()
        distributed.all_reduce(total)
        return total


def world_size() -> int:
    """Number of processes, 1 outside a process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def sum_over_processes(x: Tensor) -> Tensor:
    """Sum ``x``, of one shape everywhere, over all ranks; ``x`` itself on one process.

    A mean over samples or frames is that of one process with the whole batch where its sum and its count are taken
    through here, however many of them each rank has.
    """
    if world_size() == 1:
        return x
    total: Tensor = _AllSum.apply(x)  # type: ignore[no-untyped-call]
    return total


def mean_over_processes(means: Tensor, counts: Tensor) -> Tensor:
    """Means over the samples of all ranks, from each rank's means and the numbers of terms they were taken over."""
    if world_size() == 1:
        return means
    counts = counts.to(means.dtype)
    sums, counts = sum_over_processes(torch.stack((means * counts, counts))).unbind()
    return sums.div(torch.where(counts > 0, counts, torch.ones_like(counts)))


def count_rows(x: Tensor, mask: Tensor | None) -> Tensor:
    """Number of valid rows of ``x [..., D]``; ``mask`` is boolean and has the leading axes, None means that all are."""
    count: Tensor = x.new_full((), x[..., 0].numel()) if mask is None else mask.sum()
    return count


def gather_samples(x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Concatenate ``x [B, ...]`` and ``mask`` over all ranks, whatever their batch sizes (and lengths).

    Args:
        x: this rank's samples; at most the first two axes may differ in size between ranks.
        mask: boolean, the first one or two axes of ``x``: True = counts. None means that all do.

    Returns:
        Samples of all ranks padded to the largest sizes, and their mask; the arguments themselves on one process.
    """
    if world_size() == 1:
        return x, mask
    if mask is None:
        mask = torch.ones(x.shape[:1], dtype=torch.bool, device=x.device)
    own = torch.tensor(x.shape[: mask.ndim], device=x.device)
    largest = own.clone()
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    missing = [int(size) for size in (largest - own).tolist()]
    x = zero_where_invalid(x, mask)
    return _all_gather(_lengthen(x, missing)), _all_gather(_lengthen(mask, missing).to(torch.uint8)).bool()


def gather_pairs(x: Tensor, y: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """`gather_samples` of two tensors of the same samples, which share one mask."""
    gathered_x, gathered_mask = gather_samples(x, mask)
    return gathered_x, gather_samples(y, mask)[0], gathered_mask


def _all_gather(x: Tensor) -> Tensor:
    gathered: Tensor = _AllGather.apply(x)  # type: ignore[no-untyped-call]
    return gathered.flatten(0, 1)


def _lengthen(x: Tensor, missing: list[int]) -> Tensor:
    padding: list[int] = []
    for axis in reversed(range(x.ndim)):
        padding += [0, missing[axis] if axis < len(missing) else 0]
    return torch.nn.functional.pad(x, padding)
