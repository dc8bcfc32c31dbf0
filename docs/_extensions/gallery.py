"""How the gallery is built: its order, and the same seed and one thread for every example."""

from typing import Any

import torch

# From one loss to a whole model, then what judges and tests them.
GALLERY = (
    "temporal_smoothing",
    "gradient_reversal",
    "gate",
    "graph_attention",
    "frame_graph",
    "known_factors",
    "missing_modality",
    "leakage_report",
    "cost",
    "own_layer",
)


class Order:
    """Sort key of the examples' file names."""

    def __init__(self, folder: str) -> None:
        self.names = [f"plot_{name}.py" for name in GALLERY]

    def __call__(self, file_name: str) -> int:
        return self.names.index(file_name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def reset(gallery_conf: dict[str, Any], file_name: str) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
