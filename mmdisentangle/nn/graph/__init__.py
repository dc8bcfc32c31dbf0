"""Fusion by message passing over graphs. torch_geometric is imported by what needs it, when it is called."""

from mmdisentangle.nn.graph.decoupled import DecoupledGraphFusion, GraphFusionOutput, GraphPair

__all__ = ["DecoupledGraphFusion", "GraphFusionOutput", "GraphPair"]
