"""Fused twins of functions: same name, same signature and numbers, chosen by ``impl``. triton is imported on use."""

from mmdisentangle.kernels.temporal_invariance import temporal_invariance

__all__ = ["temporal_invariance"]
