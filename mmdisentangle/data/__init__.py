"""Batches of ragged modalities, data sets in memory, readers and synthetic generators."""

from mmdisentangle.data._registry import list_datasets, load_dataset
from mmdisentangle.data.archive import load_npz
from mmdisentangle.data.basic_motions import load_basic_motions
from mmdisentangle.data.batch import MultimodalBatch, MultimodalSample, collate
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.degradation import AddNoise, DropModalities
from mmdisentangle.data.split import train_validation_split
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.data.synthetic import SharedPrivateData, make_shared_private

__all__ = [
    "AddNoise",
    "DropModalities",
    "MultimodalBatch",
    "MultimodalDataset",
    "MultimodalSample",
    "SharedPrivateData",
    "Standardizer",
    "collate",
    "list_datasets",
    "load_basic_motions",
    "load_dataset",
    "load_npz",
    "make_shared_private",
    "train_validation_split",
]
