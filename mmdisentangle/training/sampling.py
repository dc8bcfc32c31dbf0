"""Data loaders whose order, and whose augmentation, depend on the seed and the epoch alone."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from mmdisentangle.data.batch import MultimodalBatch, MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.degradation import Transform


class EpochSampler(Sampler[int]):
    """A random order of all samples, a function of the seed and the epoch; Lightning calls ``set_epoch``."""

    def __init__(self, num_samples: int, seed: int) -> None:
        self.num_samples, self.seed, self.epoch = num_samples, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch, 0))
        yield from torch.randperm(self.num_samples, generator=generator).tolist()


def epoch_seed(seed: int, epoch: int, stream: int) -> int:
    """Return a seed that differs for every epoch and every use of random numbers within it."""
    return int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def training_loader(
    dataset: MultimodalDataset,
    batch_size: int,
    sampler: EpochSampler,
    transform: Transform | None,
    generator: torch.Generator,
) -> "DataLoader[MultimodalSample]":
    """Return a loader of batches in the sampler's order, each sample through ``transform``."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=0,
        collate_fn=partial(_collate_changed, dataset, transform, generator) if transform else dataset.collate,
        # A loader draws a number for worker processes, from the global state if it has no generator of its own.
        generator=torch.Generator(),
    )


def _collate_changed(
    dataset: MultimodalDataset, transform: Transform, generator: torch.Generator, samples: list[MultimodalSample]
) -> MultimodalBatch:
    return dataset.collate([transform(sample, generator) for sample in samples])
