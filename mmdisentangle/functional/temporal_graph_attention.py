"""Attention over nodes in time: each attends to those within a window, at a cost linear in their number."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from mmdisentangle._core.checks import (
    check_count,
    check_flag,
    check_float,
    check_mask,
    check_number,
    check_same_shape,
    check_tensor,
)
from mmdisentangle._core.errors import DtypeError, ShapeError
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional._blocks import block_length, in_blocks, with_neighbours


class TemporalBand(NamedTuple):
    """Edges of a graph in time, by blocks.

    Args:
        edges: ``[B, blocks, S, S + 2 R]``: whether node ``block * S + s`` attends to node ``block * S + c - R``.
        reach: R, how many places to each side a neighbour may stand.
    """

    edges: Tensor
    reach: int


def temporal_graph_attention(
    q: Float[Tensor, "B H N d_head"],
    k: Float[Tensor, "B H N d_head"],
    v: Float[Tensor, "B H N d_head"],
    times: Float[Tensor, "B N"],
    groups: Int[Tensor, "B N"] | None = None,
    *,
    window: float,
    cross_window: float | None = None,
    max_neighbours: int,
    self_loops: bool = False,
    mask: Bool[Tensor, "B N"] | None = None,
) -> Float[Tensor, "B H N d_head"]:
    r"""Attend from every node to those near it in time.

    .. math:: o_i = \sum_{j \in N(i)} \mathrm{softmax}_j\big(q_i^\top k_j / \sqrt{d_\mathrm{head}}\big)\, v_j,
              \qquad N(i) = \{ j \ne i : |t_i - t_j| \le w_{ij},\ |i - j| \le R \}

    with w the ``window`` inside a group, ``cross_window`` between groups, and R = ``max_neighbours`` places to each
    side. This is the message passing of torch_geometric's ``TransformerConv`` on these edges, in blocks of
    ``scaled_dot_product_attention``: memory and time grow linearly in N. Use it for long sequences at any rates, the
    nodes listed in order of time; nodes more than R places apart never meet.

    Args:
        q: queries.
        k: keys.
        v: values.
        times: of the nodes, in the unit of the windows.
        groups: number of the group of every node, for instance of its modality; None: one group.
        window: largest distance of neighbours of one group.
        cross_window: largest distance of neighbours of different groups; ``window`` where None.
        max_neighbours: R. Large enough, it cuts nothing; cost and memory are proportional to N (S + 2 R) with
            S = max(R, 32).
        self_loops: whether a node is its own neighbour.
        mask: True = real. Padding belongs at the ends: inside, it takes places.

    Shape:
        q, k, v and result ``[B, H, N, d_head]``; times, groups, mask ``[B, N]``.

    Returns:
        Attended values; 0 at padded nodes. A node without neighbours attends to itself.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a negative window, ``max_neighbours`` below 1.

    Numerics:
        Softmax runs in float32 at least, distances in the dtype of ``times``: use float64 for long recordings. The
        fused kernel has no second derivative on the CPU.

    Example:
        >>> one = torch.ones(1, 1, 3, 1)
        >>> values = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
        >>> times = torch.tensor([[0.0, 1.0, 2.0]])
        >>> temporal_graph_attention(one, one, values, times, window=1.0, max_neighbours=2).flatten()
        tensor([2.0000, 2.5000, 2.0000])

    References:
        Shi et al., "Masked Label Prediction: Unified Message Passing Model for Semi-Supervised Classification", 2020,
        arXiv:2009.03509 (the operator behind ``TransformerConv``).
    """
    _check(q, k, v, times, groups, mask)
    _check_settings(window, cross_window, max_neighbours, self_loops)
    if mask is not None:
        q, k, v = (zero_where_invalid(x, mask[:, None].expand(x.shape[:3])) for x in (q, k, v))
    band = temporal_band(
        times,
        groups,
        mask,
        window=window,
        cross_window=cross_window,
        max_neighbours=max_neighbours,
        self_loops=self_loops,
    )
    output = banded_attention(q, k, v, band)
    return output if mask is None else zero_where_invalid(output, mask[:, None].expand(output.shape[:3]))


def temporal_band(
    times: Float[Tensor, "B N"],
    groups: Int[Tensor, "B N"] | None,
    mask: Bool[Tensor, "B N"] | None,
    *,
    window: float,
    cross_window: float | None,
    max_neighbours: int,
    self_loops: bool,
) -> TemporalBand:
    """The edges of `temporal_graph_attention`; a node without neighbours, real or padded, has a self-loop."""
    reach, block = max_neighbours, block_length(max_neighbours, times.shape[1])
    if mask is None:
        mask = torch.ones(times.shape, dtype=torch.bool, device=times.device)

    def pairs(x: Tensor) -> tuple[Tensor, Tensor]:
        """Own values ``[B, blocks, S, 1]`` and those of the possible neighbours ``[B, blocks, 1, S + 2 R]``."""
        own = in_blocks(x, block)
        return own.unsqueeze(-1), with_neighbours(own, reach).unsqueeze(-2)

    own_time, other_time = pairs(times)
    distance = (own_time - other_time).abs()
    edges = distance <= window
    if groups is not None and cross_window is not None and cross_window != window:
        own_group, other_group = pairs(groups)
        edges = torch.where(own_group == other_group, edges, distance <= cross_window)
    own_mask, other_mask = pairs(mask)
    places = torch.arange(block + 2 * reach, device=times.device) - reach
    places = places - torch.arange(block, device=times.device).unsqueeze(1)
    near = places.abs() <= reach
    loop = places == 0
    edges = edges & own_mask & other_mask & (near if self_loops else near & ~loop)
    return TemporalBand(edges | (loop & ~edges.any(-1, keepdim=True)), reach)


def banded_attention(
    q: Float[Tensor, "B H N d_head"],
    k: Float[Tensor, "B H N d_head"],
    v: Float[Tensor, "B H N d_head"],
    band: TemporalBand,
) -> Float[Tensor, "B H N d_head"]:
    """Attend along the edges of a band: every block of queries against the keys that it may reach."""
    batch, heads, nodes, width = q.shape
    blocks, block = band.edges.shape[1:3]

    def fold(x: Tensor) -> Tensor:
        """Blocks become samples: ``[B * blocks, H, S or S + 2 R, d_head]``."""
        return x.transpose(1, 2).flatten(0, 1)

    query = fold(in_blocks(q, block, 2))
    key, value = (fold(with_neighbours(in_blocks(x, block, 2), band.reach, 2)) for x in (k, v))
    attended = scaled_dot_product_attention(query, key, value, attn_mask=band.edges.flatten(0, 1).unsqueeze(1))
    return attended.reshape(batch, blocks, heads, block, width).transpose(1, 2).flatten(2, 3)[:, :, :nodes]


def _check(q: Tensor, k: Tensor, v: Tensor, times: Tensor, groups: Tensor | None, mask: Tensor | None) -> None:
    where = "temporal_graph_attention"
    for name, x in (("q", q), ("k", k), ("v", v)):
        check_float(where, name, x, "B H N d_head")
        check_same_shape(where, name, x, "q", q)
    nodes = (q.shape[0], q.shape[2])
    check_float(where, "times", times, "B N")
    if times.shape != nodes:
        raise ShapeError(f"{where}: times must have shape {list(nodes)}, got {list(times.shape)}.")
    if groups is not None:
        check_tensor(where, "groups", groups)
        if groups.is_floating_point() or groups.dtype == torch.bool:
            raise DtypeError(f"{where}: groups must be an integer tensor, got {groups.dtype}.")
        if groups.shape != nodes:
            raise ShapeError(f"{where}: groups must have shape {list(nodes)}, got {list(groups.shape)}.")
    if mask is not None:
        check_mask(where, "mask", mask, nodes)


def _check_settings(window: float, cross_window: float | None, max_neighbours: int, self_loops: bool) -> None:
    where = "temporal_graph_attention"
    check_number(where, "window", window, low=0)
    if cross_window is not None:
        check_number(where, "cross_window", cross_window, low=0)
    check_count(where, "max_neighbours", max_neighbours)
    check_flag(where, "self_loops", self_loops)
