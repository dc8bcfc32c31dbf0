"""Where the real frames of a padded sequence are: found from the zeros, checked against declared lengths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.readers._raw import Array, RawSplit


@dataclass
class Windows:
    """The real frames of one modality: ``start[n]:stop[n]``, none where the modality is missing.

    Args:
        start, stop, total: ``[N]`` integers.
        declared: whether the file declares the lengths.
        beyond: ``[N]``, how many frames with values lie outside the declared length.
        too_long: how many declared lengths are longer than the array.
    """

    start: Array
    stop: Array
    total: Array
    declared: bool
    beyond: Array
    too_long: int = 0

    @property
    def lengths(self) -> Array:
        return self.stop - self.start

    @property
    def padding(self) -> str:
        """On which side frames are cut away: left, right, mixed or none."""
        present = self.lengths > 0
        left = bool((self.start[present] > 0).any())
        right = bool((self.stop[present] < self.total[present]).any())
        return "mixed" if left and right else "left" if left else "right" if right else "none"


def is_aligned(split: RawSplit, modalities: Sequence[str]) -> bool:
    """Tell whether frame t is the same word in all modalities: they have equal lengths, and none is declared."""
    # Objects that are no arrays are refused, with a sentence, where the shapes are checked.
    totals = [
        [x.shape[:1] if isinstance(x, np.ndarray) else () for x in split.inputs[name]]
        for name in modalities
        if name in split.inputs
    ]
    return len(totals) > 1 and not split.lengths and all(total == totals[0] for total in totals)


def find_windows(where: str, split: RawSplit, *, padded: bool) -> dict[str, Windows]:
    """Return the real frames of every modality.

    Aligned modalities are cut at the same frames, where the first of them begins and the last of them ends.
    """
    real = {name: [(x != 0).any(1) for x in sequences] for name, sequences in split.inputs.items()}
    if not padded:
        return {name: _whole(where, name, masks, split.lengths.get(name)) for name, masks in real.items()}
    if split.aligned:
        together = [np.logical_or.reduce(masks) for masks in zip(*real.values(), strict=True)]
        return {name: _found(masks, together) for name, masks in real.items()}
    return {
        name: _declared(where, name, masks, split.lengths[name]) if name in split.lengths else _found(masks, masks)
        for name, masks in real.items()
    }


def _whole(where: str, name: str, masks: Sequence[Array], declared: Array | None) -> Windows:
    total = np.array([len(mask) for mask in masks])
    lengths = total if declared is None else check_lengths(where, name, declared)
    if (lengths > total).any():
        sample = int((lengths > total).argmax())
        raise DataError(
            f"{where}: the lengths of {name!r} must be in 0..{total[sample]}, got {lengths[sample]} for sample "
            f"{sample}."
        )
    beyond = np.array([int(mask[length:].sum()) for mask, length in zip(masks, lengths, strict=True)])
    return Windows(np.zeros_like(total), lengths, total, declared is not None, beyond)


def _found(masks: Sequence[Array], together: Sequence[Array]) -> Windows:
    ends = np.array(
        [_ends(both) if mask.any() else (0, 0) for mask, both in zip(masks, together, strict=True)]
    ).reshape(-1, 2)
    total = np.array([len(mask) for mask in masks])
    return Windows(ends[:, 0], ends[:, 1], total, False, np.zeros_like(total))


def _ends(mask: Array) -> tuple[int, int]:
    return int(mask.argmax()), len(mask) - int(mask[::-1].argmax())


def _declared(where: str, name: str, masks: Sequence[Array], declared: Array) -> Windows:
    total = np.array([len(mask) for mask in masks])
    given = check_lengths(where, name, declared)
    lengths = np.minimum(given, total)
    # A declared length leaves two places for the real frames: the first ones, or the last ones behind left padding. The
    # place that leaves fewer frames with values outside is the right one; a draw goes the way of the other samples.
    behind = np.array([int(mask[length:].sum()) for mask, length in zip(masks, lengths, strict=True)])
    before = np.array([int(mask[: len(mask) - length].sum()) for mask, length in zip(masks, lengths, strict=True)])
    favour = np.sign(behind - before)
    left = np.where(favour == 0, favour.sum() > 0, favour > 0)
    missing = np.array([not mask.any() for mask in masks])
    lengths = np.where(missing, 0, lengths)
    start = np.where(left & ~missing, total - lengths, 0)
    return Windows(
        start, start + lengths, total, True, np.where(left, before, behind), too_long=int((given > total).sum())
    )


def check_lengths(where: str, name: str, declared: Array) -> Array:
    """Return declared lengths as integers."""
    if declared.ndim == 1 and declared.dtype.kind in "iuf":
        numbers = declared.astype(np.float64)
        if bool(((numbers >= 0) & (numbers < 2**53) & (numbers == np.floor(numbers))).all()):
            return numbers.astype(np.int64)
    raise DataError(f"{where}: the lengths of {name!r} must be one integer of at least 0 per sample.")


def length_table(lengths: Array) -> Mapping[str, float] | None:
    """Return the least, the median and the greatest length of the samples that have the modality."""
    present = lengths[lengths > 0]
    if not len(present):
        return None
    return {"min": int(present.min()), "median": float(np.median(present)), "max": int(present.max())}
