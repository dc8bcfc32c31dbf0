"""Data loaders whose order, and whose augmentation, depend on the seed and the epoch alone."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset, Sampler

from mmdisentangle.data.batch import MultimodalBatch, MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.degradation import Transform


class ShareSampler(Sampler[list[int]]):
    """Batches of one order of all samples, each cut into as many parts as processes and accumulated passes need.

    A step of the optimiser takes ``batch_size`` samples, the last one of an epoch those that are left, however many
    processes there are and however many passes each of them makes: the parts differ by one sample at most.

    Args:
        num_samples: samples of an epoch.
        batch_size: samples of a step.
        seed: of the order, together with the epoch; None keeps the samples in their own.
        rank: number of this process.
        world_size: number of processes.
        accumulate: passes of a process per step.

    Example:
        >>> [list(ShareSampler(7, 4, rank=rank, world_size=2)) for rank in (0, 1)]
        [[[0, 1], [4, 5]], [[2, 3], [6]]]
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        *,
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        accumulate: int = 1,
    ) -> None:
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.rank, self.world_size, self.accumulate = rank, world_size, accumulate
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.num_samples // self.batch_size) * self.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(self.num_samples))
        if self.seed is not None:
            generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch, 0))
            order = torch.randperm(self.num_samples, generator=generator).tolist()
        for index in range(len(self)):
            start, stop = self._bounds(index)
            # Every process takes part in every pass; who has no sample in it borrows one, which does not count.
            yield order[start:stop] or order[:1]

    def count(self, index: int) -> int:
        """Return the number of samples of batch ``index`` that count."""
        start, stop = self._bounds(index)
        return stop - start

    def weight(self, index: int) -> float:
        """Factor that makes batch ``index`` count by its samples where processes and passes are averaged plainly."""
        first = index // self.accumulate * self.batch_size
        total = min(self.batch_size, self.num_samples - first)
        return self.count(index) * self.world_size * self.accumulate / total

    def _bounds(self, index: int) -> tuple[int, int]:
        step, turn = divmod(index, self.accumulate)
        first = step * self.batch_size
        total = min(self.batch_size, self.num_samples - first)
        # All processes take their parts of the first pass, then of the second, so that a pass is a piece of the order.
        part, parts = turn * self.world_size + self.rank, self.accumulate * self.world_size
        return first + _cut(total, part, parts), first + _cut(total, part + 1, parts)


def _cut(total: int, part: int, parts: int) -> int:
    """Return where a part starts; longer parts come first."""
    return part * (total // parts) + min(part, total % parts)


def epoch_seed(seed: int, epoch: int, *stream: int) -> int:
    """Return a seed that differs for every epoch and every use of random numbers within it."""
    return int(np.random.SeedSequence([seed, epoch, *stream]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def share_loader(
    dataset: MultimodalDataset,
    sampler: ShareSampler,
    transform: Transform | None = None,
    *,
    seed: int = 0,
    num_workers: int = 0,
) -> "DataLoader[MultimodalSample]":
    """Return a loader of the sampler's batches, each sample through ``transform``.

    The random numbers of a sample depend on the seed, the epoch and the sample, so that the batches are the same for
    every ``num_workers``, the number of processes that read them ahead (0: none, they are read where they are used).
    """
    return DataLoader(
        _EpochSamples(dataset, transform, seed),
        batch_sampler=_EpochKeys(sampler),
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        collate_fn=partial(_collate_with_frames, dataset),
        # A loader draws a number for worker processes, from the global state if it has no generator of its own.
        generator=torch.Generator(),
    )


# Epoch and index: the processes that read samples outlive an epoch, and learn of the next one from what they are asked.
_Key: TypeAlias = tuple[int, int]


class _EpochKeys(Sampler[list[_Key]]):
    def __init__(self, sampler: ShareSampler) -> None:
        self.sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[_Key]]:
        epoch = self.sampler.epoch
        return ([(epoch, index) for index in batch] for batch in self.sampler)


class _EpochSamples(Dataset[MultimodalSample]):
    def __init__(self, dataset: MultimodalDataset, transform: Transform | None, seed: int) -> None:
        self.dataset, self.transform, self.seed = dataset, transform, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: _Key) -> MultimodalSample:
        epoch, index = key
        sample = self.dataset[index]
        if self.transform is None:
            return sample
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, epoch, 1, index))
        return self.transform(sample, generator)


def _collate_with_frames(dataset: MultimodalDataset, samples: list[MultimodalSample]) -> MultimodalBatch:
    """Collate, with a padded frame for a modality that no sample has.

    So every process runs the same layers, and every parameter has a gradient in every step, if only of zeros: for the
    momentum of an optimiser that is not the same as having none.
    """
    batch = dataset.collate(samples)
    short = {name: int(x.shape[1] == 0) for name, x in batch.inputs.items()}
    return replace(
        batch,
        inputs={name: pad(x, (0, 0, 0, short[name])) for name, x in batch.inputs.items()},
        masks={name: pad(mask, (0, short[name])) for name, mask in batch.masks.items()},
    )
