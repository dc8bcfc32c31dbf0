"""Take a validation part from the training data."""

from typing import TypeVar

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_count, check_number
from mmdisentangle._core.errors import DataError
from mmdisentangle.data.dataset import MultimodalDataset

Data = TypeVar("Data", bound=MultimodalDataset)


def train_validation_split(dataset: Data, fraction: float = 0.2, *, seed: int = 0) -> tuple[Data, Data]:
    """Split a data set in two, at random but reproducibly.

    Three ways, chosen by what the data set says about itself:

    - groups are given: whole groups are drawn for validation until about ``fraction`` of the samples are in it, so that
      nobody is in both parts;
    - classification: ``fraction`` of every class, at least one sample of each class that has two or more;
    - otherwise: ``fraction`` of the samples.

    Args:
        dataset: the training data. Never hand the test data to this function.
        fraction: share of the validation part, between 0 and 1, both excluded.
        seed: the same seed gives the same split.

    Returns:
        ``(training, validation)``; both keep the order of ``dataset``.

    Raises:
        SettingError: fraction outside (0, 1), a negative seed.
        DataError: too few samples or groups for two parts.

    Example:
        >>> data = MultimodalDataset.from_arrays({"a": torch.zeros(20, 2, 1)}, torch.arange(20) % 2,
        ...                                      task="classification", num_outputs=2)
        >>> training, validation = train_validation_split(data, 0.2)
        >>> len(training), len(validation), validation.targets.bincount()
        (16, 4, tensor([2, 2]))
    """
    check_number("train_validation_split", "fraction", fraction, low=0, high=1, open_low=True, open_high=True)
    check_count("train_validation_split", "seed", seed, low=0)
    generator = torch.Generator().manual_seed(seed)
    if dataset.groups is not None:
        held_out = _draw_groups(dataset.groups, fraction, generator)
    elif dataset.task == "classification":
        held_out = _draw_per_class(dataset.targets, fraction, generator)
    else:
        held_out = _draw(torch.arange(len(dataset)), fraction, generator)
    validation = sorted(held_out)
    training = sorted(set(range(len(dataset))) - held_out)
    if not training or not validation:
        raise DataError(
            f"train_validation_split: data set {dataset.name!r} with {len(dataset)} samples cannot be split with "
            f"fraction={fraction}: {len(training)} would be left for training and {len(validation)} for validation."
        )
    return dataset.subset(training), dataset.subset(validation)


def _draw(indices: Tensor, fraction: float, generator: torch.Generator) -> set[int]:
    count = len(indices)
    wanted = min(max(round(fraction * count), 1), count - 1) if count > 1 else 0
    return set(indices[torch.randperm(count, generator=generator)[:wanted]].tolist())


def _draw_per_class(targets: Tensor, fraction: float, generator: torch.Generator) -> set[int]:
    drawn: set[int] = set()
    for label in targets.unique().tolist():
        drawn |= _draw((targets == label).nonzero().squeeze(-1), fraction, generator)
    return drawn


def _draw_groups(groups: tuple[str, ...], fraction: float, generator: torch.Generator) -> set[int]:
    names = sorted(set(groups))
    if len(names) < 2:
        raise DataError(f"train_validation_split: at least two groups are needed, got {names}.")
    wanted = fraction * len(groups)
    drawn: set[int] = set()
    for position in torch.randperm(len(names), generator=generator).tolist()[: len(names) - 1]:
        members = {index for index, group in enumerate(groups) if group == names[position]}
        # Take the group only if that comes closer to the wanted number than stopping here.
        if drawn and abs(len(drawn) + len(members) - wanted) >= abs(len(drawn) - wanted):
            break
        drawn |= members
    return drawn
