"""One graph per sample whose nodes are the frames of all its modalities."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from mmdisentangle._core.errors import ShapeError
from mmdisentangle.functional.temporal_graph_attention import TemporalBand, banded_attention
from mmdisentangle.nn._modality_modules import ModalityModules
from mmdisentangle.nn.graph._pyg import PlainGraph
from mmdisentangle.nn.graph._readout import GraphReadout, NodeReadout
from mmdisentangle.nn.graph._timeline import Timeline


class FrameEdges(NamedTuple):
    """The nodes in order of time, and which of them are neighbours."""

    line: Timeline
    band: TemporalBand


class FrameAttention(nn.Module):
    """Attention along a band with a skip connection, as torch_geometric's ``TransformerConv`` with its defaults.

    Its weights go by the same names there, with ``lin_`` before them.

    Args:
        width: of the nodes.
        num_heads: must divide it.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.skip = (nn.Linear(width, width) for _ in range(4))

    def forward(self, nodes: Tensor, band: TemporalBand) -> Tensor:
        """From nodes ``[B, N, width]`` to as many."""
        heads = "batch nodes (heads features) -> batch heads nodes features"
        query, key, value = (
            rearrange(part(nodes), heads, heads=self.num_heads) for part in (self.query, self.key, self.value)
        )
        merged = rearrange(
            banded_attention(query, key, value, band), "batch heads nodes features -> batch nodes (heads features)"
        )
        return torch.add(merged, self.skip(nodes))

    def edge_weights(self, nodes: Tensor, index: Tensor) -> Tensor:
        """Weight of every edge and head ``[E, H]``, from nodes ``[n, width]`` and sources and targets ``[2, E]``."""
        query, key = (part(nodes).unflatten(-1, (self.num_heads, -1)) for part in (self.query, self.key))
        source, target = index
        scores = (query[target] * key[source]).sum(-1) / query.shape[-1] ** 0.5
        rows = target.unsqueeze(-1).expand(scores.shape)
        most = torch.full_like(query[..., 0], -torch.inf).scatter_reduce(0, rows, scores, "amax")
        weights = (scores - most.gather(0, rows)).exp()
        total = torch.zeros_like(most).scatter_add(0, rows, weights)
        return torch.div(weights, total.gather(0, rows))


class FrameGraph(nn.Module):
    """A projection of the frames, attention along the edges or another convolution, and a read-out.

    Args:
        modalities: names.
        features: width of the codes.
        out_features: width of the nodes.
        typed: whether every modality has a projection of its own.
        num_heads: of the attention.
        readout: how the nodes become one code.
        conv: takes the place of the attention.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        features: int,
        out_features: int,
        *,
        typed: bool,
        num_heads: int,
        readout: GraphReadout,
        conv: nn.Module | None,
    ) -> None:
        super().__init__()
        self.projections = ModalityModules({name: nn.Linear(features, out_features) for name in modalities if typed})
        self.projection = None if typed else nn.Linear(features, out_features)
        self.attention = FrameAttention(out_features, num_heads) if conv is None else None
        self.conv = conv
        self.readout = NodeReadout(out_features, readout)

    def forward(self, codes: Mapping[str, Tensor], edges: FrameEdges) -> Tensor:
        """From ``[B, T_m, features]`` per modality to ``[B, out_features]``."""
        nodes = self._projected(codes, edges.line)
        nodes = self._convolved(nodes, edges) if self.attention is None else self.attention(nodes, edges.band)
        code: Tensor = self.readout(nodes, edges.line.mask)
        return code

    def describe(self, codes: Mapping[str, Tensor], edges: FrameEdges) -> PlainGraph:
        """List the real frames, and the edges between them; reads the values."""
        line, index = edges.line, edge_index(edges)
        attention = None
        if self.attention is not None:
            attention = self.attention.edge_weights(self._projected(codes, line)[line.mask], index)
        x = line.arrange(torch.cat(list(codes.values()), 1))[line.mask]
        return PlainGraph(
            nodes={"x": x, "time": line.times[line.mask], "batch": line.mask.nonzero()[:, 0]},
            types=line.groups[line.mask],
            edges=index,
            attention=attention,
        )

    def _projected(self, codes: Mapping[str, Tensor], line: Timeline) -> Tensor:
        """Projected frames ``[B, N, out_features]`` in the order of time."""
        projected = [
            self.projections[name](x) if self.projection is None else self.projection(x) for name, x in codes.items()
        ]
        return line.arrange(torch.cat(projected, 1))

    def _convolved(self, nodes: Tensor, edges: FrameEdges) -> Tensor:
        """Run the other convolution over the real nodes of all samples as one graph."""
        assert self.conv is not None
        mask = edges.line.mask
        real = nodes[mask]
        result = self.conv(real, edge_index(edges))
        if not isinstance(result, Tensor) or result.shape != real.shape:
            raise ShapeError(
                f"DecoupledGraphFusion: conv must keep the shape of its nodes, {list(real.shape)}, got "
                f"{list(result.shape) if isinstance(result, Tensor) else type(result).__name__}."
            )
        return torch.zeros_like(nodes, dtype=result.dtype).masked_scatter(mask.unsqueeze(-1), result)


def edge_index(edges: FrameEdges) -> Tensor:
    """Sources and targets ``[2, E]`` among the real nodes of all samples, sorted by target; reads the values."""
    line, band = edges
    length, block = line.mask.shape[1], band.edges.shape[2]
    sample, number, row, column = band.edges.nonzero(as_tuple=True)
    target = number * block + row
    source = number * block + column - band.reach
    keep = target < length
    sample, target, source = sample[keep], target[keep], source[keep]
    real = line.mask[sample, target]
    count = line.mask.flatten().cumsum(0) - 1
    return torch.stack([count[(sample * length + node)[real]] for node in (source, target)])
