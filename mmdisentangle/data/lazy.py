"""Samples that are read when they are asked for, and views of them that read nothing."""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import torch
from jaxtyping import Shaped
from torch import Tensor

from mmdisentangle.data.batch import MultimodalSample


class LazySamples(Sequence[MultimodalSample]):
    """A sequence whose samples lie elsewhere, on a disk for instance.

    A ``MultimodalDataset`` keeps it as it is: what can be known without the frames is asked for by the methods below,
    and whoever made the sequence has checked the samples. It must be picklable, for loaders with several processes.

    Example:
        >>> class Recordings(LazySamples):
        ...     def __len__(self): return 1000
        ...     def read(self, index): return MultimodalSample({"eeg": torch.full((50, 8), float(index))})
        ...     def targets(self): return None
        ...     def ids(self): return tuple(f"clip-{index}" for index in range(1000))
        ...     def digest(self): return None
        >>> samples = Recordings()
        >>> samples[-1].inputs["eeg"].mean().item(), len(samples[10:20])
        (999.0, 10)
    """

    @abstractmethod
    def read(self, index: int) -> MultimodalSample:
        """Return the sample at an index from 0 to ``len - 1``."""

    @abstractmethod
    def targets(self) -> Shaped[Tensor, "N ..."] | None:
        """Return all targets, stacked; None where the samples have none."""

    @abstractmethod
    def ids(self) -> tuple[str, ...]:
        """Return the name of every sample."""

    @abstractmethod
    def digest(self) -> str | None:
        """Return a hash of all samples; None where one would have to read them."""

    @property
    def finite(self) -> bool:
        """Whether it is known that no input holds NaN or infinity."""
        return False

    @overload
    def __getitem__(self, index: int) -> MultimodalSample: ...

    @overload
    def __getitem__(self, index: slice) -> "Chosen": ...

    def __getitem__(self, index: int | slice) -> "MultimodalSample | Chosen":
        if isinstance(index, slice):
            return Chosen(self, range(*index.indices(len(self))))
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.read(position)

    def __iter__(self) -> Iterator[MultimodalSample]:
        return map(self.read, range(len(self)))


class Chosen(LazySamples):
    """Some of the samples, in any order.

    Args:
        samples: all of them.
        indices: which ones.
    """

    def __init__(self, samples: LazySamples, indices: Sequence[int] | Tensor) -> None:
        # One tensor of integers, not a list: processes that only read share its memory.
        chosen = torch.as_tensor(indices if isinstance(indices, Tensor) else list(indices), dtype=torch.int64)
        self.samples: LazySamples = samples.samples if isinstance(samples, Chosen) else samples
        self.indices: Tensor = samples.indices[chosen] if isinstance(samples, Chosen) else chosen

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int) -> MultimodalSample:
        """Return the sample at an index."""
        return self.samples[int(self.indices[index])]

    def targets(self) -> Shaped[Tensor, "N ..."] | None:
        """Return the targets of the chosen samples."""
        targets = self.samples.targets()
        return None if targets is None else targets[self.indices]

    def ids(self) -> tuple[str, ...]:
        """Return the names of the chosen samples."""
        ids = self.samples.ids()
        return tuple(ids[index] for index in self.indices.tolist())

    def digest(self) -> str | None:
        """Return a hash of the samples and of the choice."""
        below = self.samples.digest()
        return None if below is None else _hash(below, self.indices.numpy().tobytes())

    @property
    def finite(self) -> bool:
        """Whether it is known of all of them."""
        return self.samples.finite


class Changed(LazySamples):
    """Every sample through a function, each time it is read.

    Args:
        samples: as they are.
        change: a picklable function of a sample that leaves target and id alone.
        name: says which function it is, wherever the digest of the result matters; None = the digest is unknown.
        finite: whether the function makes no NaN or infinity of finite inputs.
    """

    def __init__(
        self,
        samples: LazySamples,
        change: Callable[[MultimodalSample], MultimodalSample],
        *,
        name: str | None = None,
        finite: bool = False,
    ) -> None:
        self.samples, self.change, self.name, self._finite = samples, change, name, finite

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, index: int) -> MultimodalSample:
        """Return the changed sample at an index."""
        return self.change(self.samples[index])

    def targets(self) -> Shaped[Tensor, "N ..."] | None:
        """Return the targets, which are not changed."""
        return self.samples.targets()

    def ids(self) -> tuple[str, ...]:
        """Return the names, which are not changed."""
        return self.samples.ids()

    def digest(self) -> str | None:
        """Return a hash of the samples and of the name of the function."""
        below = self.samples.digest()
        return None if below is None or self.name is None else _hash(below, self.name.encode())

    @property
    def finite(self) -> bool:
        """Whether it is known of samples and function."""
        return self._finite and self.samples.finite


def _hash(below: str, content: Any) -> str:
    return hashlib.sha256(below.encode() + content).hexdigest()
