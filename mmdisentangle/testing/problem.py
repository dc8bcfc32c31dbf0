"""A problem: the real frames of every sample, apart from how a call pads them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from mmdisentangle.testing.arguments import Frames, Leaf, Samples, Streams
from mmdisentangle.testing.case import Case

Absence: TypeAlias = Literal["mask", "present", "omitted"]

# Lengths of neighbouring samples differ by these numbers of frames.
_RAGGED = (0, 2, 1)
_JUNK_LABEL = -100


@dataclass(frozen=True)
class Padding:
    """How a batch is padded: on which side, by how much beyond the longest sample, and with what."""

    side: Literal["left", "right"] = "right"
    extra: int = 0
    fill: float = 0.0


TIGHT = Padding()


@dataclass(frozen=True)
class Call:
    """Arguments of one call.

    Args:
        keywords: what the callable is called with.
        leaves: the floating tensors among them, by leaf name; these have gradients.
        real: leaf name -> boolean tensor over its leading axes, True = a real frame or row.
    """

    keywords: dict[str, Any]
    leaves: dict[str, Tensor]
    real: dict[str, Tensor]


@dataclass(frozen=True)
class Problem:
    """The content of a batch.

    Args:
        case: what it is for.
        contents: leaf name -> one tensor per sample: ``[length, ...]`` for frames, ``[0 or 1, ...]`` for rows and
            labels; a one tensor for a weight.
        longest: name of a leaf with frames -> number of frames of its longest sample, or more.
    """

    case: Case
    contents: Mapping[str, tuple[Tensor, ...]]
    longest: Mapping[str, int]

    def select(self, samples: Iterable[int]) -> "Problem":
        """Return the problem of some of the samples."""
        samples = list(samples)
        weights = {leaf.name for leaf in self.case.leaves if leaf.kind == "weight"}
        return replace(
            self,
            contents={
                name: content if name in weights else tuple(content[index] for index in samples)
                for name, content in self.contents.items()
            },
        )

    def tight(self) -> "Problem":
        """Return the problem with no more frames than the longest sample has."""
        return replace(
            self,
            longest={name: max((part.shape[0] for part in self.contents[name]), default=0) for name in self.longest},
        )

    def with_content(self, change: Callable[[Leaf, int, Tensor], Tensor]) -> "Problem":
        """Return the problem with every floating tensor replaced by ``change(leaf, sample, tensor)``."""
        leaves = {leaf.name: leaf for leaf in self.case.leaves if leaf.kind != "labels"}
        return replace(
            self,
            contents={
                name: tuple(change(leaves[name], index, part) for index, part in enumerate(content))
                if name in leaves
                else content
                for name, content in self.contents.items()
            },
        )

    def call(
        self,
        padding: Padding = TIGHT,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | None = None,
        names: Mapping[str, str] | None = None,
        reverse_order: bool = False,
        absence: Absence = "mask",
        pass_masks: bool = True,
    ) -> Call:
        """Lay the content out as tensors.

        Args:
            padding: how samples are padded.
            dtype: of floating tensors.
            device: where they go; the case's device where None.
            names: replaces names of modalities.
            reverse_order: whether mappings list the modalities in reverse.
            absence: how a modality without any frame is announced: an all-False mask, ``present``, or ``present`` and
                no entry at all (where no sample has it).
            pass_masks: False leaves all masks out.
        """
        call, names = Call({}, {}, {}), names or {}
        for argument in self.case.arguments:
            value: dict[str, Tensor] = {}
            masks: dict[str, Tensor] = {}
            present: dict[str, Tensor] = {}
            announced = absence != "mask" and isinstance(argument, Streams) and argument.present is not None
            for leaf in reversed(argument.leaves()) if reverse_order else argument.leaves():
                tensor, mask = self._tensor(leaf, padding)
                tensor = tensor.to(device or self.case.device, dtype if tensor.is_floating_point() else None)
                mask = mask.to(device or self.case.device)
                key = names.get(leaf.modality or "", leaf.modality or "")
                present[key] = mask.any(1) if mask.ndim > 1 else mask
                if announced and absence == "omitted" and not bool(mask.any()):
                    call.real[leaf.name] = mask[:, :0] if mask.ndim > 1 else mask
                    continue
                value[key] = tensor
                masks[key] = mask | ~present[key].unsqueeze(1) if announced and mask.ndim > 1 else mask
                call.real[leaf.name] = mask
                if tensor.is_floating_point():
                    call.leaves[leaf.name] = tensor.requires_grad_()
            if isinstance(argument, Streams):
                call.keywords[argument.name] = value
                if argument.masks is not None and pass_masks:
                    call.keywords[argument.masks] = masks
                if announced and argument.present is not None:
                    call.keywords[argument.present] = present
            else:
                call.keywords[argument.name] = value[""]
                if isinstance(argument, Frames | Samples) and argument.mask is not None and pass_masks:
                    call.keywords[argument.mask] = masks[""]
        return call

    def _tensor(self, leaf: Leaf, padding: Padding) -> tuple[Tensor, Tensor]:
        """The padded tensor of a leaf, and which of its entries are real."""
        content = self.contents[leaf.name]
        if leaf.kind == "weight":
            return content[0].clone(), torch.ones((), dtype=torch.bool)
        lengths = torch.tensor([part.shape[0] for part in content], dtype=torch.long)
        if leaf.kind == "frames":
            total = self.longest[leaf.name] + (padding.extra if leaf.owner in self.case.masked_owners else 0)
            real = torch.arange(total) < lengths.unsqueeze(1)
            real = real.flip(1) if padding.side == "left" else real
        else:
            more = torch.zeros(padding.extra if self._rows_may_be_added else 0, dtype=torch.bool)
            real = torch.cat((more, lengths > 0) if padding.side == "left" else (lengths > 0, more))
        if leaf.kind == "labels":
            tensor = torch.full(real.shape, _JUNK_LABEL, dtype=torch.long)
        else:
            tensor = torch.full((*real.shape, *leaf.shape), padding.fill, dtype=torch.float64)
        if content:
            tensor[real] = torch.cat(content)
        return tensor, real

    @property
    def _rows_may_be_added(self) -> bool:
        return not self.case.has_frames and all(
            leaf.owner in self.case.masked_owners for leaf in self.case.leaves if leaf.kind in ("rows", "labels")
        )


def draw(
    case: Case,
    *,
    batch: int | None = None,
    frames: int | None = None,
    seed: int = 0,
    ragged: bool = True,
    absent: Iterable[tuple[int, str]] = (),
) -> Problem:
    """Draw a problem.

    Args:
        case: what for.
        batch: number of samples; the case's where None.
        frames: frames of the first stream, stream k has k more; 0 and 1 are taken literally for all. The case's where
            None.
        seed: of the content; samples are drawn independently of each other and of the batch size.
        ragged: whether lengths differ between samples where a mask can say so.
        absent: pairs (sample, owner's leaf name) that have no frame (row).
    """
    batch = case.batch if batch is None else batch
    frames = case.frames if frames is None else frames
    absent = set(absent)
    contents: dict[str, tuple[Tensor, ...]] = {}
    longest: dict[str, int] = {}
    for number, leaf in enumerate(case.leaves):
        parts = []
        if leaf.kind == "frames":
            longest[leaf.name] = frames + leaf.position if frames > 1 else frames
        for sample in range(1 if leaf.kind == "weight" else batch):
            length = 1
            if leaf.kind == "frames":
                length = longest[leaf.name]
                shorter = _RAGGED[sample % len(_RAGGED)] if ragged and leaf.owner in case.masked_owners else 0
                length = max(length - shorter, min(length, 1))
            if (sample, leaf.owner) in absent:
                length = 0
            generator = torch.Generator().manual_seed(1_000_003 * seed + 1_009 * number + sample)
            if leaf.kind == "labels":
                parts.append(torch.randint(leaf.classes, (length,), generator=generator))
                continue
            shape = leaf.shape if leaf.kind == "weight" else (length, *leaf.shape)
            part = torch.randn(shape, generator=generator, dtype=torch.float64)
            parts.append(part if leaf.domain is None else leaf.domain(part))
        contents[leaf.name] = tuple(parts)
    return Problem(case, contents, longest)
