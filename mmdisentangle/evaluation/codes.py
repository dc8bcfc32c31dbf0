"""Codes of a data set as an evaluation of disentanglement wants them: a vector a sample, and how they move in time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from mmdisentangle._core.errors import DataError, DtypeError, ModalityError, ShapeError
from mmdisentangle._core.modalities import check_known, check_mapping, modality_names
from mmdisentangle.data.batch import MultimodalBatch
from mmdisentangle.data.dataset import MultimodalDataset, Task
from mmdisentangle.data.loading import evaluation_loader
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.evaluation.prediction import evaluating, run_model
from mmdisentangle.functional import masked_mean

Floats: TypeAlias = NDArray[np.float64]
PARTS = ("shared", "private")


@dataclass(frozen=True)
class Codes:
    """Codes of N samples.

    Args:
        shared: modality name to ``[N, D]``; codes over frames are averaged over the real ones.
        private: likewise.
        present: modality name to ``[N]``, False where the sample lacks the modality; its codes count nowhere.
        change: part (``"shared"``, ``"private"``, ``"input"``) and modality to the relative change between neighbouring
            frames: mean squared difference over twice the variance of all frames. 0: constant in time; 1: as different
            as any two frames. Empty where codes have no frames.
        targets: ``[N]`` or ``[N, K]``; None where unknown.
        task: kind of the target.
        groups: ``[N]``, for instance persons; None where every sample is its own.
    """

    shared: dict[str, Floats]
    private: dict[str, Floats]
    present: dict[str, NDArray[np.bool_]]
    change: dict[str, dict[str, float]] = field(default_factory=dict)
    targets: NDArray[Any] | None = None
    task: Task = "regression"
    groups: NDArray[Any] | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names, in the order of ``shared``."""
        return tuple(self.shared)

    def part(self, name: str) -> dict[str, Floats]:
        """Return ``shared`` or ``private``."""
        return self.shared if name == "shared" else self.private

    def joined(self, part: str) -> Floats:
        """Codes of all modalities side by side, ``[N, sum of widths]``; that of a random sample where one is missing.

        So what is read from them is what codes say, not which modalities are there.
        """
        random = np.random.default_rng(0)
        blocks = []
        for modality, code in self.part(part).items():
            here = self.present[modality]
            filled = np.zeros_like(code)
            if here.any():
                filled = code[random.choice(np.flatnonzero(here), len(code))]
            blocks.append(np.where(here[:, None], code, filled))
        return np.concatenate(blocks, axis=1)


def codes_of_tensors(
    shared: Mapping[str, Any],
    private: Mapping[str, Any],
    *,
    masks: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    targets: ArrayLike | Tensor | None = None,
    task: Task = "regression",
    groups: Sequence[Any] | None = None,
) -> Codes:
    """Prepare plain tensors or arrays.

    Args:
        shared: modality name to ``[N, D]`` or ``[N, T, D]``.
        private: the same modalities.
        masks: modality name to ``[N]`` or ``[N, T]``, True = real. A sample without a real frame lacks the modality.
        inputs: modality name to ``[N, T, d]``, to compare changes between frames with.
        targets: ``[N]`` or ``[N, K]``.
        task: kind of the target.
        groups: one name a sample.

    Raises:
        ModalityError: the parts have other modalities.
        ShapeError: numbers of samples or shapes of masks differ.
        DataError: NaN or infinities where the mask says real.
    """
    where = "leakage"
    check_mapping(where, "shared", shared)
    check_mapping(where, "private", private)
    names = modality_names(where, shared, least=2)
    if set(private) != set(names):
        raise ModalityError(f"{where}: private must have the modalities of shared, {list(names)}, got {list(private)}.")
    for name in (*(masks or ()), *(inputs or ())):
        check_known(where, "masks or inputs", name, names)
    tally = _Tally(names)
    batch = {
        "shared": {name: _tensor(shared[name]) for name in names},
        "private": {name: _tensor(private[name]) for name in names},
        "input": {name: _tensor(x) for name, x in (inputs or {}).items()},
    }
    counts = {len(x) for part in batch.values() for x in part.values()}
    if len(counts) != 1:
        raise ShapeError(f"{where}: all codes and inputs must have the same number of samples, got {sorted(counts)}.")
    if 0 in counts:
        raise DataError(f"{where}: there is no sample.")
    tally.add(batch, {name: _mask(name, mask, next(iter(counts))) for name, mask in (masks or {}).items()})
    known = None if targets is None else as_numbers("targets", targets)
    for label, values in (("targets", known), ("groups", groups)):
        if values is not None and len(values) != next(iter(counts)):
            raise ShapeError(f"{where}: {label} must have one entry a sample, {next(iter(counts))}, got {len(values)}.")
    return tally.codes(known, task, groups)


