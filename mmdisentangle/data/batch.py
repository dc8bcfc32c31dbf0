"""One sample, one padded batch, and the way from a list of the first to the second."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmdisentangle._core.checks import check_float, check_tensor, check_width
from mmdisentangle._core.errors import DataError, DtypeError, ModalityError, ShapeError
from mmdisentangle._core.masks import lengths_to_mask
from mmdisentangle._core.modalities import check_known, modality_names


@dataclass(frozen=True)
class MultimodalSample:
    """One sample: a sequence per modality, each with its own length, and a target.

    Args:
        inputs: modality name to ``[T_m, d_m]``. A modality that is absent, or has no frames, is missing.
        target: class index (0-dim int64), regression target or labels (0-dim or ``[num_outputs]``); None where unknown.
        id: name of the sample, used in error messages and in prediction files.

    Raises:
        DtypeError: an input is not a floating-point tensor, or the target is not a tensor.
        ShapeError: an input is not ``[T, d]``, or the target has more than one axis.

    Numerics:
        Values are kept as they come, NaN and infinities included.

    Example:
        >>> sample = MultimodalSample({"gyroscope": torch.zeros(5, 3)}, torch.tensor(1), id="clip-7")
        >>> sample.inputs["gyroscope"].shape
        torch.Size([5, 3])
    """

    inputs: Mapping[str, Float[Tensor, "T D"]]
    target: Shaped[Tensor, "..."] | None = None
    id: str = ""

    def __post_init__(self) -> None:
        where = f"MultimodalSample {self.id!r}" if self.id else "MultimodalSample"
        if not isinstance(self.inputs, Mapping):
            raise DtypeError(
                f"{where}: inputs must be a mapping from modality name to a tensor, got {type(self.inputs).__name__}."
            )
        for name, x in self.inputs.items():
            check_float(where, f"inputs[{name!r}]", x, "T D")
        if self.target is not None:
            check_tensor(where, "target", self.target)
            if self.target.ndim > 1:
                raise ShapeError(
                    f"{where}: target must be a 0-dim tensor or [num_outputs], got shape {list(self.target.shape)}."
                )


@dataclass(frozen=True)
class MultimodalBatch:
    """A padded batch, ready for ``model(batch.inputs, batch.masks, present=batch.present)``.

    Args:
        inputs: modality name to ``[B, T_m, d_m]``, padded on the right with zeros.
        masks: modality name to ``[B, T_m]``, True = a real frame.
        present: modality name to ``[B]``, False where the sample lacks the modality or has no frame of it.
        target: ``[B]`` or ``[B, num_outputs]``; None where the samples have none.
        ids: name of each sample.

    Example:
        >>> samples = [
        ...     MultimodalSample({"eeg": torch.ones(length, 1)}, torch.tensor(0.5))
        ...     for length in (3, 1)
        ... ]
        >>> batch = collate(samples, modalities=("eeg",))
        >>> batch.masks["eeg"]
        tensor([[ True,  True,  True],
                [ True, False, False]])
        >>> len(batch), batch.target
        (2, tensor([0.5000, 0.5000]))
    """

    inputs: dict[str, Float[Tensor, "B T D"]]
    masks: dict[str, Bool[Tensor, "B T"]]
    present: dict[str, Bool[Tensor, " B"]]
    target: Shaped[Tensor, "B ..."] | None = None
    ids: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(next(iter(self.present.values())))

    def to(self, device: torch.device | str | int, *, non_blocking: bool = False) -> Self:
        """Return the batch with every tensor on ``device``; dtypes stay."""
        return self._map(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory, for faster copies to a GPU."""
        return self._map(lambda x: x.pin_memory())

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(
            inputs={name: function(x) for name, x in self.inputs.items()},
            masks={name: function(x) for name, x in self.masks.items()},
            present={name: function(x) for name, x in self.present.items()},
            target=None if self.target is None else function(self.target),
            ids=self.ids,
        )


