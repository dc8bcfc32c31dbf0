"""Cases of whole models: forward, objective and backward of one batch of three modalities."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.case import LIBRARY, SHORT_LENGTHS, Case, Provider, Setting, Sizes
from benchmarks.speed.components import MODALITIES, WINDOW
from mmdisentangle.models import create_model


def inputs(sizes: Sizes, setting: Setting) -> tuple[dict[str, Tensor], Tensor]:
    """Streams of one length, and a target."""
    streams = {name: setting.randn(sizes.batch, sizes.length, sizes.features).detach() for name in MODALITIES}
    return streams, setting.randn(sizes.batch, 1).detach()


def _full_masks(streams: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) for name, x in streams.items()}


def providers(name: str, **settings: Any) -> Any:
    """Return the model without and with masks."""

    def build(features: int, setting: Setting) -> dict[str, Provider]:
        widths = dict.fromkeys(MODALITIES, features)
        model = setting.module(lambda: create_model(name, modalities=widths, **settings))

        def plain(streams: dict[str, Tensor], target: Tensor) -> Tensor:
            total: Tensor = model.objective(model(streams), target).total
            return total

        def masked(streams: dict[str, Tensor], target: Tensor) -> Tensor:
            total: Tensor = model.objective(model(streams, _full_masks(streams)), target).total
            return total

        # Weights are drawn once; dropout is on, as in training.
        return {LIBRARY: Provider(plain, (model,)), "library, masked": Provider(masked, (model,))}

    return build


MODELS = (
    Case(
        "rtil",
        inputs,
        providers("rtil", hidden_features=32),
        batch=1,
        features=32,
        growth="quadratic",
        lengths=(*SHORT_LENGTHS, 32_768, 65_536),
        checked=False,
    ),
    Case(
        "mea_window",
        inputs,
        providers("mea", features=32, hidden_features=16, num_heads=4, window=WINDOW),
        batch=1,
        features=32,
        growth="quadratic",
        lengths=(*SHORT_LENGTHS, 32_768, 65_536),
        checked=False,
    ),
)
