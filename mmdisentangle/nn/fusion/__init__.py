"""Fusion of the codes of several modalities."""

from mmdisentangle.nn.fusion.text_driven import FusionOutput, TextDrivenFusion

__all__ = ["FusionOutput", "TextDrivenFusion"]
