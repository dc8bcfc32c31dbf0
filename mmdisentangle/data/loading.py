"""Batches of a data set in its own order."""

import torch
from torch.utils.data import DataLoader

from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset


def evaluation_loader(
    dataset: MultimodalDataset, batch_size: int, num_workers: int = 0
) -> "DataLoader[MultimodalSample]":
    """Return a loader of batches in the order of the data set, read by so many processes beside this one."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        collate_fn=dataset.collate,
        generator=torch.Generator(),
    )
