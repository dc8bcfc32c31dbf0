"""Scale every channel by statistics of the training samples."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeVar

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_choice, check_width
from mmdisentangle._core.errors import CheckpointError, DataError
from mmdisentangle._core.modalities import check_known
from mmdisentangle.data._statistics import Pair, channel_statistics, stream_statistics
from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.lazy import LazySamples

Data = TypeVar("Data", bound=MultimodalDataset)


@dataclass(frozen=True)
class Standardizer:
    """Subtract a location and divide by a scale, per modality and channel.

    Args:
        location: modality name to one number per channel.
        scale: modality name to one positive number per channel.

    Numerics:
        NaN and infinities take no part in the statistics; applied to them, they stay what they are. A channel that is
        constant in the training samples, or has no finite value, is divided by 1. Statistics are computed in float64,
        and samples keep their dtype.

    Example:
        >>> data = MultimodalDataset.from_arrays({"a": torch.tensor([[[1.0], [3.0]], [[5.0], [7.0]]])})
        >>> standardizer = Standardizer.fit(data)
        >>> standardizer.location["a"]
        (4.0,)
        >>> standardizer(data[0]).inputs["a"].squeeze(-1)
        tensor([-1.3416, -0.4472])
    """

    location: Mapping[str, tuple[float, ...]]
    scale: Mapping[str, tuple[float, ...]]
    # The same as tensors: making them anew for every sample would cost more than reading it from disk.
    _tensors: dict[tuple[str, torch.dtype, torch.device], tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def fit(cls, dataset: MultimodalDataset, *, method: Literal["standard", "robust"] = "standard") -> Self:
        """Take the statistics of all real frames of a data set.

        Samples on disk are read once, in pieces, and never held together: means and deviations of the pieces are
        merged in float64, which rounding alone tells from one computation. Quartiles cannot be merged: ``"robust"``
        takes them from 2^18 frames of each modality, drawn with equal chances and a fixed seed, and from all frames
        where there are no more.

        Args:
            dataset: the training part, without validation and test samples.
            method: ``"standard"`` mean and standard deviation; ``"robust"`` median and interquartile range over 1.349,
                which agree with the former on normal data and ignore a few wild values.

        Raises:
            DataError: no sample has a frame of some modality.
        """
        check_choice("Standardizer.fit", "method", method, ("standard", "robust"))
        if isinstance(dataset.samples, LazySamples):
            pairs = stream_statistics(dataset.samples, tuple(dataset.modalities), method)
        else:
            pairs = {name: _all_at_once(dataset, name, method) for name in dataset.modalities}
        without = next((name for name, found in pairs.items() if not found), None)
        if without is not None:
            raise DataError(
                f"Standardizer.fit: no sample of data set {dataset.name!r} has a frame of {without!r}; leave it "
                "out (select, or data.modalities in a run)."
            )
        location = {name: tuple(pair[0] for pair in found) for name, found in pairs.items()}
        scale = {name: tuple(pair[1] for pair in found) for name, found in pairs.items()}
        return cls(location, scale)

    def __call__(self, sample: MultimodalSample) -> MultimodalSample:
        """Return the sample with its inputs standardised; the target is not touched."""
        inputs = {}
        for name, x in sample.inputs.items():
            check_known("Standardizer", f"sample {sample.id!r}", name, tuple(self.location))
            check_width("Standardizer", f"inputs[{name!r}]", x, len(self.location[name]))
            key = (name, x.dtype, x.device)
            if key not in self._tensors:
                self._tensors[key] = (x.new_tensor(self.location[name]), x.new_tensor(self.scale[name]))
            location, scale = self._tensors[key]
            inputs[name] = (x - location).div_(scale)
        return MultimodalSample(inputs, sample.target, sample.id)

    def apply(self, dataset: Data) -> Data:
        """Return the data set with every sample standardised; on disk, each time it is read."""
        return dataset.map(self)

    def save(self, path: str | Path) -> None:
        """Write the statistics as JSON."""
        text = json.dumps({"location": dict(self.location), "scale": dict(self.scale)}, indent=1)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` has written, to the last bit.

        Raises:
            CheckpointError: the file is not such a file.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            parts = [
                {str(m): tuple(map(float, row)) for m, row in values[key].items()} for key in ("location", "scale")
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"Standardizer.load: {path} is not a file written by Standardizer.save.") from error
        return cls(*parts)


def _all_at_once(dataset: MultimodalDataset, name: str, method: str) -> list[Pair]:
    frames = [sample.inputs[name] for sample in dataset if name in sample.inputs]
    if not sum(len(x) for x in frames):
        return []
    return [channel_statistics(channel, method) for channel in torch.cat(frames).double().T]
