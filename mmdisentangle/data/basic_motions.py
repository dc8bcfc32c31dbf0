"""BasicMotions: real recordings small enough to come with the package."""

from importlib import resources
from typing import Literal

import numpy as np
import torch

from mmdisentangle._core.checks import check_choice
from mmdisentangle.data.dataset import MultimodalDataset


def load_basic_motions(split: Literal["train", "test"] = "train") -> MultimodalDataset:
    """Load the BasicMotions recordings of a smartwatch: two sensors, four activities.

    10 seconds at 10 Hz of an accelerometer and a gyroscope, three axes each, worn by people who stood, walked, ran or
    played badminton. 40 training and 40 test samples, ten of each class. Read from the installed package; nothing is
    downloaded.

    Args:
        split: ``"train"`` or ``"test"``, as the archive divides them.

    Returns:
        A classification data set, modalities ``accelerometer`` and ``gyroscope`` with ``[100, 3]`` float32 each.

    Example:
        >>> data = load_basic_motions("train")
        >>> len(data), data.modalities
        (40, {'accelerometer': 3, 'gyroscope': 3})
        >>> data.class_names
        ('Badminton', 'Running', 'Standing', 'Walking')

    References:
        A. Bagnall et al., "The UEA multivariate time series classification archive, 2018", arXiv:1811.00075. Taken from
        the BSD-3-licensed package aeon 1.6.0.
    """
    check_choice("load_basic_motions", "split", split, ("train", "test"))
    file = resources.files("mmdisentangle.data") / "_bundled" / "basic_motions.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        x = torch.from_numpy(archive[f"{split}_x"])
        target = torch.from_numpy(archive[f"{split}_target"]).long()
        class_names = archive["class_names"].tolist()
    return MultimodalDataset.from_arrays(
        {"accelerometer": x[..., :3], "gyroscope": x[..., 3:]},
        target,
        ids=[f"{split}-{index}" for index in range(len(x))],
        task="classification",
        class_names=class_names,
        name="basic-motions",
    )
