"""What is measured: a case has inputs of a given length and several providers that compute the same from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

Growth = Literal["linear", "quadratic", "constant"]
# The lengths of a case that grows linearly, and of one that does not.
LENGTHS = (32, 128, 512, 2_048, 8_192, 32_768, 65_536)
SHORT_LENGTHS = (32, 128, 512, 1_024, 2_048, 4_096, 8_192)
LIBRARY, COMPILED, FUSED, RELEASED, EAGER = "library", "library, compiled", "library, fused", "released", "plain eager"


CPU = torch.device("cpu")


@dataclass(frozen=True)
class Sizes:
    """Batch size, length (of the sequences, or the number of samples of a loss without time) and width."""

    batch: int
    length: int
    features: int


@dataclass(frozen=True)
class Setting:
    """Where and in which precision a case runs."""

    device: torch.device = CPU
    dtype: torch.dtype = torch.float32

    def randn(self, *shape: int) -> Tensor:
        """Draw a leaf that wants a gradient; the same numbers on every device."""
        return torch.randn(shape).to(self.device, self.dtype).requires_grad_()

    def module(self, build: Callable[[], nn.Module], seed: int = 0) -> Any:
        """Build a module with seeded weights."""
        torch.manual_seed(seed)
        return build().to(self.device, self.dtype)


@dataclass(frozen=True)
class Provider:
    """One way to compute a case.

    Attributes:
        call: from the inputs to a tensor, several, or None where it has done its own backward pass.
        modules: whose parameters get gradients, too.
        longest: no length beyond this is tried.
        source: the package that it is from, where it is not ours.
    """

    call: Callable[..., Any]
    modules: tuple[nn.Module, ...] = ()
    longest: int | None = None
    source: str = ""


@dataclass(frozen=True)
class Case:
    """Inputs, and who computes something from them.

    Attributes:
        name: of the component, its file stem where it has one.
        inputs: from sizes and setting to the arguments of every provider.
        providers: from width and setting to providers; the first is the one that others are checked against.
        batch: B.
        features: D.
        growth: how time and memory should grow with the length.
        lengths: every T.
        compiled: whether the library is also run through ``torch.compile`` on the CPU; on a GPU it always is.
        tolerance: largest relative and absolute deviation from the first provider, in float64.
        checked: False for steps that cannot be compared.
        axis: what the length counts.
    """

    name: str
    inputs: Callable[[Sizes, Setting], tuple[Any, ...]]
    providers: Callable[[int, Setting], Mapping[str, Provider]]
    batch: int
    features: int
    growth: Growth = "linear"
    lengths: tuple[int, ...] = LENGTHS
    compiled: bool = False
    tolerance: float = 1e-6
    checked: bool = True
    axis: str = "frames"

    def sizes(self, length: int) -> Sizes:
        """Sizes at a length."""
        return Sizes(self.batch, length, self.features)


def leaves(inputs: tuple[Any, ...], provider: Provider) -> list[Tensor]:
    """All tensors that get a gradient: inputs, also inside mappings, and parameters."""
    found: list[Tensor] = []
    for entry in inputs:
        tensors = entry.values() if isinstance(entry, Mapping) else [entry]
        found += [x for x in tensors if isinstance(x, Tensor) and x.requires_grad]
    for module in provider.modules:
        found += [x for x in module.parameters() if x.requires_grad]
    return found


def outputs(result: Any) -> list[Tensor]:
    """Tensors of a result that lead back to a leaf."""
    entries = [result] if isinstance(result, Tensor) else list(result)
    return [x for x in entries if x.requires_grad]
