"""The checks, a group per file; importing them fills the registry."""

from mmdisentangle.testing.checks import (
    compilation,
    edges,
    gradients,
    modalities,
    padding,
    precision,
    processes,
    state,
    transforms,
)

__all__ = [
    "compilation",
    "edges",
    "gradients",
    "modalities",
    "padding",
    "precision",
    "processes",
    "state",
    "transforms",
]
