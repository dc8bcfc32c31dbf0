"""Decoupled graph fusion: one graph over the exclusive codes, one over the agnostic codes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import (
    check_choice,
    check_count,
    check_flag,
    check_float,
    check_mask,
    check_number,
    check_same_shape,
    check_tensor,
    check_width,
)
from mmdisentangle._core.errors import DtypeError, SettingError, ShapeError
from mmdisentangle._core.modalities import (
    check_known,
    check_mapping,
    check_sequences,
    in_order,
    modality_names,
    resolve_masks,
)
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional.temporal_graph_attention import temporal_band
from mmdisentangle.nn.graph._frame import FrameEdges, FrameGraph
from mmdisentangle.nn.graph._pyg import one_type, typed
from mmdisentangle.nn.graph._readout import GRAPH_READOUTS, GraphReadout
from mmdisentangle.nn.graph._timeline import timeline
from mmdisentangle.nn.graph._utterance import ModalityGraph

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

GraphLevel: TypeAlias = Literal["utterance", "frame"]
GRAPH_LEVELS = ("utterance", "frame")
GraphConv: TypeAlias = Callable[[int], nn.Module] | tuple[nn.Module, nn.Module]
Masks: TypeAlias = Mapping[str, Tensor] | None
OfGraph = TypeVar("OfGraph")
_WHERE = "DecoupledGraphFusion"


class GraphFusionOutput(NamedTuple):
    """What `DecoupledGraphFusion` returns.

    Attributes:
        fused: both fused codes side by side, ``[B, 2 D]``.
        exclusive: fused exclusive code, ``[B, D]``.
        agnostic: fused agnostic code, ``[B, D]``.

    Example:
        >>> fusion = DecoupledGraphFusion(("text", "audio"), 8, out_features=3)
        >>> codes = {"text": torch.rand(2, 8), "audio": torch.rand(2, 8)}
        >>> output = fusion(codes, codes)
        >>> output.fused.shape, output.agnostic.shape
        (torch.Size([2, 6]), torch.Size([2, 3]))
    """

    fused: Tensor
    exclusive: Tensor
    agnostic: Tensor


class GraphPair(NamedTuple, Generic[OfGraph]):
    """The same of both graphs, such as their attention.

    Attributes:
        exclusive: of the graph of exclusive codes.
        agnostic: of the graph of agnostic codes.

    Example:
        >>> fusion = DecoupledGraphFusion(("text", "audio"), 8)
        >>> codes = {"text": torch.ones(1, 8), "audio": torch.ones(1, 8)}
        >>> fusion.attention(codes, codes).agnostic.tolist()
        [[[0.0, 1.0], [1.0, 0.0]]]
    """

    exclusive: OfGraph
    agnostic: OfGraph


class DecoupledGraphFusion(nn.Module):
    r"""Fuse exclusive codes over one graph and agnostic codes over another, each with weights of its own.

    .. math:: f = [\,R(G_\mathrm{exclusive}(h^\mathrm{exclusive}))\,;\,R(G_\mathrm{agnostic}(h^\mathrm{agnostic}))\,]

    ``level="utterance"``: the nodes are the modalities of a sample, one code each; G is the message passing of
    `functional.modality_graph_attention`. ``level="frame"``: the nodes are all frames of all modalities, joined where
    they are near in time; G is a projection followed by `functional.temporal_graph_attention` with a skip connection.
    It is for long, unaligned streams of any rates: memory and time grow linearly with their lengths. R is the read-out.

    Args:
        modalities: names, at least two.
        features: width of the codes.
        out_features: width D of each fused code; ``features`` where None.
        level: what the nodes are.
        self_loops: whether a node is its own neighbour. Without, its own code enters the scores alone (utterance) or
            the skip connection (frame). A node without neighbours attends to itself either way.
        readout: ``"paper"``: sum over nodes of the sigmoid of what they received; ``"mean"``; ``"attention"``: a
            learned softmax over the nodes. None: ``"paper"`` for utterances, ``"mean"`` for frames, where a sum would
            grow with the length.
        window: frame level: largest distance in time between neighbours of one modality, 2 where None. The unit is that
            of ``timestamps``, else one frame of the sample's longest modality.
        cross_window: the same between modalities; ``window`` where None.
        max_neighbours: frame level: neighbours stand at most so many places apart on the line of all frames in order of
            time (at one time: in order of the modalities). None: as many as the windows hold, which cuts nothing; has
            to be given where timestamps are, as their density is not known.
        num_heads: frame level: of the attention, 4 where None; must divide D.
        conv: frame level: what takes the place of the attention and its skip connection: a factory that is called with
            D once per graph, ``lambda width: GATConv(width, width)``, or a pair of modules (exclusive, agnostic). Any
            torch_geometric convolution ``(x, edge_index) -> x`` of one node type will do.

    Shape:
        exclusive, agnostic: ``[B, features]`` per modality, masks ``[B]`` (utterance); ``[B, T_m, features]``, masks
        and timestamps ``[B, T_m]`` (frame); present ``[B]``.

    Returns:
        `GraphFusionOutput`. A missing modality is a missing node: it sends nothing and is not read out. A sample
        without any node gives 0.

    Raises:
        ModalityError: fewer than two modalities, or one is missing from an argument or unknown.
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a setting is out of range or belongs to the other level, or ``timestamps`` come without
            ``max_neighbours``.

    Numerics:
        The attention of the frames equals torch_geometric's ``TransformerConv`` with the same weights on the same
        edges. With ``conv`` the edges are listed one by one, which reads the values: it neither compiles whole nor
        exports.

    Deviations:
        The printed equations do not tell the two graphs apart; here they have the same form and weights of their own.
        On frames, the exclusive graph has a projection per modality and the agnostic graph one for all. Missing nodes,
        self-loops, the other read-outs and the frame level are additions. With two modalities and no self-loops every
        attention weight is 1: ``score`` then gets no gradient.

    Example:
        >>> fusion = DecoupledGraphFusion(("text", "audio", "vision"), 8)
        >>> codes = {name: torch.rand(2, 8) for name in fusion.modalities}
        >>> fusion(codes, codes).fused.shape
        torch.Size([2, 16])
        >>> fusion.attention(codes, codes).exclusive.shape
        torch.Size([2, 3, 3])

    References:
        Yang et al., "Asynchronous Multimodal Video Sequence Fusion via Learning Modality-Exclusive and -Agnostic
        Representations", 2024, arXiv:2407.04955.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        features: int,
        out_features: int | None = None,
        *,
        level: GraphLevel = "utterance",
        self_loops: bool = False,
        readout: GraphReadout | None = None,
        window: float | None = None,
        cross_window: float | None = None,
        max_neighbours: int | None = None,
        num_heads: int | None = None,
        conv: GraphConv | None = None,
    ) -> None:
        super().__init__()
        where = _WHERE
        self.modalities = modality_names(where, modalities, least=2)
        check_count(where, "features", features)
        self.features, self.code_features = features, features if out_features is None else out_features
        check_count(where, "out_features", self.code_features)
        check_choice(where, "level", level, GRAPH_LEVELS)
        check_flag(where, "self_loops", self_loops)
        self.level: GraphLevel = level
        self.self_loops = self_loops
        readout = ("paper" if level == "utterance" else "mean") if readout is None else readout
        check_choice(where, "readout", readout, GRAPH_READOUTS)
        self.window = 2.0 if window is None else window
        check_number(where, "window", self.window, low=0)
        self.cross_window = self.window if cross_window is None else cross_window
        check_number(where, "cross_window", self.cross_window, low=0)
        self.max_neighbours = max_neighbours
        if max_neighbours is not None:
            check_count(where, "max_neighbours", max_neighbours)
        self.exclusive: ModalityGraph | FrameGraph
        self.agnostic: ModalityGraph | FrameGraph
        if level == "utterance":
            frame_settings = {
                "window": window,
                "cross_window": cross_window,
                "max_neighbours": max_neighbours,
                "num_heads": num_heads,
                "conv": conv,
            }
            for setting, value in frame_settings.items():
                if value is not None:
                    raise SettingError(f"{where}: {setting} belongs to level='frame', got it with level='utterance'.")
            self.exclusive, self.agnostic = (
                ModalityGraph(features, self.code_features, self_loops=self_loops, readout=readout) for _ in range(2)
            )
        else:
            heads = 4 if num_heads is None else num_heads
            check_count(where, "num_heads", heads)
            if conv is not None and num_heads is not None:
                raise SettingError(f"{where}: num_heads belongs to the attention that conv replaces; give one of them.")
            if conv is None and self.code_features % heads:
                raise SettingError(f"{where}: num_heads must divide out_features={self.code_features}, got {heads}.")
            self.exclusive, self.agnostic = (
                FrameGraph(
                    self.modalities,
                    features,
                    self.code_features,
                    typed=own_projections,
                    num_heads=heads,
                    readout=readout,
                    conv=own_conv,
                )
                for own_projections, own_conv in zip(
                    (True, False), _convolutions(conv, self.code_features), strict=True
                )
            )

    @property
    def out_features(self) -> int:
        """Width of the fused code."""
        return 2 * self.code_features

    def forward(
        self,
        exclusive: Mapping[str, Tensor],
        agnostic: Mapping[str, Tensor],
        masks: Masks = None,
        *,
        present: Masks = None,
        timestamps: Masks = None,
    ) -> GraphFusionOutput:
        """Fuse the codes of all modalities."""
        families, structure = self._read(exclusive, agnostic, masks, present, timestamps)
        codes = [graph(x, structure) for graph, x in zip((self.exclusive, self.agnostic), families, strict=True)]
        return GraphFusionOutput(torch.cat(codes, -1), *codes)

    def attention(
        self,
        exclusive: Mapping[str, Tensor],
        agnostic: Mapping[str, Tensor],
        masks: Masks = None,
        *,
        present: Masks = None,
    ) -> GraphPair[Tensor]:
        """Return how much of every source each target takes, utterance level.

        Returns:
            ``[B, M, M]`` per graph: the row of a target holds its weights of the sources, 0 where there is no edge.

        Raises:
            SettingError: the nodes are frames; `to_pyg` lists the weights of their edges.
        """
        if self.level == "frame":
            raise SettingError(
                "DecoupledGraphFusion: attention is a table of modalities and belongs to level='utterance'; to_pyg "
                "gives the weight of every edge between frames."
            )
        families, structure = self._read(exclusive, agnostic, masks, present, None)
        graphs: tuple[Any, Any] = (self.exclusive, self.agnostic)
        return GraphPair(*(graph.messages(x, structure).attention for graph, x in zip(graphs, families, strict=True)))

    @torch.no_grad()
    def to_pyg(
        self,
        exclusive: Mapping[str, Tensor],
        agnostic: Mapping[str, Tensor],
        masks: Masks = None,
        *,
        present: Masks = None,
        timestamps: Masks = None,
    ) -> "GraphPair[HeteroData]":
        """Return the very graphs that `forward` passes messages along, for torch_geometric.

        Every node has its code ``x``, the number ``batch`` of its sample and, on frames, its ``time``; every edge
        (source, ``"to"``, target) its attention ``edge_attr`` ``[E, heads]``, left out with ``conv``. In the exclusive
        graph every modality is a node type and every ordered pair an edge type (from a modality to itself where there
        are such edges); the agnostic graph has one node type, ``"modality"`` or ``"frame"``, whose nodes hold the
        number of their modality as ``modality``. Missing modalities and padding are left out.
        """
        families, structure = self._read(exclusive, agnostic, masks, present, timestamps)
        graphs: tuple[Any, Any] = (self.exclusive, self.agnostic)
        first, second = (graph.describe(x, structure) for graph, x in zip(graphs, families, strict=True))
        return GraphPair(
            typed(first, self.modalities, within=self.self_loops or self.level == "frame"),
            one_type(second, "modality" if self.level == "utterance" else "frame"),
        )

    def _read(
        self,
        exclusive: Mapping[str, Tensor],
        agnostic: Mapping[str, Tensor],
        masks: Masks,
        present: Masks,
        timestamps: Masks,
    ) -> tuple[list[Any], Any]:
        """Both families of codes, checked and in order, and what says which nodes and edges there are."""
        families = [
            in_order(_WHERE, argument, codes, self.modalities)
            for argument, codes in (("exclusive", exclusive), ("agnostic", agnostic))
        ]
        if self.level == "utterance":
            if timestamps is not None:
                raise SettingError(f"{_WHERE}: timestamps belong to level='frame', got them with level='utterance'.")
            here = _present(families, self.features, masks, present)
            return [torch.stack(list(codes.values()), 1) for codes in families], here
        frame_masks = _frame_masks(families, self.features, masks, present)
        families = [
            {name: zero_where_invalid(x, frame_masks.get(name)) for name, x in codes.items()} for codes in families
        ]
        for name, x in families[0].items():
            if name not in frame_masks:
                frame_masks[name] = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        return families, self._edges({name: frame_masks[name] for name in self.modalities}, timestamps)

    def _edges(self, masks: dict[str, Tensor], timestamps: Masks) -> FrameEdges:
        """The line of all frames, and who is whose neighbour on it."""
        reach = self.max_neighbours
        if timestamps is not None:
            timestamps = in_order(_WHERE, "timestamps", timestamps, self.modalities)
            for name, times in timestamps.items():
                check_tensor(_WHERE, f"timestamps[{name!r}]", times)
                check_same_shape(_WHERE, f"timestamps[{name!r}]", times, f"the mask of {name!r}", masks[name])
            if reach is None:
                raise SettingError(
                    f"{_WHERE}: timestamps need max_neighbours, the largest number of frames of all modalities within "
                    "a window to one side; got None."
                )
        elif reach is None:
            # Frames of one modality are at least one unit apart, so a window holds so many of each.
            reach = max(len(self.modalities) * (math.floor(max(self.window, self.cross_window)) + 1) - 1, 1)
        line = timeline(masks, timestamps)
        band = temporal_band(
            line.times,
            line.groups,
            line.mask,
            window=self.window,
            cross_window=self.cross_window,
            max_neighbours=reach,
            self_loops=self.self_loops,
        )
        return FrameEdges(line, band)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        settings = f"modalities={self.modalities}, level={self.level!r}, self_loops={self.self_loops}"
        if self.level == "frame":
            settings += f", window={self.window}, cross_window={self.cross_window}"
            settings += f", max_neighbours={self.max_neighbours}"
        return settings


