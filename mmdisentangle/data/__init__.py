"""Batches of ragged modalities, data sets in memory and on disk, readers and synthetic generators."""

from mmdisentangle.data._registry import list_datasets, load_dataset, load_splits
from mmdisentangle.data.archive import load_npz
from mmdisentangle.data.basic_motions import load_basic_motions
from mmdisentangle.data.batch import MultimodalBatch, MultimodalSample, collate
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.degradation import AddNoise, DropModalities
from mmdisentangle.data.lazy import LazySamples
from mmdisentangle.data.readers import DataFile, describe_file, read_file
from mmdisentangle.data.shard_writer import SampleStream, write_shards
from mmdisentangle.data.shards import load_shards
from mmdisentangle.data.split import train_validation_split
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.data.synthetic import SharedPrivateData, SharedPrivateGenerator, make_shared_private
from mmdisentangle.data.text import with_text

__all__ = [
    "AddNoise",
    "DataFile",
    "DropModalities",
    "LazySamples",
    "MultimodalBatch",
    "MultimodalDataset",
    "MultimodalSample",
    "SampleStream",
    "SharedPrivateData",
    "SharedPrivateGenerator",
    "Standardizer",
    "collate",
    "describe_file",
    "list_datasets",
    "load_basic_motions",
    "load_dataset",
    "load_npz",
    "load_shards",
    "load_splits",
    "make_shared_private",
    "read_file",
    "train_validation_split",
    "with_text",
    "write_shards",
]
