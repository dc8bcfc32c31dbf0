"""Every example of the gallery starts from the same seed, on one thread."""

from typing import Any

import torch


def reset(gallery_conf: dict[str, Any], file_name: str) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