def collate(
    samples: Sequence[MultimodalSample],
    *,
    modalities: Sequence[str],
    widths: Mapping[str, int] | None = None,
) -> MultimodalBatch:
    """Pad samples to the longest of each modality and stack them.

    Args:
        samples: at least one sample.
        modalities: names, in the order the batch shall have them; fixed here, never taken from a sample.
        widths: width of each modality. Needed for a modality that no sample of the batch has; checked for the others.

    Shape:
        ``inputs[m]`` is ``[B, T_m, d_m]`` with ``T_m`` the longest length of that modality in the batch, 0 where it is
        missing throughout.

    Returns:
        The batch; its ``present[m]`` is False for samples without a frame of ``m``.

    Raises:
        DataError: no sample; a target for some samples only.
        DtypeError: one modality, or the target, in two dtypes.
        ModalityError: a sample has a modality that is not in ``modalities``; the width of a modality is unknown.
        ShapeError: a modality in two widths; targets of two shapes.

    Example:
        >>> a = MultimodalSample({"x": torch.ones(2, 1), "y": torch.ones(1, 1)}, torch.tensor(0))
        >>> b = MultimodalSample({"x": torch.ones(3, 1)}, torch.tensor(1))
        >>> batch = collate([a, b], modalities=("x", "y"))
        >>> batch.inputs["x"].squeeze(-1)
        tensor([[1., 1., 0.],
                [1., 1., 1.]])
        >>> batch.present["y"], batch.target
        (tensor([ True, False]), tensor([0, 1]))
    """
    names = modality_names("collate", modalities)
    if not samples:
        raise DataError("collate: samples is empty; a batch needs at least one sample.")
    for sample in samples:
        for name in sample.inputs:
            check_known("collate", f"sample {sample.id!r}", name, names)
    inputs, masks, present = {}, {}, {}
    for name in names:
        rows = _rows(samples, name, None if widths is None else widths.get(name))
        lengths = torch.tensor([len(row) for row in rows])
        inputs[name] = pad_sequence(rows, batch_first=True)
        masks[name] = lengths_to_mask(lengths, inputs[name].shape[1])
        present[name] = lengths > 0
    return MultimodalBatch(inputs, masks, present, _stack_targets(samples), tuple(sample.id for sample in samples))


def _rows(samples: Sequence[MultimodalSample], name: str, width: int | None) -> list[Tensor]:
    """Return ``[T, d]`` per sample, ``[0, d]`` where the modality is missing."""
    found = [(sample.id, sample.inputs[name]) for sample in samples if name in sample.inputs]
    if not found and width is None:
        raise ModalityError(
            f"collate: no sample of the batch has {name!r}, so its width is unknown; give widths={{{name!r}: ...}}."
        )
    width = found[0][1].shape[-1] if width is None else width
    dtype = found[0][1].dtype if found else torch.get_default_dtype()
    for id_, x in found:
        check_width("collate", f"inputs[{name!r}] of sample {id_!r}", x, width)
        if x.dtype != dtype:
            raise DtypeError(
                f"collate: all samples must have {name!r} in one dtype, got {dtype} for sample {found[0][0]!r} and "
                f"{x.dtype} for sample {id_!r}; convert them to one dtype first."
            )
    empty = torch.zeros(0, width, dtype=dtype)
    return [sample.inputs.get(name, empty) for sample in samples]


def _stack_targets(samples: Sequence[MultimodalSample]) -> Tensor | None:
    targets = [sample.target for sample in samples if sample.target is not None]
    if not targets:
        return None
    if len(targets) < len(samples):
        without = next(sample.id for sample in samples if sample.target is None)
        raise DataError(f"collate: either all samples have a target or none, but sample {without!r} has none.")
    for sample, target in zip(samples, targets, strict=True):
        if target.shape != targets[0].shape:
            raise ShapeError(
                f"collate: all targets must have one shape, got {list(targets[0].shape)} for sample {samples[0].id!r} "
                f"and {list(target.shape)} for sample {sample.id!r}."
            )
        if target.dtype != targets[0].dtype:
            raise DtypeError(
                f"collate: all targets must have one dtype, got {targets[0].dtype} for sample {samples[0].id!r} and "
                f"{target.dtype} for sample {sample.id!r}."
            )
    return torch.stack(targets)