def collect_codes(
    model: nn.Module,
    data: MultimodalDataset | Iterable[MultimodalBatch],
    *,
    standardizer: Standardizer | None = None,
    task: Task | None = None,
    groups: Sequence[Any] | None = None,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
) -> Codes:
    """Run a model over data and keep what an evaluation of its codes needs: memory does not grow with the frames.

    Args:
        model: called as ``model(inputs, masks, present=...)``; its output has ``shared`` and ``private``. Its mode is
            restored.
        data: a data set, or batches of one in order.
        standardizer: the one fitted in training; for a data set only.
        task: kind of the target; where None the data set's own, classification for integer targets of batches.
        groups: one name a sample; the data set's own where None.
        batch_size: samples at a time.
        device: where to compute.

    Raises:
        DataError: there is no sample, or the model's output has no codes.
    """
    batches: Iterable[Any] = data
    behind = getattr(data, "dataset", None)
    if isinstance(behind, MultimodalDataset):
        # A loader of a data set; its order of samples is not known, so that groups must be given.
        task = behind.task if task is None else task
    if isinstance(data, MultimodalDataset):
        task = data.task if task is None else task
        groups = data.groups if groups is None else groups
        batches = evaluation_loader(data if standardizer is None else standardizer.apply(data), batch_size)
    tally: _Tally | None = None
    targets = []
    with evaluating(model.to(device)):
        for batch in batches:
            moved = batch.to(device)
            output = run_model(model, moved)
            if not hasattr(output, "shared") or not hasattr(output, "private"):
                raise DataError(
                    "leakage: the output of the model has no shared and private codes; give the codes themselves, "
                    "leakage(shared, private)."
                )
            tally = _Tally(tuple(output.shared)) if tally is None else tally
            masks = {name: mask & moved.present[name].unsqueeze(1) for name, mask in moved.masks.items()}
            tally.add({"shared": output.shared, "private": output.private, "input": moved.inputs}, masks)
            targets.append(batch.target)
    if tally is None:
        raise DataError("leakage: there is no sample.")
    known = [target for target in targets if target is not None]
    joined = as_numbers("targets", torch.cat(known)) if len(known) == len(targets) else None
    kind: Task = task or ("classification" if joined is not None and joined.dtype.kind in "iub" else "regression")
    return tally.codes(joined, kind, groups)


