"""From the nodes of a graph to one code per sample."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid
from mmdisentangle.functional import masked_mean

GraphReadout: TypeAlias = Literal["paper", "mean", "attention"]
GRAPH_READOUTS = ("paper", "mean", "attention")


class NodeReadout(nn.Module):
    """Sum of sigmoids (``"paper"``), mean, or a learned softmax over the real nodes; 0 where there is none.

    Args:
        features: width of the nodes.
        form: which of them.
    """

    def __init__(self, features: int, form: GraphReadout) -> None:
        super().__init__()
        self.form = form
        # Without bias: the same number on every node changes no softmax.
        self.score = nn.Linear(features, 1, bias=False) if form == "attention" else None

    def forward(self, nodes: Tensor, mask: Tensor | None) -> Tensor:
        """From nodes ``[B, N, D]`` and their mask ``[B, N]`` to ``[B, D]``."""
        if self.form == "mean":
            return masked_mean(nodes, mask, 1)
        if self.score is None:
            return zero_where_invalid(at_least_float32(nodes).sigmoid(), mask).sum(1).to(nodes.dtype)
        nodes = zero_where_invalid(nodes, mask)
        scores = at_least_float32(self.score(nodes))
        if mask is not None:
            # Where nothing is real all are let in: they are zeros.
            opened = mask | ~mask.any(1, keepdim=True)
            scores = scores.masked_fill(~opened.unsqueeze(-1), -torch.inf)
        return (scores.softmax(1) * at_least_float32(nodes)).sum(1).to(nodes.dtype)

    def extra_repr(self) -> str:
        """Form in the repr."""
        return repr(self.form)
