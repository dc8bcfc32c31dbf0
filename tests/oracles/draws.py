"""What hypothesis draws: sizes, scales and a seed; the numbers come from torch's generator."""

import torch
from hypothesis import strategies as st
from torch import Tensor

seeds = st.integers(0, 2**32 - 1)


def normal(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    """Return a float64 tensor of normal numbers."""
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def uniform(seed: int, *shape: int) -> Tensor:
    """Return a float64 tensor of numbers in 0..1."""
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def coin(seed: int, *shape: int, heads: float = 0.7) -> Tensor:
    """Return a boolean tensor, True with the probability ``heads``."""
    return uniform(seed + 1, *shape) < heads


@st.composite
def sequences(draw, least_frames=0, least_batch=0, least_features=1, scales=(0.01, 1.0, 20.0)):
    """Draw logits ``[B, T, D]`` in float64."""
    shape = (
        draw(st.integers(least_batch, 4)),
        draw(st.integers(least_frames, 6)),
        draw(st.integers(least_features, 5)),
    )
    return normal(draw(seeds), *shape, scale=draw(st.sampled_from(scales)))


@st.composite
def masked_sequences(draw, **options):
    """Draw logits ``[B, T, D]`` and a mask ``[B, T]`` with holes anywhere; rows may be empty."""
    x = draw(sequences(**options))
    mask = coin(draw(seeds), *x.shape[:2], heads=draw(st.sampled_from([0.0, 0.5, 0.8, 1.0])))
    return x, mask


@st.composite
def right_padded(draw, **options):
    """Draw logits ``[B, T, D]`` and the number of real frames of every sample."""
    x = draw(sequences(**options))
    lengths = draw(st.lists(st.integers(0, x.shape[1]), min_size=x.shape[0], max_size=x.shape[0]))
    return x, lengths


@st.composite
def sets(draw, least=2, most=9, features=None):
    """Draw codes ``[N, D]`` in 0..1."""
    return uniform(draw(seeds), draw(st.integers(least, most)), features or draw(st.integers(1, 5)))


@st.composite
def paired_sets(draw, least=2, most=9):
    """Draw two sets of codes of the same samples with widths of their own."""
    x = draw(sets(least=least, most=most))
    return x, normal(draw(seeds), x.shape[0], draw(st.integers(1, 5)))


@st.composite
def two_sets(draw, least=2, most=9, features=None):
    """Draw two sets of codes of one width in 0..1."""
    x = draw(sets(least=least, most=most, features=features))
    return x, draw(sets(least=least, most=most, features=x.shape[1]))
