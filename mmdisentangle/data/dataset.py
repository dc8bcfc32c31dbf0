"""A data set: samples in memory or on disk, the widths of their modalities, and what the target means."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.utils.data import Dataset

from mmdisentangle._core.checks import check_choice, check_count
from mmdisentangle._core.errors import DataError, DtypeError, ModalityError, ShapeError
from mmdisentangle._core.modalities import check_known, modality_names, modality_widths
from mmdisentangle.data.batch import MultimodalBatch, MultimodalSample, collate
from mmdisentangle.data.lazy import Changed, Chosen, LazySamples

Task: TypeAlias = Literal["regression", "classification", "multilabel"]
TASKS: tuple[str, ...] = get_args(Task)
# One array for all samples of a modality, or one [T, d] array per sample.
Arrays: TypeAlias = "Tensor | np.ndarray[Any, Any] | Sequence[Tensor | np.ndarray[Any, Any]]"


class MultimodalDataset(Dataset[MultimodalSample]):
    """Samples, with everything a model has to be told about them.

    Args:
        samples: the samples; every one is checked here, so that training does not stop half-way. ``LazySamples``, which
            ``load_shards`` gives, stay where they are: nothing is read before it is used, and every data set made from
            this one (``subset``, ``select``, ``map``) is a view.
        modalities: modality name to width, in the order that batches shall have.
        task: ``"regression"``, ``"classification"`` (int64 class indices) or ``"multilabel"`` (0/1 per label).
        num_outputs: number of classes, labels or regression outputs. Counted where None: from ``class_names``, or
            from the shape of the targets; a classification needs one of the two arguments.
        class_names: name of each class or label.
        groups: one name per sample, for instance the person it was recorded from; a validation split then keeps groups
            whole.
        name: name of the data set.

    Raises:
        DataError: targets that contradict the task; class_names or groups of the wrong length.
        DtypeError, ShapeError, ModalityError: a sample that contradicts ``modalities``.

    Numerics:
        NaN and infinities in the inputs are passed through unchanged.

    Example:
        >>> data = MultimodalDataset.from_arrays(
        ...     {"a": torch.zeros(4, 5, 2), "b": torch.zeros(4, 9, 3)}, torch.tensor([0, 1, 1, 0]),
        ...     task="classification", class_names=("rest", "walk"))
        >>> data
        MultimodalDataset(name='data', samples=4, modalities={'a': 2, 'b': 3}, task='classification', num_outputs=2)
        >>> len(data.subset([0, 2]))
        2
    """

    def __init__(
        self,
        samples: Sequence[MultimodalSample],
        *,
        modalities: Mapping[str, int],
        task: Task = "regression",
        num_outputs: int | None = None,
        class_names: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        name: str = "data",
    ) -> None:
        check_choice("MultimodalDataset", "task", task, TASKS)
        self.samples = samples if isinstance(samples, LazySamples) else tuple(samples)
        self.modalities = modality_widths("MultimodalDataset", modalities)
        self.task = task
        self.class_names = None if class_names is None else tuple(str(name) for name in class_names)
        self.groups = None if groups is None else tuple(str(group) for group in groups)
        self.name = name
        if self.groups is not None and len(self.groups) != len(self.samples):
            raise DataError(
                f"MultimodalDataset: groups must name one group per sample, got {len(self.groups)} for "
                f"{len(self.samples)} samples."
            )
        self.num_outputs = self._count_outputs(num_outputs)
        if not isinstance(self.samples, LazySamples):
            self._check_samples()

    @classmethod
    def from_arrays(
        cls,
        inputs: Mapping[str, Arrays],
        target: Tensor | np.ndarray[Any, Any] | None = None,
        *,
        lengths: Mapping[str, Sequence[int] | Tensor | np.ndarray[Any, Any]] | None = None,
        ids: Sequence[str] | None = None,
        **settings: Any,
    ) -> Self:
        """Build a data set from arrays.

        Args:
            inputs: modality name to ``[N, T, d]``, or to N arrays ``[T_n, d]``. NumPy's float64, which it makes
                unasked, becomes torch's default dtype, that of new models; tensors and other arrays keep theirs.
            target: ``[N]`` or ``[N, num_outputs]``.
            lengths: for a modality given as ``[N, T, d]``, the number of real frames of each sample, counted from
                the first; 0 = missing. The rest is cut off.
            ids: name of each sample; ``"0"``, ``"1"``, ... where None.
            **settings: task, num_outputs, class_names, groups and name, as above.

        Raises:
            ModalityError: lengths names an unknown modality.
            ShapeError, DtypeError: arrays that do not fit each other.
        """
        names = modality_names("MultimodalDataset.from_arrays", inputs)
        sequences = {name: _as_sequences(name, inputs[name]) for name in names}
        count = len(sequences[names[0]])
        for name in names:
            if len(sequences[name]) != count:
                raise ShapeError(
                    f"MultimodalDataset.from_arrays: all modalities must have the same number of samples, got {count} "
                    f"for {names[0]!r} and {len(sequences[name])} for {name!r}."
                )
        for name, given in (lengths or {}).items():
            check_known("MultimodalDataset.from_arrays", "lengths", name, names)
            sequences[name] = _cut(name, sequences[name], torch.as_tensor(given))
        targets = None if target is None else _as_tensor(target)
        for label, value in (("target", targets), ("ids", ids)):
            if value is not None and len(value) != count:
                raise ShapeError(
                    f"MultimodalDataset.from_arrays: {label} must have one entry per sample, got {len(value)} for "
                    f"{count} samples."
                )
        samples = [
            MultimodalSample(
                {name: sequences[name][index] for name in names},
                None if targets is None else targets[index],
                str(index) if ids is None else str(ids[index]),
            )
            for index in range(count)
        ]
        if not samples:
            raise DataError("MultimodalDataset.from_arrays: inputs hold no sample, so the widths are unknown.")
        return cls(samples, modalities={name: sequences[name][0].shape[-1] for name in names}, **settings)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> MultimodalSample:
        return self.samples[index]

    def __iter__(self) -> Iterator[MultimodalSample]:
        return iter(self.samples)

    def __repr__(self) -> str:
        return (
            f"MultimodalDataset(name={self.name!r}, samples={len(self)}, modalities={self.modalities}, "
            f"task={self.task!r}, num_outputs={self.num_outputs})"
        )

    @property
    def targets(self) -> Shaped[Tensor, "N ..."]:
        """All targets, stacked. Raises DataError where there is no sample, or one has none."""
        if isinstance(self.samples, LazySamples):
            known = self.samples.targets()
            targets = [] if known is None else list(known)
        else:
            targets = [sample.target for sample in self.samples if sample.target is not None]
        if not targets or len(targets) < len(self.samples):
            raise DataError(
                f"data set {self.name!r}: {len(self) - len(targets)} of {len(self)} samples have a target of None."
            )
        return torch.stack(targets)

    @property
    def ids(self) -> tuple[str, ...]:
        """The name of every sample, without reading a frame."""
        if isinstance(self.samples, LazySamples):
            return self.samples.ids()
        return tuple(sample.id for sample in self.samples)

    def find_without_target(self) -> str | None:
        """Return the name of the first sample without a target; None where all have one."""
        if isinstance(self.samples, LazySamples):
            return self.samples.ids()[0] if len(self) and self.samples.targets() is None else None
        return next((sample.id for sample in self.samples if sample.target is None), None)

    def find_not_finite(self) -> tuple[str, str] | None:
        """Return sample and modality of the first NaN or infinity; None where there is none.

        Reads everything, except where that was done when the samples were written.
        """
        if isinstance(self.samples, LazySamples) and self.samples.finite:
            return None
        for sample in self.samples:
            for name, x in sample.inputs.items():
                if not bool(torch.isfinite(x).all()):
                    return sample.id, name
        return None

    def collate(self, samples: Sequence[MultimodalSample]) -> MultimodalBatch:
        """Pad and stack samples of this data set; the ``collate_fn`` of a data loader."""
        return collate(samples, modalities=tuple(self.modalities), widths=self.modalities)

    def subset(self, indices: Sequence[int] | Tensor) -> Self:
        """Return the data set with the samples at ``indices``, in that order."""
        chosen = [int(index) for index in indices]
        groups = None if self.groups is None else [self.groups[index] for index in chosen]
        if isinstance(self.samples, LazySamples):
            return self._with(Chosen(self.samples, chosen), self.modalities, groups)
        return self._with([self.samples[index] for index in chosen], self.modalities, groups)

    def select(self, modalities: Sequence[str]) -> Self:
        """Return the data set with these modalities only, in this order."""
        names = modality_names("MultimodalDataset.select", modalities)
        for name in names:
            check_known("MultimodalDataset.select", "modalities", name, tuple(self.modalities))
        keep = partial(_keep_modalities, names)
        samples: Sequence[MultimodalSample]
        if isinstance(self.samples, LazySamples):
            samples = Changed(self.samples, keep, name=f"select {names}", finite=True)
        else:
            samples = [keep(sample) for sample in self.samples]
        return self._with(samples, {name: self.modalities[name] for name in names}, self.groups)

    def map(self, change: Callable[[MultimodalSample], MultimodalSample]) -> Self:
        """Return the data set with every sample through a function that leaves its target and id alone.

        In memory the function is called here, once per sample. On disk it is called whenever a sample is read; loaders
        with several processes then want a function that can be pickled.
        """
        if isinstance(self.samples, LazySamples):
            return self.with_samples(Changed(self.samples, change))
        return self.with_samples([change(sample) for sample in self.samples])

    def with_samples(self, samples: Sequence[MultimodalSample]) -> Self:
        """Return the data set with other samples of the same kind, one for each, for instance standardised ones."""
        return self._with(samples, self.modalities, self.groups)

    def _with(
        self, samples: Sequence[MultimodalSample], modalities: Mapping[str, int], groups: Sequence[str] | None
    ) -> Self:
        return type(self)(
            samples,
            modalities=modalities,
            task=self.task,
            num_outputs=self.num_outputs,
            class_names=self.class_names,
            groups=groups,
            name=self.name,
        )

    def _count_outputs(self, num_outputs: int | None) -> int:
        if num_outputs is not None:
            check_count("MultimodalDataset", "num_outputs", num_outputs)
        named = None if self.class_names is None else len(self.class_names)
        if named is not None and num_outputs not in (None, named):
            raise DataError(f"MultimodalDataset: class_names has {named} names, but num_outputs is {num_outputs}.")
        if num_outputs is not None or named is not None:
            return num_outputs or named or 1
        if self.task == "classification":
            raise DataError(
                "MultimodalDataset: give class_names or num_outputs for a classification; "
                "counting the classes that happen to occur would miss absent ones."
            )
        first = next((sample.target for sample in self.samples if sample.target is not None), None)
        return 1 if first is None or first.ndim == 0 else len(first)

    def _check_samples(self) -> None:
        for sample in self.samples:
            where = f"data set {self.name!r}, sample {sample.id!r}"
            for name, x in sample.inputs.items():
                if name not in self.modalities:
                    raise ModalityError(f"{where}: unknown modality {name!r}; expected {list(self.modalities)}.")
                if x.shape[-1] != self.modalities[name]:
                    raise ShapeError(
                        f"{where}: {name!r} must have {self.modalities[name]} features on its last axis, "
                        f"got shape {list(x.shape)}."
                    )
            if sample.target is not None:
                self._check_target(where, sample.target)

    def _check_target(self, where: str, target: Tensor) -> None:
        if self.task == "classification":
            if target.dtype != torch.int64 or target.ndim:
                raise DataError(
                    f"{where}: the target of a classification must be a 0-dim int64 class index, "
                    f"got {target.dtype} of shape {list(target.shape)}."
                )
            if not 0 <= int(target) < self.num_outputs:
                raise DataError(f"{where}: the class index must be in 0..{self.num_outputs - 1}, got {int(target)}.")
        else:
            if not target.is_floating_point():
                raise DtypeError(
                    f"{where}: the target of a {self.task} must be floating point, got {target.dtype}; "
                    "convert it, or set task='classification' if these are class indices."
                )
            if tuple(target.shape) not in ({(), (1,)} if self.num_outputs == 1 else {(self.num_outputs,)}):
                raise ShapeError(
                    f"{where}: the target must have {self.num_outputs} values, got shape {list(target.shape)}."
                )
            if self.task == "multilabel" and not bool(((target == 0) | (target == 1)).all()):
                raise DataError(
                    f"{where}: the target of a multilabel task must hold 0 and 1 only, got {target.tolist()}."
                )


def _keep_modalities(names: tuple[str, ...], sample: MultimodalSample) -> MultimodalSample:
    return MultimodalSample({m: sample.inputs[m] for m in names if m in sample.inputs}, sample.target, sample.id)


def _as_sequences(name: str, values: Arrays) -> list[Tensor]:
    where = f"MultimodalDataset.from_arrays: inputs[{name!r}]"
    if isinstance(values, (Tensor, np.ndarray)) and values.ndim != 3:
        raise ShapeError(f"{where} must have shape [N, T, d], got {list(values.shape)}.")
    sequences = list(_as_tensor(values) if isinstance(values, np.ndarray) else values)
    tensors = [_as_tensor(x) for x in sequences]
    for index, x in enumerate(tensors):
        if not x.is_floating_point():
            raise DtypeError(
                f"{where} must be floating point, got {x.dtype} for sample {index}; convert it to float32."
            )
        if x.ndim != 2 or x.shape[-1] != tensors[0].shape[-1]:
            raise ShapeError(
                f"{where} must hold sequences [T, {tensors[0].shape[-1]}], got {list(x.shape)} for sample {index}."
            )
    return tensors


def _as_tensor(values: Any) -> Tensor:
    unasked = isinstance(values, np.ndarray) and values.dtype == np.float64
    return torch.as_tensor(values, dtype=torch.get_default_dtype() if unasked else None)


def _cut(name: str, sequences: list[Tensor], lengths: Tensor) -> list[Tensor]:
    where = f"MultimodalDataset.from_arrays: lengths[{name!r}]"
    if lengths.is_floating_point() or lengths.ndim != 1 or len(lengths) != len(sequences):
        raise ShapeError(
            f"{where} must be {len(sequences)} integers, got {lengths.dtype} of shape {list(lengths.shape)}."
        )
    for index, (x, length) in enumerate(zip(sequences, lengths.tolist(), strict=True)):
        if not 0 <= length <= len(x):
            raise DataError(f"{where} must be in 0..{len(x)}, got {length} for sample {index}.")
    return [x[:length] for x, length in zip(sequences, lengths.tolist(), strict=True)]
