"""Cases of `mmdisentangle.nn.graph`, and of the functions behind it."""

from functools import partial

import torch

from mmdisentangle import functional
from mmdisentangle.nn import DecoupledGraphFusion
from mmdisentangle.testing import Case, Frames, Streams, Weight

WIDTHS = {"text": 6, "audio": 6, "vision": 6}


def _modality_graph(nodes, weight, score_weight, score_bias, present=None, *, self_loops=False):
    fused, attention = functional.modality_graph_attention(
        nodes, weight, score_weight, score_bias, self_loops=self_loops, present=present
    )
    # The number of nodes is that of the padded call; what a node takes and gives is not.
    return {"fused": fused, "taken": attention.square().sum(2), "given": attention.square().sum(1)}


def _temporal_graph(q, k, v, mask=None, **settings):
    q, k, v = (x.unflatten(-1, (2, 3)).transpose(1, 2) for x in (q, k, v))
    if mask is None:
        times = torch.arange(q.shape[2], device=q.device).expand(q.shape[0], -1).to(torch.float64)
    else:
        times = functional.frame_positions(mask).to(torch.float64)
    groups = times.long() % 2
    output = functional.temporal_graph_attention(q, k, v, times, groups, mask=mask, **settings)
    return output.transpose(1, 2).flatten(2)


class UtteranceFusion(DecoupledGraphFusion):
    """The utterance level, which also says which samples have anything to fuse."""

    def forward(self, exclusive, agnostic, masks=None):
        output = super().forward(exclusive, agnostic, masks)
        real = torch.stack(
            [torch.ones_like(x[:, 0]) > 0 for x in exclusive.values()] if masks is None else [*masks.values()]
        )
        return {**output._asdict(), "real": real.any(0)}


def _fusion(variant, *, pooled=False, **settings):
    options = {} if pooled else {"level": "frame", "num_heads": 2}
    return Case(
        name="nn.DecoupledGraphFusion",
        variant=variant,
        build=lambda widths: (UtteranceFusion if pooled else DecoupledGraphFusion)(
            tuple(widths), 6, 4, **options, **settings
        ),
        arguments=(
            Streams("exclusive", WIDTHS, masks="masks", pooled=pooled),
            Streams("agnostic", WIDTHS, like="exclusive", pooled=pooled),
        ),
        masked_by={"*": "real"} if pooled else {},
    )


CASES = [
    *(
        Case(
            name="functional.modality_graph_attention",
            variant="self-loops" if self_loops else "",
            build=lambda self_loops=self_loops: partial(_modality_graph, self_loops=self_loops),
            arguments=(
                Frames("nodes", 5, mask="present"),
                Weight("weight", (4, 5)),
                Weight("score_weight", (8,)),
                Weight("score_bias", (1,)),
            ),
            masked_by={"taken": "nodes", "given": "nodes"},
        )
        for self_loops in (False, True)
    ),
    *(
        Case(
            name="functional.temporal_graph_attention",
            variant=variant,
            build=lambda settings=settings: partial(_temporal_graph, **settings),
            arguments=(Frames("q", 6, mask="mask"), Frames("k", 6, like="q"), Frames("v", 6, like="q")),
            masked_by={"output": "q"},
        )
        for variant, settings in (
            ("", {"window": 1.5, "max_neighbours": 3}),
            ("cut", {"window": 3.0, "cross_window": 0.5, "max_neighbours": 2, "self_loops": True}),
        )
    ),
    _fusion("utterance", pooled=True),
    _fusion("utterance-self-loops-mean", pooled=True, self_loops=True, readout="mean"),
    _fusion("utterance-attention", pooled=True, readout="attention"),
    _fusion("frame"),
    _fusion("frame-paper", window=1.0, cross_window=0.4, readout="paper", self_loops=True),
    _fusion("frame-attention", window=3.0, max_neighbours=2, readout="attention"),
]

NO_CASE = {
    "functional.ModalityGraphAttention": "the result of modality_graph_attention",
    "nn.GraphFusionOutput": "the result of DecoupledGraphFusion",
    "nn.GraphPair": "names the two graphs of DecoupledGraphFusion",
}
