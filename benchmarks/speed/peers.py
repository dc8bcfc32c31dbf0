"""Other packages that do the same job; each is measured where it is installed."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

from torch import Tensor
from torch.func import functional_call

from benchmarks.speed.case import Provider, Setting


def reversals() -> dict[str, Provider]:
    """Gradient reversal with strength 1."""
    builders: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
        "pytorch-adapt": ("pytorch_adapt.layers", "pytorch-adapt", lambda module: module.GradientReversal(1.0)),
        "torch-gradient-reversal": (
            "gradient_reversal",
            "torch-gradient-reversal",
            lambda module: module.GradientReversalLayer(),
        ),
        "pytorch-revgrad": ("pytorch_revgrad", "pytorch-revgrad", lambda module: module.RevGrad(1.0)),
    }
    return {
        name: Provider(build(module), source=f"{name} {version(package)}")
        for name, (module_name, package, build) in builders.items()
        if (module := _installed(module_name)) is not None
    }


def margin_losses(num_classes: int, features: int, setting: Setting) -> dict[str, Provider]:
    """Additive cosine margin loss, ``CosFaceLoss``, with given prototypes."""
    losses = _installed("pytorch_metric_learning.losses")
    if losses is None:
        return {}
    loss = losses.CosFaceLoss(num_classes, features, margin=0.5, scale=30).to(setting.device, setting.dtype)

    def call(x: Tensor, prototypes: Tensor, target: Tensor) -> Tensor:
        # It keeps prototypes of its own, as columns; these stand in for them.
        result: Tensor = functional_call(loss, {"W": prototypes.T}, (x, target))
        return result

    source = f"pytorch-metric-learning {version('pytorch-metric-learning')}"
    return {"pytorch-metric-learning": Provider(call, source=source)}


def _installed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None
