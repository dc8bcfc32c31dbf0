"""One graph per sample whose nodes are its modalities."""

import torch
from torch import Tensor, nn

from mmdisentangle.functional.modality_graph_attention import ModalityMessages, modality_edges, modality_messages
from mmdisentangle.nn.graph._pyg import PlainGraph
from mmdisentangle.nn.graph._readout import GraphReadout, NodeReadout


class ModalityGraph(nn.Module):
    """Weights W and Q of `functional.modality_graph_attention`, and a read-out.

    Args:
        features: width of the codes.
        out_features: width of the messages.
        self_loops: whether a node is its own neighbour.
        readout: how the nodes become one code.
    """

    def __init__(self, features: int, out_features: int, *, self_loops: bool, readout: GraphReadout) -> None:
        super().__init__()
        self.self_loops = self_loops
        self.message = nn.Linear(features, out_features, bias=False)
        self.score = nn.Linear(2 * out_features, 1)
        self.readout = NodeReadout(out_features, readout)

    def forward(self, nodes: Tensor, present: Tensor | None) -> Tensor:
        """From ``[B, M, features]`` to ``[B, out_features]``."""
        code: Tensor = self.readout(self.messages(nodes, present).nodes, present)
        return code

    def messages(self, nodes: Tensor, present: Tensor | None) -> ModalityMessages:
        """What every node receives, and the attention."""
        return modality_messages(
            nodes,
            self.message.weight,
            self.score.weight.squeeze(0),
            self.score.bias,
            self_loops=self.self_loops,
            present=present,
        )

    def describe(self, nodes: Tensor, present: Tensor | None) -> PlainGraph:
        """List the nodes that exist, and the edges between them; reads the values."""
        edges = modality_edges(nodes, self_loops=self.self_loops, present=present)
        here = torch.ones(nodes.shape[:2], dtype=torch.bool, device=nodes.device) if present is None else present
        number = (here.flatten().cumsum(0) - 1).reshape(here.shape)
        sample, target, source = edges.nonzero(as_tuple=True)
        samples, types = here.nonzero(as_tuple=True)
        return PlainGraph(
            nodes={"x": nodes[here], "batch": samples},
            types=types,
            edges=torch.stack((number[sample, source], number[sample, target])),
            attention=self.messages(nodes, present).attention[edges].unsqueeze(-1),
        )
