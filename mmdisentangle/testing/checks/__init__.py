"""The checks, a group per file; importing them fills the registry, in the order in which they run and are listed."""

# isort: off
from mmdisentangle.testing.checks import padding
from mmdisentangle.testing.checks import edges
from mmdisentangle.testing.checks import modalities
from mmdisentangle.testing.checks import gradients
from mmdisentangle.testing.checks import precision
from mmdisentangle.testing.checks import state
from mmdisentangle.testing.checks import transforms
from mmdisentangle.testing.checks import compilation
from mmdisentangle.testing.checks import processes
# isort: on

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
