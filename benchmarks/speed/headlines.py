"""Ratios that the documentation promises, each with its goal: what `make bench-check` guards."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks.released_rtil import ReleasedRTIL
from benchmarks.speed import components
from benchmarks.speed.case import COMPILED, EAGER, LIBRARY, RELEASED, Case, Provider, Setting, Sizes
from benchmarks.speed.training_step import CORRECTED, steps
from mmdisentangle.models import RTIL


@dataclass(frozen=True)
class Headline:
    """``slow`` over ``fast``, in seconds or in peak bytes.

    Attributes:
        case: at one length.
        slow: provider, or ``"input"``: the bytes of the inputs that want a gradient.
        fast: provider.
        quantity: what is compared.
        goal: the ratio promised.
        at_most: the ratio should stay below the goal instead of reaching it.
    """

    name: str
    case: Case
    slow: str
    fast: str
    quantity: Literal["seconds", "bytes"]
    goal: float
    at_most: bool = False


def _case(name: str, batch: int, length: int, features: int, inputs: Any, providers: Any, **rest: Any) -> Case:
    return Case(name, inputs, providers, batch, features, "constant", (length,), **rest)


def _fusion_providers(features: int, setting: Setting) -> dict[str, Provider]:
    """The fusion of the released program, and ours with its weights, in its arithmetic; no dropout."""
    torch.manual_seed(0)
    widths = {"text": 16, "audio": 16, "vision": 16}
    released = ReleasedRTIL(*widths.values(), hidden_features=features, dropout=False)
    model = RTIL(widths, 1, published=True, hidden_features=features)
    model.load_state_dict(
        {name: released.state_dict()[theirs] for name, theirs in model.released_names().items()}, strict=False
    )
    released, fusion = released.to(setting.device, setting.dtype), model.fusion.to(setting.device, setting.dtype).eval()
    letters = dict(zip(("t", "a", "v"), widths, strict=True))

    def loops(private: dict[str, Tensor], shared: dict[str, Tensor]) -> Tensor:
        fused, _ = released.fuse(
            {letter: private[name].transpose(0, 1) for letter, name in letters.items()},
            {letter: shared[name].transpose(0, 1) for letter, name in letters.items()},
        )
        return fused.transpose(0, 1)

    def ours(private: dict[str, Tensor], shared: dict[str, Tensor]) -> Tensor:
        sequence: Tensor = fusion(private, shared).sequence
        return sequence

    return {LIBRARY: Provider(ours, (fusion,)), RELEASED: Provider(loops, (released,))}


def _steps(batch: int, length: int) -> Callable[[int, Setting], dict[str, Provider]]:
    """A whole training step of the released program, of ours in its arithmetic, and of the corrected model."""

    def providers(features: int, setting: Setting) -> dict[str, Provider]:
        return {name: Provider(partial(_step, run)) for name, run in steps(batch, length).items()}

    return providers


def _step(run: Callable[[], object]) -> None:
    run()


def _nothing(sizes: Sizes, setting: Setting) -> tuple[()]:
    return ()


TEMPORAL_BATCH = _case("temporal_batch", 16, 300, 128, components.sequence, components.temporal_batch)
TEMPORAL_SAMPLES = _case("temporal_samples", 8, 5_000, 256, components.sequence, components.temporal_samples)
MARGIN = _case("margin", 64, 64, 128, components.margin_inputs, components.margin)
MOMENTS = _case("moments", 64, 64, 768, components.samples(3), components.moments, compiled=True)
FUSION = _case("text_driven", 1, 4_000, 128, components.two_families, _fusion_providers)
STEP_SHORT = _case("rtil_step_short", 64, 50, 128, _nothing, _steps(64, 50), checked=False)
STEP_LONG = _case("rtil_step_long", 32, 500, 128, _nothing, _steps(32, 500), checked=False)
GRAPH = _case("frame_graph", 2, 10_000, 64, components.two_families, components.frame_graph)

HEADLINES = (
    Headline("temporal loss, batch aggregation", TEMPORAL_BATCH, RELEASED, LIBRARY, "seconds", 40),
    Headline("temporal loss per sample", TEMPORAL_SAMPLES, EAGER, LIBRARY, "seconds", 3),
    Headline("temporal loss per sample, peak", TEMPORAL_SAMPLES, LIBRARY, "input", "bytes", 1.5, at_most=True),
    Headline("discriminator's margin loss", MARGIN, RELEASED, LIBRARY, "seconds", 100),
    Headline("central moments of three modalities", MOMENTS, RELEASED, LIBRARY, "seconds", 4),
    Headline("central moments of three modalities, compiled", MOMENTS, RELEASED, COMPILED, "seconds", 8),
    Headline("text-driven fusion", FUSION, RELEASED, LIBRARY, "seconds", 2),
    Headline("text-driven fusion, peak", FUSION, RELEASED, LIBRARY, "bytes", 10),
    Headline("RTIL step, short", STEP_SHORT, RELEASED, LIBRARY, "seconds", 1.2),
    Headline("RTIL step, long", STEP_LONG, RELEASED, LIBRARY, "seconds", 1.7),
    Headline("RTIL step, long, peak", STEP_LONG, RELEASED, LIBRARY, "bytes", 2),
    Headline("corrected RTIL against published, short", STEP_SHORT, CORRECTED, LIBRARY, "seconds", 1.3, True),
    Headline("corrected RTIL against published, long", STEP_LONG, CORRECTED, LIBRARY, "seconds", 1.3, True),
    Headline("frame graph against TransformerConv", GRAPH, "torch_geometric TransformerConv", LIBRARY, "seconds", 3),
    Headline(
        "frame graph against TransformerConv, peak", GRAPH, "torch_geometric TransformerConv", LIBRARY, "bytes", 5
    ),
)
