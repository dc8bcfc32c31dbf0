"""Sinusoidal position encoding of arbitrary positions."""

import math

import torch
from jaxtyping import Float, Num
from torch import Tensor

from mmdisentangle._core.checks import check_count, check_tensor


def sinusoidal_positions(positions: Num[Tensor, "*batch"], features: int) -> Float[Tensor, "*batch D"]:
    r"""Encode positions as interleaved sines and cosines.

    .. math:: e_{2i}(t) = \sin(t / 10^{4 \cdot 2i / D}), \qquad e_{2i+1}(t) = \cos(t / 10^{4 \cdot 2i / D})

    Args:
        positions: frame numbers, or times on a common clock; fractions are welcome.
        features: D, at least 1; odd values end with a sine.

    Returns:
        float32 on the device of ``positions``.

    Example:
        >>> sinusoidal_positions(torch.tensor([0, 1]), 2)
        tensor([[0.0000, 1.0000],
                [0.8415, 0.5403]])

    References:
        Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762.
    """
    check_tensor("sinusoidal_positions", "positions", positions)
    check_count("sinusoidal_positions", "features", features)
    even = torch.arange(0, features, 2, device=positions.device, dtype=torch.float32)
    phase = positions.float().unsqueeze(-1) * torch.exp(even * (-math.log(1e4) / features))
    return torch.stack((phase.sin(), phase.cos()), -1).flatten(-2)[..., :features]
