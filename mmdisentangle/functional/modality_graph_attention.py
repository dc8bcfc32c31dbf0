"""Attention over a small graph whose nodes are the modalities of a sample."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import gelu, linear

from mmdisentangle._core.checks import check_flag, check_float, check_mask, check_width
from mmdisentangle._core.errors import ShapeError
from mmdisentangle._core.numerics import at_least_float32, without_autocast, zero_where_invalid


class ModalityGraphAttention(NamedTuple):
    """What `modality_graph_attention` returns.

    Attributes:
        fused: fused code, ``[B, d_out]``.
        attention: ``[B, M, M]``; row i holds the weights of target i, 0 where the modality is missing.

    Example:
        >>> nodes, present = torch.ones(1, 3, 4), torch.tensor([[True, True, False]])
        >>> found = modality_graph_attention(
        ...     nodes, torch.eye(4), torch.zeros(8), self_loops=True, present=present
        ... )
        >>> found.attention
        tensor([[[0.5000, 0.5000, 0.0000],
                 [0.5000, 0.5000, 0.0000],
                 [0.0000, 0.0000, 0.0000]]])
        >>> found.fused.shape
        torch.Size([1, 4])
    """

    fused: Tensor
    attention: Tensor


class ModalityMessages(NamedTuple):
    """What every node has received ``[B, M, d_out]``, before any read-out, and the attention ``[B, M, M]``."""

    nodes: Tensor
    attention: Tensor


def modality_graph_attention(
    nodes: Float[Tensor, "B M d"],
    weight: Float[Tensor, "d_out d"],
    score_weight: Float[Tensor, " two_d_out"],
    score_bias: Float[Tensor, " 1"] | None = None,
    *,
    self_loops: bool = False,
    present: Bool[Tensor, "B M"] | None = None,
) -> ModalityGraphAttention:
    r"""Let every modality attend to the others, and add up what they have received.

    .. math:: \delta_{ij} = Q\,[W h_i ; W h_j], \qquad
              \xi_{ij} = \mathrm{softmax}_{j \in N(i)}\,\mathrm{GELU}(\delta_{ij}), \qquad
              h = \sum_i \sigma\Big(\sum_{j \in N(i)} \xi_{ij} W h_j\Big)

    The neighbours N(i) of a node are the other modalities of the sample, and the node itself with ``self_loops``. Use
    it to fuse one code per modality; `nn.DecoupledGraphFusion` holds the weights.

    Args:
        nodes: one code per modality.
        weight: W.
        score_weight: Q, the half of the target i first.
        score_bias: its bias.
        self_loops: whether a node is its own neighbour.
        present: True = the sample has the modality; None: all are there.

    Shape:
        nodes ``[B, M, d]``, weight ``[d_out, d]``, score_weight ``[2 d_out]``, score_bias ``[1]``, present ``[B, M]``.

    Returns:
        `ModalityGraphAttention`; the entries of ``fused`` lie between 0 and the number of modalities that are present.
        A missing modality sends no message and is not read out: its row and its column of the attention are 0. A node
        without neighbours attends to itself. Without any node ``fused`` is 0.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: ``self_loops`` is neither True nor False.

    Numerics:
        Score, softmax and read-out run in float32 for half-precision input; GELU is the exact one. With two modalities
        and no self-loops every weight is 1, and Q gets no gradient.

    Deviations:
        The paper has complete samples only; missing nodes and the fall-back to the self-loop are additions.

    Example:
        >>> nodes, one = torch.tensor([[[1.0], [2.0], [4.0]]]), torch.ones(1, 1)
        >>> modality_graph_attention(nodes, one, torch.zeros(2)).attention
        tensor([[[0.0000, 0.5000, 0.5000],
                 [0.5000, 0.0000, 0.5000],
                 [0.5000, 0.5000, 0.0000]]])

    References:
        Yang et al., "Asynchronous Multimodal Video Sequence Fusion via Learning Modality-Exclusive and -Agnostic
        Representations", 2024, arXiv:2407.04955.
    """
    received, attention = modality_messages(
        nodes, weight, score_weight, score_bias, self_loops=self_loops, present=present
    )
    fused = zero_where_invalid(at_least_float32(received).sigmoid(), present).sum(1)
    return ModalityGraphAttention(fused.to(received.dtype), attention)


def modality_messages(
    nodes: Float[Tensor, "B M d"],
    weight: Float[Tensor, "d_out d"],
    score_weight: Float[Tensor, " two_d_out"],
    score_bias: Float[Tensor, " 1"] | None = None,
    *,
    self_loops: bool = False,
    present: Bool[Tensor, "B M"] | None = None,
) -> ModalityMessages:
    """The message passing of `modality_graph_attention`, before its read-out: ``sum_j xi_ij W h_j`` for every node."""
    _check(nodes, weight, score_weight, score_bias, self_loops, present)
    messages = linear(zero_where_invalid(nodes, present), weight)
    with without_autocast(messages):
        # Q [a ; b] is a sum of two products, so no pair is ever put together.
        halves = at_least_float32(score_weight).reshape(2, weight.shape[0])
        target, source = (at_least_float32(messages) @ halves.mT).unbind(-1)
    scores = target.unsqueeze(2) + source.unsqueeze(1)
    if score_bias is not None:
        scores = scores + score_bias
    edges = modality_edges(nodes, self_loops=self_loops, present=present)
    # A missing target has no edge; its row is opened here, and zeroed below.
    opened = edges | ~edges.any(-1, keepdim=True)
    attention = zero_where_invalid(gelu(scores).masked_fill(~opened, -torch.inf).softmax(-1), edges)
    with without_autocast(messages):
        received = attention @ at_least_float32(messages)
    return ModalityMessages(received.to(messages.dtype), attention.to(messages.dtype))


def modality_edges(
    nodes: Float[Tensor, "B M d"], *, self_loops: bool = False, present: Bool[Tensor, "B M"] | None = None
) -> Bool[Tensor, "B M M"]:
    """Which target i listens to which source j, the self-loops of lonely nodes included."""
    count = torch.arange(nodes.shape[1], device=nodes.device)
    loop = (count.unsqueeze(1) == count).expand(nodes.shape[0], -1, -1)
    if present is None:
        present = torch.ones(nodes.shape[:2], dtype=torch.bool, device=nodes.device)
    edges = present.unsqueeze(2) & present.unsqueeze(1)
    if self_loops:
        return edges
    others = edges & ~loop
    return others | (edges & loop & ~others.any(-1, keepdim=True))


def _check(
    nodes: Tensor,
    weight: Tensor,
    score_weight: Tensor,
    score_bias: Tensor | None,
    self_loops: bool,
    present: Tensor | None,
) -> None:
    where = "modality_graph_attention"
    check_float(where, "nodes", nodes, "B M d")
    check_float(where, "weight", weight, "d_out d")
    check_width(where, "weight", weight, nodes.shape[-1])
    check_float(where, "score_weight", score_weight, "2*d_out")
    if score_weight.shape[0] != 2 * weight.shape[0]:
        raise ShapeError(
            f"{where}: score_weight must have two numbers per row of weight, {2 * weight.shape[0]} in all, got "
            f"{score_weight.shape[0]}."
        )
    if score_bias is not None:
        check_float(where, "score_bias", score_bias, "1")
        check_width(where, "score_bias", score_bias, 1)
    check_flag(where, "self_loops", self_loops)
    if present is not None:
        check_mask(where, "present", present, nodes.shape[:2])
