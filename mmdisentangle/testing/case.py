"""A case: everything the suite must know about one callable to hold it to the contract."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from mmdisentangle.testing.arguments import Argument, Leaf, Streams

Mode: TypeAlias = Literal["train", "eval"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One public callable, with the settings and arguments it is tested with.

    Args:
        name: public dotted name, ``"mypackage.AttentionPool"``.
        build: returns a new module, or the function itself. Called without arguments, after seeding; where there are
            `Streams`, called with the widths of all modalities ``{name: width}``, whose names and order it must pass
            on. Build without dropout, or leave ``"train"`` out of ``modes``.
        arguments: what ``forward`` takes, passed by keyword.
        variant: tells several cases of one name apart.
        outputs: takes from the result what is compared: a tensor, or tuples, mappings and dataclasses of tensors. The
            whole result where None.
        masked_by: output name -> name of the argument whose mask tells which of its entries are real, or of a boolean
            output that tells it. Names of outputs are dotted (``"shared.text"``), ``"output"`` for a single tensor;
            ``*`` stands for any part and may be repeated on the right: ``{"shared.*": "inputs.*"}``. Only the real
            entries are compared, and the others must be 0.
        surrogate: for gradients that are not the derivative, on purpose. Called as ``surrogate(target, **arguments)``;
            the ordinary derivative of what it returns is the gradient that ``target(**arguments)`` must have.
        gather: like ``build``, for a callable that gathers the batch over processes; None where there is none.
        modes: in which modes of a module values and gradients are compared. Whatever is random in training mode can
            only be compared in ``("eval",)``.
        exempt: check name -> why it cannot hold. A check that holds all the same, or does not apply, fails for being
            listed.
        half_tolerance: factor on the tolerance of the half-precision checks.
        device: where everything but the ``meta`` check runs.
        batch: default number of samples.
        frames: default number of frames of the first stream; stream number k has k more.

    Example:
        >>> from mmdisentangle.functional import masked_mean
        >>> from mmdisentangle.testing import Frames
        >>> case = Case(
        ...     name="masked_mean",
        ...     build=lambda: masked_mean,
        ...     arguments=(Frames("x", 3, mask="mask"),),
        ... )
        >>> [leaf.name for leaf in case.leaves]
        ['x']
    """

    name: str
    build: Callable[..., Callable[..., Any]]
    arguments: tuple[Argument, ...]
    variant: str = ""
    outputs: Callable[[Any], Any] | None = None
    masked_by: Mapping[str, str] = field(default_factory=dict)
    surrogate: Callable[..., Any] | None = None
    gather: Callable[..., Callable[..., Any]] | None = None
    modes: tuple[Mode, ...] = ("train", "eval")
    exempt: Mapping[str, str] = field(default_factory=dict)
    half_tolerance: float = 1.0
    device: str = "cpu"
    batch: int = 3
    frames: int = 4

    def __str__(self) -> str:
        return f"{self.name}[{self.variant}]" if self.variant else self.name

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every tensor of a call, masks apart."""
        return tuple(leaf for argument in self.arguments for leaf in argument.leaves())

    @property
    def streams(self) -> tuple[Streams, ...]:
        """Arguments that are mappings of modalities."""
        return tuple(argument for argument in self.arguments if isinstance(argument, Streams))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, none where there are no `Streams`."""
        return tuple(self.streams[0].widths) if self.streams else ()

    @property
    def has_frames(self) -> bool:
        """Whether any argument has a time axis."""
        return any(leaf.kind == "frames" for leaf in self.leaves)

    @property
    def has_masks(self) -> bool:
        """Whether any argument has a mask."""
        return any(leaf.masked for leaf in self.leaves)

    @cached_property
    def masked_owners(self) -> frozenset[str]:
        """Names of the leaves whose real frames (rows) a mask tells."""
        return frozenset(leaf.owner for leaf in self.leaves if leaf.masked)

    def target(
        self,
        *,
        seed: int = 0,
        mode: Mode = "eval",
        dtype: torch.dtype = torch.float32,
        device: str | None = None,
        names: Mapping[str, str] | None = None,
        gather: bool = False,
    ) -> Callable[..., Any]:
        """Build the callable with seeded weights; ``names`` replaces the names of modalities."""
        builder = self.gather if gather and self.gather is not None else self.build
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.streams:
                names = names or {}
                target = builder({names.get(name, name): width for name, width in self.streams[0].widths.items()})
            else:
                target = builder()
        if isinstance(target, nn.Module):
            target.train(mode == "train").to(device=device or self.device, dtype=dtype)
        return target

    @cached_property
    def is_module(self) -> bool:
        """Whether the callable is an ``nn.Module``."""
        return isinstance(self.target(), nn.Module)

    @property
    def compared_modes(self) -> tuple[Mode, ...]:
        """Modes to compare values in; one for a function, which has none."""
        return self.modes if self.is_module else ("eval",)
