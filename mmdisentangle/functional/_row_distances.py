"""Distances between the rows of a set of codes, and the typical one, which sets the width of a Gaussian kernel."""

import torch
from torch import Tensor

from mmdisentangle._core.numerics import zero_where_invalid


def squared_distances(x: Tensor) -> Tensor:
    """Between all rows; those of equal rows are exactly zero, with the derivatives of a squared distance."""
    squares = x.square().sum(1)
    lengths = squares.unsqueeze(1) + squares
    rounding = torch.finfo(x.dtype).eps * max(x.shape[1], 1) ** 0.5 * lengths.detach()
    distances = lengths - 2 * (x @ x.mT)
    return distances - torch.where(distances > rounding, torch.zeros_like(distances), distances).detach()


def valid_pairs(distances: Tensor, mask: Tensor | None) -> Tensor:
    """Boolean ``[N, N]``: pairs of two different rows that both count."""
    others = ~torch.eye(distances.shape[0], dtype=torch.bool, device=distances.device)
    return others if mask is None else others & mask & mask.unsqueeze(1)


def median_square(distances: Tensor, others: Tensor) -> Tensor:
    """Median over pairs; their mean where it is 0; 1 where all distances are 0. Nothing waits for the device."""
    # The lower one of two in the middle; NaN without a pair.
    middle = torch.where(others, distances, torch.nan).nanmedian()
    mean = zero_where_invalid(distances, others).sum() / others.sum().clamp(min=1)
    middle = torch.where(middle > 0, middle, mean)
    return torch.where(middle > 0, middle, torch.ones_like(middle))
