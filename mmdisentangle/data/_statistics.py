"""Location and scale of every channel: of frames in memory, or of more frames than memory holds."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from mmdisentangle.data.batch import MultimodalSample

# Location and scale of one channel.
Pair: TypeAlias = tuple[float, float]
# Frames of a modality that quartiles are taken from, where there are more: their ranks are then off by about 0.1 %.
SAMPLED_FRAMES = 2**18
# Numbers that are looked at together; half of it makes no difference in speed.
_VALUES_AT_ONCE = 2**18


def channel_statistics(values: Tensor, method: str) -> Pair:
    """Return mean and deviation, or median and interquartile range over 1.349, of the finite values."""
    values = values[values.isfinite()]
    if not len(values):
        return 0.0, 1.0
    if method == "robust":
        ordered = values.sort().values
        low, middle, high = (float(ordered[round(q * (len(ordered) - 1))]) for q in (0.25, 0.5, 0.75))
        return _usable(middle, (high - low) / 1.349)
    return _usable(float(values.mean()), float(values.std(correction=0)))


def stream_statistics(
    samples: Iterable[MultimodalSample], modalities: Sequence[str], method: str
) -> dict[str, list[Pair]]:
    """Return the same for samples that are gone through once; nothing for a modality without a frame."""
    kind = _SampledFrames if method == "robust" else _Moments
    found = {name: kind() for name in modalities}
    for some in _pieces(samples):
        for name, statistics in found.items():
            frames = [sample.inputs[name] for sample in some if name in sample.inputs]
            if sum(len(x) for x in frames):
                statistics.add(torch.cat(frames).double())
    return {name: statistics.pairs() for name, statistics in found.items()}


def _pieces(samples: Iterable[MultimodalSample]) -> Iterator[list[MultimodalSample]]:
    piece: list[MultimodalSample] = []
    values = 0
    for sample in samples:
        piece.append(sample)
        values += sum(x.numel() for x in sample.inputs.values())
        if values >= _VALUES_AT_ONCE:
            yield piece
            piece, values = [], 0
    yield piece


class _Moments:
    """Count, mean and sum of squared deviations, merged piece by piece (Chan, Golub and LeVeque, 1979)."""

    def __init__(self) -> None:
        self.count = self.mean = self.squares = torch.zeros(0)

    def add(self, frames: Tensor) -> None:
        known = frames.isfinite()
        count = known.sum(0).double()
        mean = torch.where(known, frames, 0.0).sum(0) / count.clamp(min=1)
        squares = torch.where(known, frames - mean, 0.0).square().sum(0)
        if not len(self.count):
            self.count, self.mean, self.squares = count, mean, squares
            return
        total = (self.count + count).clamp(min=1)
        step = mean - self.mean
        self.squares = self.squares + squares + step.square() * self.count * count / total
        self.mean = self.mean + step * count / total
        self.count = self.count + count

    def pairs(self) -> list[Pair]:
        return [
            _usable(mean, (squares / count) ** 0.5) if count else (0.0, 1.0)
            for count, mean, squares in zip(self.count.tolist(), self.mean.tolist(), self.squares.tolist(), strict=True)
        ]


class _SampledFrames:
    """A uniform sample of all frames: each is given a random number, and those with the lowest are kept."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.numbers: list[Tensor] = []
        self.frames: list[Tensor] = []
        self.count = 0
        self.limit = 1.0

    def add(self, frames: Tensor) -> None:
        numbers = torch.rand(len(frames), generator=self.generator, dtype=torch.float64)
        # What is above the limit would be thrown away in the end: most of a long stream.
        kept = numbers <= self.limit
        self.numbers.append(numbers[kept])
        self.frames.append(frames[kept])
        self.count += len(self.numbers[-1])
        if self.count > 2 * SAMPLED_FRAMES:
            self._prune()

    def _prune(self) -> None:
        numbers, lowest = torch.cat(self.numbers).topk(min(self.count, SAMPLED_FRAMES), largest=False)
        self.numbers, self.frames = [numbers], [torch.cat(self.frames)[lowest]]
        self.count, self.limit = len(numbers), float(numbers[-1])

    def pairs(self) -> list[Pair]:
        if not self.count:
            return []
        self._prune()
        return [channel_statistics(channel, "robust") for channel in self.frames[0].T]


def _usable(location: float, scale: float) -> Pair:
    # Rounding leaves a constant channel with a spread of about 1e-16 of its value.
    return location, scale if scale > 1e-12 * abs(location) else 1.0
