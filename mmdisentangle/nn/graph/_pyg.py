"""Graphs as torch_geometric's HeteroData."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

# An edge carries a message from its source to its target.
RELATION = "to"


class PlainGraph(NamedTuple):
    """Nodes and edges of a whole batch, whatever their types.

    Args:
        nodes: named attributes of the nodes, each ``[n, ...]``; ``"x"`` holds the codes.
        types: number of the modality of every node ``[n]``.
        edges: sources and targets ``[2, E]``.
        attention: weights ``[E, H]``; None where the convolution has none to show.
    """

    nodes: Mapping[str, Tensor]
    types: Tensor
    edges: Tensor
    attention: Tensor | None


def one_type(graph: PlainGraph, name: str) -> "HeteroData":
    """All nodes are of the one type ``name`` and know their modality."""
    from torch_geometric.data import HeteroData

    data = HeteroData()
    for key, value in graph.nodes.items():
        data[name][key] = value
    data[name].modality = graph.types
    data[name, RELATION, name].edge_index = graph.edges
    if graph.attention is not None:
        data[name, RELATION, name].edge_attr = graph.attention
    return data


def typed(graph: PlainGraph, modalities: Sequence[str], *, within: bool) -> "HeteroData":
    """One node type per modality, one edge type per ordered pair; ``within``: also from a modality to itself."""
    from torch_geometric.data import HeteroData

    data = HeteroData()
    # Number of every node among those of its type.
    local = graph.types.new_zeros(graph.types.shape)
    for number, name in enumerate(modalities):
        of_type = graph.types == number
        local[of_type] = of_type.cumsum(0)[of_type] - 1
        for key, value in graph.nodes.items():
            data[name][key] = value[of_type]
    source, target = graph.types[graph.edges]
    for target_number, target_name in enumerate(modalities):
        for source_number, source_name in enumerate(modalities):
            chosen = (source == source_number) & (target == target_number)
            if source_number == target_number and not within and not chosen.any():
                continue
            relation = data[source_name, RELATION, target_name]
            relation.edge_index = local[graph.edges[:, chosen]]
            if graph.attention is not None:
                relation.edge_attr = graph.attention[chosen]
    return data
