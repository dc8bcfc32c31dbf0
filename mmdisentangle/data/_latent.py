"""What synthetic data are made of: smooth processes in time, and maps from factors to what a sensor observes."""

import math

import torch
from torch import Tensor

_TERMS = 3
# Points in time over which a clip is averaged.
_GRID = 64


class SmoothProcess:
    """Independent smooth factors of unit variance, a function of time in [0, 1].

    A level plus three cosines of random amplitude and phase. Half of the variance is the level; a cosine and a sine of
    equal variance have a variance that is constant in time.
    """

    def __init__(self, num_samples: int, factors: int, smoothness: float, generator: torch.Generator) -> None:
        self.amplitude = torch.randn(num_samples, factors, 2 * _TERMS + 1, generator=generator)
        self.smoothness = smoothness

    def __call__(self, times: Tensor) -> Tensor:
        """Return the factors ``[N, T, K]`` at times ``[N, T]``."""
        return torch.einsum("nfk,ntk->ntf", self.amplitude, _basis(times, self.smoothness))

    def clip_mean(self, span: Tensor) -> Tensor:
        """Return the means ``[N, K]`` of the factors over clips that end at ``span [N]``."""
        return self(_clip_times(span)).mean(1)


def clip_variance(span: Tensor, smoothness: float) -> Tensor:
    """Variance of the mean of a factor over a clip that ends at ``span``, averaged over the spans given."""
    return _basis(_clip_times(span), smoothness).mean(1).square().sum(-1).mean()


def _clip_times(span: Tensor) -> Tensor:
    return span.unsqueeze(-1) * torch.linspace(0, 1, _GRID)


def _basis(times: Tensor, smoothness: float) -> Tensor:
    phase = times.unsqueeze(-1) * (2 * math.pi * torch.linspace(0.5, 2.0, _TERMS) / smoothness)
    waves = torch.cat([phase.cos(), phase.sin()], -1) / math.sqrt(_TERMS)
    return torch.cat([torch.ones_like(phase[..., :1]), waves], -1) / math.sqrt(2)


class LinearObservation:
    """Random orthogonal directions, one a factor: all are seen equally well; channels of unit variance in the mean."""

    def __init__(self, factors: int, width: int, generator: torch.Generator) -> None:
        long, short = max(factors, width), min(factors, width)
        directions = torch.linalg.qr(torch.randn(long, short, generator=generator)).Q * math.sqrt(width / short)
        self.mixing = directions if factors > width else directions.mT

    def __call__(self, factors: Tensor) -> Tensor:
        """Return ``[..., width]``."""
        observed: Tensor = factors @ self.mixing
        return observed


class NetworkObservation:
    """A random network with one hidden layer of tanh: no factor can be read by a linear map alone."""

    def __init__(self, factors: int, width: int, generator: torch.Generator) -> None:
        hidden = 4 * max(factors, width)
        self.inner = 2 * torch.randn(factors, hidden, generator=generator) / math.sqrt(max(factors, 1))
        self.shift = torch.randn(hidden, generator=generator)
        self.outer = torch.randn(hidden, width, generator=generator) / math.sqrt(hidden)

    def __call__(self, factors: Tensor) -> Tensor:
        """Return ``[..., width]``."""
        observed: Tensor = (factors @ self.inner + self.shift).tanh() @ self.outer
        return observed


def draw_repeated(shape: tuple[int, int], redundancy: float, generator: torch.Generator) -> Tensor:
    """Which frame every frame shows: itself, or with chance ``redundancy`` what the one before it shows."""
    fresh = torch.rand(shape, generator=generator) >= redundancy
    fresh[:, :1] = True
    own = torch.where(fresh, torch.arange(shape[1]), 0)
    shown: Tensor = own.cummax(1).values
    return shown


def draw_gaps(ends: Tensor, length: int, gap: float, generator: torch.Generator) -> Tensor:
    """Which frames ``[N, length]`` are kept: all before ``ends [N]`` but one segment, never all of a clip."""
    frames = torch.arange(length)
    lost = (gap * ends).floor().clamp(max=ends - 1)
    start = (torch.rand(len(ends), generator=generator) * (ends - lost + 1)).floor()
    in_gap = (frames >= start.unsqueeze(1)) & (frames < (start + lost).unsqueeze(1))
    return (frames < ends.unsqueeze(1)) & ~in_gap