def _convolutions(conv: object, width: int) -> tuple[nn.Module | None, nn.Module | None]:
    """The convolutions of both graphs."""
    if conv is None:
        return None, None
    if callable(conv) and not isinstance(conv, nn.Module):
        conv = (conv(width), conv(width))
    if not isinstance(conv, tuple) or len(conv) != 2 or not all(isinstance(part, nn.Module) for part in conv):
        raise DtypeError(
            f"{_WHERE}: conv must be a factory that makes a module from the width of its nodes, or a pair of modules, "
            f"one per graph, got {conv!r}."
        )
    return conv


def _present(families: list[dict[str, Tensor]], features: int, masks: Masks, present: Masks) -> Tensor | None:
    """Which sample has which modality ``[B, M]``; None: all have all."""
    batch = next(iter(families[0].values())).shape[:1]
    for argument, codes in zip(("exclusive", "agnostic"), families, strict=True):
        for name, code in codes.items():
            check_float(_WHERE, f"{argument}[{name!r}]", code, "B D")
            check_width(_WHERE, f"{argument}[{name!r}]", code, features)
            if code.shape[:1] != batch:
                raise ShapeError(
                    f"{_WHERE}: all codes must have the same batch size, got {batch[0]} and, for "
                    f"{argument}[{name!r}], {code.shape[0]}."
                )
    here: dict[str, Tensor] = {}
    for argument, given in (("masks", masks), ("present", present)):
        if given is None:
            continue
        check_mapping(_WHERE, argument, given)
        for name, mask in given.items():
            check_known(_WHERE, argument, name, tuple(families[0]))
            check_mask(_WHERE, f"{argument}[{name!r}]", mask, batch)
            here[name] = here[name] & mask if name in here else mask
    if not here:
        return None
    full = torch.ones_like(next(iter(here.values())))
    return torch.stack([here.get(name, full) for name in families[0]], 1)


def _frame_masks(families: list[dict[str, Tensor]], features: int, masks: Masks, present: Masks) -> dict[str, Tensor]:
    """The mask ``[B, T_m]`` of every modality that has one."""
    for argument, codes in zip(("exclusive", "agnostic"), families, strict=True):
        check_sequences(_WHERE, argument, codes, features)
    for name, x in families[0].items():
        if families[1][name].shape != x.shape:
            raise ShapeError(
                f"{_WHERE}: exclusive[{name!r}] and agnostic[{name!r}] must have the same shape, got {list(x.shape)} "
                f"and {list(families[1][name].shape)}."
            )
    return resolve_masks(_WHERE, families[0], masks, present)
