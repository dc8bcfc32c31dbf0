"""The arguments of a callable under contract, described so that the suite can draw and pad them itself."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias

from torch import Tensor

Domain: TypeAlias = Callable[[Tensor], Tensor]
LeafKind: TypeAlias = Literal["frames", "rows", "labels", "weight"]


@dataclass(frozen=True)
class Leaf:
    """One tensor of a call: an argument, or one modality of an argument that is a mapping.

    Args:
        name: ``"x"``, or ``"inputs.text"`` for a modality.
        argument: keyword of the argument.
        modality: name of the modality, None for a plain tensor.
        kind: ``"frames"`` ``[B, T, ...]``, ``"rows"`` ``[B, ...]``, ``"labels"`` ``[B]`` integers or ``"weight"``
            ``[...]``.
        shape: the axes after batch and time.
        owner: name of the leaf whose lengths and mask this one follows; its own, unless it was declared ``like``
            another.
        masked: whether a mask tells its real frames (rows).
        position: number of the modality, 0 for a plain tensor; streams get different lengths by it.
        domain: maps standard normal numbers to what the argument may hold.
        classes: labels are drawn from ``0..classes-1``.
    """

    name: str
    argument: str
    modality: str | None
    kind: LeafKind
    shape: tuple[int, ...]
    owner: str
    masked: bool
    position: int = 0
    domain: Domain | None = None
    classes: int = 0


@dataclass(frozen=True)
class Frames:
    """Sequences: a tensor ``[B, T, width]``.

    Args:
        name: keyword of the argument.
        width: number of features.
        mask: keyword of its mask ``[B, T]``, True = real; None where it has none (all frames are real then).
        like: name of another `Frames` whose lengths and mask it shares.
        domain: maps standard normal numbers to what the argument may hold, for instance ``torch.sigmoid``.

    Example:
        >>> from mmdisentangle.functional import masked_mean
        >>> from mmdisentangle.testing import Case, check_contract
        >>> case = Case(
        ...     name="masked_mean",
        ...     build=lambda: masked_mean,
        ...     arguments=(Frames("x", 3, mask="mask"),),
        ... )
        >>> check_contract(case, only=["padding_content", "padding_length"])
        >>> [(leaf.name, leaf.kind, leaf.shape, leaf.masked) for leaf in case.leaves]
        [('x', 'frames', (3,), True)]
    """

    name: str
    width: int
    _: KW_ONLY
    mask: str | None = None
    like: str | None = None
    domain: Domain | None = None

    def leaves(self) -> list[Leaf]:
        """Tensors of the argument."""
        owner = self.like or self.name
        return [Leaf(self.name, self.name, None, "frames", (self.width,), owner, self.mask is not None, 0, self.domain)]


@dataclass(frozen=True)
class Streams:
    """A mapping from modality to sequences ``[B, T_m, width_m]``.

    Args:
        name: keyword of the argument.
        widths: number of features of every modality. The names are replaced in some checks, so ``Case.build`` is handed
            the names to use.
        masks: keyword of the mapping of masks ``[B, T_m]``.
        present: keyword of the mapping ``[B]`` that says which samples have the modality.
        like: name of another `Streams` whose lengths and masks it shares.
        aligned: whether all modalities must have the same lengths.
        pooled: whether the tensors are ``[B, width_m]`` and the masks ``[B]``.
        domain: maps standard normal numbers to what the argument may hold.

    Example:
        >>> inputs = Streams(
        ...     "inputs", {"text": 4, "audio": 2}, masks="masks", present="present"
        ... )
        >>> [(leaf.name, leaf.kind, leaf.shape, leaf.masked) for leaf in inputs.leaves()]
        [('inputs.text', 'frames', (4,), True), ('inputs.audio', 'frames', (2,), True)]
    """

    name: str
    widths: Mapping[str, int]
    _: KW_ONLY
    masks: str | None = None
    present: str | None = None
    like: str | None = None
    aligned: bool = False
    pooled: bool = False
    domain: Domain | None = None

    def leaves(self) -> list[Leaf]:
        """Tensors of the argument."""
        return [
            Leaf(
                f"{self.name}.{modality}",
                self.name,
                modality,
                "rows" if self.pooled else "frames",
                (width,),
                f"{self.like or self.name}.{modality}",
                self.masks is not None,
                0 if self.aligned else position,
                self.domain,
            )
            for position, (modality, width) in enumerate(self.widths.items())
        ]


@dataclass(frozen=True)
class Samples:
    """One vector per sample: a tensor ``[B, width]``.

    Args:
        name: keyword of the argument.
        width: number of features.
        mask: keyword of its mask ``[B]``, True = the sample counts.
        like: name of another `Samples` whose mask it shares.
        domain: maps standard normal numbers to what the argument may hold.

    Example:
        >>> from mmdisentangle.functional import hsic
        >>> from mmdisentangle.testing import Case, check_contract
        >>> codes = Samples("x", 3, mask="mask"), Samples("y", 2, like="x")
        >>> case = Case(name="hsic", build=lambda: hsic, arguments=codes)
        >>> check_contract(case, only=["padding_content"])
        >>> [(leaf.name, leaf.kind, leaf.owner) for leaf in case.leaves]
        [('x', 'rows', 'x'), ('y', 'rows', 'x')]
    """

    name: str
    width: int
    _: KW_ONLY
    mask: str | None = None
    like: str | None = None
    domain: Domain | None = None

    def leaves(self) -> list[Leaf]:
        """Tensors of the argument."""
        owner = self.like or self.name
        return [Leaf(self.name, self.name, None, "rows", (self.width,), owner, self.mask is not None, 0, self.domain)]


@dataclass(frozen=True)
class Labels:
    """One class per sample: an int64 tensor ``[B]`` in ``0..classes-1``.

    Args:
        name: keyword of the argument.
        classes: number of classes.
        like: name of the `Samples` whose mask tells which labels count; the others may be anything.

    Example:
        >>> (leaf,) = Labels("labels", classes=3, like="x").leaves()
        >>> leaf.kind, leaf.classes, leaf.owner
        ('labels', 3, 'x')
    """

    name: str
    classes: int
    _: KW_ONLY
    like: str | None = None

    def leaves(self) -> list[Leaf]:
        """Tensors of the argument."""
        return [Leaf(self.name, self.name, None, "labels", (), self.like or self.name, False, 0, None, self.classes)]


@dataclass(frozen=True)
class Weight:
    """A floating tensor of a fixed shape that does not belong to samples, for instance prototypes.

    Args:
        name: keyword of the argument.
        shape: all its axes.
        domain: maps standard normal numbers to what the argument may hold.

    Example:
        >>> (leaf,) = Weight("prototypes", (3, 8)).leaves()
        >>> leaf.kind, leaf.shape
        ('weight', (3, 8))
    """

    name: str
    shape: tuple[int, ...]
    _: KW_ONLY
    domain: Domain | None = None

    def leaves(self) -> list[Leaf]:
        """Tensors of the argument."""
        return [Leaf(self.name, self.name, None, "weight", self.shape, self.name, False, 0, self.domain)]


Argument: TypeAlias = Frames | Streams | Samples | Labels | Weight
