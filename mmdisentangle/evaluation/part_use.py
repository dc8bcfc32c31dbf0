"""What shared and private codes are worth to a trained model: its score when one part is that of other samples."""

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmdisentangle._core.errors import SettingError
from mmdisentangle.data.batch import MultimodalBatch
from mmdisentangle.data.dataset import MultimodalDataset, Task
from mmdisentangle.data.loading import evaluation_loader
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.evaluation.codes import PARTS
from mmdisentangle.evaluation.leakage_result import PartUse
from mmdisentangle.evaluation.prediction import evaluating, run_model
from mmdisentangle.evaluation.scores import TaskScores


def use_by_model(
    model: nn.Module,
    data: MultimodalDataset | Iterable[MultimodalBatch],
    *,
    standardizer: Standardizer | None = None,
    task: Task,
    draws: int = 10,
    batch_size: int = 256,
    seed: int = 0,
) -> tuple[PartUse, ...] | None:
    """Score a model with its own codes, then with each part's codes of other samples of the batch.

    Args:
        model: of the zoo, or with a method ``register_code_hook`` like theirs.
        data: a data set (its samples are put into random batches), or batches that can be read several times.
        standardizer: the one fitted in training, for a data set.
        task: kind of the target.
        draws: number of random exchanges.
        batch_size: samples among which codes are exchanged, for a data set.
        seed: of the exchanges.

    Returns:
        One entry a part; None for a model that does not let its codes be changed, and for batches of one sample.
    """
    if not _lets_codes_be_changed(model):
        return None
    batches: Iterable[Any] = data
    if isinstance(data, MultimodalDataset):
        # Recordings are often sorted by class; codes of the same class would change nothing.
        chosen = data.subset(np.random.default_rng(seed).permutation(len(data)).tolist())
        batches = evaluation_loader(chosen if standardizer is None else standardizer.apply(chosen), batch_size)
    if max((len(batch) for batch in batches), default=0) < 2:
        return None
    metric, own = _score(model, batches, task)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for part in PARTS:
        scores = []
        for _ in range(draws):
            handle = model.register_code_hook(_Exchange(part, generator))  # type: ignore[operator]
            try:
                scores.append(_score(model, batches, task)[1])
            finally:
                handle.remove()
        deviation = statistics.stdev(scores) if draws > 1 else 0.0
        found.append(PartUse(part, metric, own, statistics.fmean(scores), deviation, draws, math.nan, "model"))
    return tuple(found)


def _lets_codes_be_changed(model: Any) -> bool:
    if not hasattr(model, "register_code_hook"):
        return False
    try:
        model.register_code_hook(lambda shared, private, masks: (shared, private)).remove()
    except SettingError:
        # A model of the zoo that does not split its codes.
        return False
    return True


def _score(model: nn.Module, batches: Iterable[Any], task: Task) -> tuple[str, float]:
    """Name and value of the task's first score."""
    scores: TaskScores | None = None
    with evaluating(model):
        for batch in batches:
            prediction = run_model(model, batch).prediction
            if scores is None:
                scores = TaskScores(task, prediction.shape[-1], sync=False)
            scores.update(prediction.float().cpu(), batch.target)
    assert scores is not None
    return next((name, float(value)) for name, value in scores.compute().items())


class _Exchange:
    """Give every sample of a batch the codes of another one, stretched to its own number of frames."""

    def __init__(self, part: str, generator: torch.Generator) -> None:
        self.part, self.generator = part, generator

    def __call__(
        self, shared: dict[str, Tensor], private: dict[str, Tensor], masks: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        codes = shared if self.part == "shared" else private
        size = len(next(iter(codes.values())))
        # A rotation of a random order: nobody keeps its own.
        order = torch.randperm(size, generator=self.generator)
        donor = torch.empty_like(order)
        donor[order] = order.roll(1)
        changed = {name: _stretched(code, donor.to(code.device), masks.get(name)) for name, code in codes.items()}
        return (changed, private) if self.part == "shared" else (shared, changed)


def _stretched(code: Tensor, donor: Tensor, mask: Tensor | None) -> Tensor:
    """Codes of the donors, whose real frames are spread over the real frames of the receivers."""
    if code.ndim == 2 or mask is None or mask.ndim == 1:
        return code[donor]
    count = mask.sum(1)
    # Indices of the real frames come first, in their order.
    real = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
    position = (mask.cumsum(1) - 1).clamp(min=0)
    taken = (position * count[donor].unsqueeze(1)) // count.clamp(min=1).unsqueeze(1)
    frames = real[donor].gather(1, taken.clamp(max=mask.shape[1] - 1))
    chosen = code[donor].gather(1, frames.unsqueeze(-1).expand_as(code))
    valid = mask & (count[donor] > 0).unsqueeze(1)
    return torch.where(valid.unsqueeze(-1), chosen, 0.0)
