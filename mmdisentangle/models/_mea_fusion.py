"""How MEA fuses its codes: by graphs, or by what the paper's ablation puts in their place."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.nn.graph._readout import GraphReadout
from mmdisentangle.nn.graph._utterance import ModalityGraph
from mmdisentangle.nn.graph.decoupled import DecoupledGraphFusion


class PlainFusion(nn.Module):
    """Join, add or multiply the codes of all modalities; a missing one is left out.

    Args:
        modalities: names, in the order of joining.
        features: width of the codes.
        form: ``"concat"``, ``"add"`` or ``"multiply"``.
    """

    def __init__(self, modalities: Sequence[str], features: int, form: Literal["concat", "add", "multiply"]) -> None:
        super().__init__()
        self.modalities, self.form = tuple(modalities), form
        self.out_features = features * len(self.modalities) if form == "concat" else features

    def forward(self, codes: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Return ``[B, out_features]``; 0 where nothing is there."""
        parts = [zero_where_invalid(codes[name], present.get(name)) for name in self.modalities]
        if self.form == "concat":
            return torch.cat(parts, -1)
        if self.form == "add":
            return torch.stack(parts).sum(0)
        product = torch.ones_like(parts[0])
        for name, part in zip(self.modalities, parts, strict=True):
            here = present.get(name)
            product = product * (part if here is None else torch.where(here.unsqueeze(-1), part, 1.0))
        if all(name in present for name in self.modalities):
            product = zero_where_invalid(product, torch.stack([present[name] for name in self.modalities]).any(0))
        return product

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"form={self.form!r}"


class CodeFusion(nn.Module):
    """Fuse exclusive and agnostic codes, or those of one kind.

    Args:
        modalities: names.
        features: width of the codes.
        form: ``"graph"``, ``"concat"``, ``"add"`` or ``"multiply"``.
        codes: ``"both"``, ``"exclusive"`` or ``"agnostic"``.
        self_loops: of the graphs.
        readout: of the graphs.
        gain: factor on the initial weights of the graphs' messages.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        features: int,
        *,
        form: Literal["graph", "concat", "add", "multiply"],
        codes: Literal["both", "exclusive", "agnostic"],
        self_loops: bool,
        readout: GraphReadout,
        gain: float,
    ) -> None:
        super().__init__()
        self.kinds = ("exclusive", "agnostic") if codes == "both" else (codes,)
        self.graphs: DecoupledGraphFusion | None = None
        self.parts = nn.ModuleDict()
        self.out_features = 0
        if form == "graph" and codes == "both":
            self.graphs = DecoupledGraphFusion(modalities, features, self_loops=self_loops, readout=readout)
            self.out_features = self.graphs.out_features
            _amplify(self.graphs, gain)
            return
        for kind in self.kinds:
            part = (
                _OneGraph(modalities, features, self_loops=self_loops, readout=readout)
                if form == "graph"
                else PlainFusion(modalities, features, form)
            )
            self.parts[kind] = part
            self.out_features += part.out_features
        _amplify(self.parts, gain)

    def forward(
        self, exclusive: Mapping[str, Tensor], agnostic: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> Tensor:
        """Return ``[B, out_features]``."""
        if self.graphs is not None:
            fused: Tensor = self.graphs(exclusive, agnostic, present).fused
            return fused
        codes = {"exclusive": exclusive, "agnostic": agnostic}
        return torch.cat([part(codes[kind], present) for kind, part in self.parts.items()], -1)


class _OneGraph(nn.Module):
    """One half of `DecoupledGraphFusion`."""

    def __init__(self, modalities: Sequence[str], features: int, *, self_loops: bool, readout: GraphReadout) -> None:
        super().__init__()
        self.modalities, self.out_features = tuple(modalities), features
        self.graph = ModalityGraph(features, features, self_loops=self_loops, readout=readout)

    def forward(self, codes: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        nodes = torch.stack([codes[name] for name in self.modalities], 1)
        everywhere = torch.ones(nodes.shape[:1], dtype=torch.bool, device=nodes.device)
        here = torch.stack([present.get(name, everywhere) for name in self.modalities], 1)
        fused: Tensor = self.graph(nodes, here)
        return fused


def _amplify(module: nn.Module, gain: float) -> None:
    """Multiply the initial weights of all messages."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, ModalityGraph):
                part.message.weight.mul_(gain)
