"""Batches of a data set in its own order."""

import torch
from torch.utils.data import DataLoader

from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset


def evaluation_loader(dataset: MultimodalDataset, batch_size: int) -> "DataLoader[MultimodalSample]":
    """Return a loader of batches in the order of the data set; it draws no random number."""
    return DataLoader(dataset, batch_size=batch_size, collate_fn=dataset.collate, generator=torch.Generator())