class _Tally:
    """Averages over frames of every sample, and sums that tell how much frames change."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.means: dict[str, dict[str, list[Tensor]]] = {part: {m: [] for m in names} for part in PARTS}
        self.present: dict[str, list[Tensor]] = {m: [] for m in names}
        self.moments: dict[tuple[str, str], _Moments] = {}

    def add(self, batch: Mapping[str, Mapping[str, Tensor]], masks: Mapping[str, Tensor]) -> None:
        """Add a batch of codes and inputs by part and modality, ``[B, D]`` or ``[B, T, D]``."""
        for part, codes in batch.items():
            for name, x in codes.items():
                mask = masks.get(name)
                here = torch.ones(len(x), dtype=torch.bool) if mask is None else mask
                frames = x.double().cpu()
                here = here.cpu()
                if frames.ndim == 3:
                    if here.ndim == 1:
                        here = here.unsqueeze(1).expand(frames.shape[:2])
                    if here.shape != frames.shape[:2]:
                        raise ShapeError(
                            f"leakage: the mask of {name!r} must be {list(frames.shape[:2])}, got {list(here.shape)}."
                        )
                    self.moments.setdefault((part, name), _Moments()).add(frames, here)
                    pooled, exists = masked_mean(frames, here, 1), here.any(1)
                else:
                    exists = here if here.ndim == 1 else here.any(1)
                    pooled = torch.where(exists.unsqueeze(1), frames, 0.0)
                if part in PARTS:
                    if not pooled.isfinite().all():
                        raise DataError(f"leakage: the {part} codes of {name!r} hold NaN or infinities.")
                    self.means[part][name].append(pooled)
                    if part == "shared":
                        self.present[name].append(exists)

    def codes(self, targets: NDArray[Any] | None, task: Task, groups: Sequence[Any] | None) -> Codes:
        """Return what was added."""
        shared, private = ({m: torch.cat(x).numpy() for m, x in self.means[part].items()} for part in PARTS)
        present = {m: torch.cat(x).numpy() for m, x in self.present.items()}
        change: dict[str, dict[str, float]] = {}
        for (part, name), moments in self.moments.items():
            change.setdefault(part, {})[name] = moments.change()
        names = None if groups is None else np.asarray(groups)
        return Codes(shared, private, present, change, targets, task, names)


class _Moments:
    """Sums over frames and over pairs of neighbouring real frames."""

    def __init__(self) -> None:
        self.frames = self.pairs = 0.0
        self.first = self.second = torch.zeros(())
        self.steps = torch.zeros(())

    def add(self, x: Tensor, mask: Tensor) -> None:
        x = torch.where(mask.unsqueeze(-1), x, 0.0)
        both = (mask[:, 1:] & mask[:, :-1]).unsqueeze(-1)
        self.frames += float(mask.sum())
        self.pairs += float(both.sum())
        self.first = self.first + x.sum((0, 1))
        self.second = self.second + x.square().sum((0, 1))
        self.steps = self.steps + torch.where(both, x.diff(dim=1), 0.0).square().sum()

    def change(self) -> float:
        """Mean squared step over twice the variance; NaN without pairs or without variance."""
        if self.frames < 2 or self.pairs == 0:
            return float("nan")
        mean = self.first / self.frames
        variance = float((self.second / self.frames - mean.square()).clamp(min=0).sum())
        scale = float(self.second.sum()) / self.frames
        # What is no more than rounding is no variance.
        if variance <= scale * torch.finfo(torch.float64).eps * self.frames:
            return float("nan")
        return float(self.steps) / self.pairs / (2 * variance)


def as_numbers(name: str, values: Any) -> NDArray[Any]:
    """Return targets or factors as an array ``[N]`` or ``[N, K]`` of numbers, integers still being integers.

    Raises:
        DtypeError: they are no numbers.
        ShapeError: they have no or more than two axes; or one column too many for classes.
    """
    if isinstance(values, Tensor):
        tensor = values.detach().cpu()
        array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    else:
        array = np.asarray(values)
    if array.dtype.kind not in "iubf":
        raise DtypeError(f"leakage: {name} must be numbers, class indices for classes, got {array.dtype}.")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] == 0):
        raise ShapeError(f"leakage: {name} must be [N] or [N, K], got shape {list(array.shape)}.")
    return array


def _mask(name: str, mask: Any, count: int) -> Tensor:
    tensor = mask.detach() if isinstance(mask, Tensor) else torch.as_tensor(np.asarray(mask))
    if tensor.dtype != torch.bool:
        raise DtypeError(f"leakage: masks[{name!r}] must be boolean, True = real, got {tensor.dtype}.")
    if tensor.ndim not in (1, 2) or len(tensor) != count:
        raise ShapeError(
            f"leakage: masks[{name!r}] must be [N] or [N, T] with N = {count}, got shape {list(tensor.shape)}."
        )
    return tensor


def _tensor(x: Any) -> Tensor:
    tensor = x.detach() if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
    if tensor.ndim not in (2, 3) or tensor.shape[-1] == 0:
        raise ShapeError(f"leakage: codes and inputs must be [N, D] or [N, T, D], got shape {list(tensor.shape)}.")
    return tensor
