"""Baselines with the interface of the zoo: late fusion of encoders, which with one modality is a plain classifier."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmdisentangle.functional import masked_mean
from mmdisentangle.models._task import TaskTerm
from mmdisentangle.nn import TemporalConvEncoder
from mmdisentangle.nn._modality_modules import ModalityModules


class LateFusionOutput(NamedTuple):
    prediction: Tensor


class LateFusionObjective(NamedTuple):
    total: Tensor
    task: Tensor


class LateFusion(nn.Module):
    """RTIL's encoder for every modality, mean and maximum over real frames, concatenation, one hidden layer.

    A missing modality counts as zeros; whether that is told from a real code is up to the hidden layer.
    """

    def __init__(
        self,
        modalities: Mapping[str, int],
        num_outputs: int,
        *,
        task: Any = "classification",
        hidden_features: int = 64,
        head_features: int = 128,
        encoder_blocks: int = 4,
        head_dropout: float = 0.3,
        **task_settings: Any,
    ) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        self.encoders = ModalityModules(
            {
                name: TemporalConvEncoder(width, hidden_features, num_blocks=encoder_blocks)
                for name, width in modalities.items()
            }
        )
        self.head = nn.Sequential(
            nn.Dropout(head_dropout),
            nn.Linear(2 * hidden_features * len(self.modalities), head_features),
            nn.GELU(),
            nn.Dropout(head_dropout),
            nn.Linear(head_features, num_outputs),
        )
        self.task_term = TaskTerm(task, num_outputs, **task_settings)

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        *,
        present: Mapping[str, Tensor] | None = None,
    ) -> LateFusionOutput:
        pooled = []
        for name in self.modalities:
            mask = masks[name]
            code = self.encoders[name](inputs[name], mask)
            # An empty row has no largest frame; it counts as zero, like its mean.
            largest = code.masked_fill(~mask.unsqueeze(-1), -torch.inf)
            largest = largest.amax(1) if mask.shape[1] else code.sum(1)
            pooled += [masked_mean(code, mask, 1), torch.where(mask.any(1, keepdim=True), largest, 0.0)]
        return LateFusionOutput(self.task_term.in_units(self.head(torch.cat(pooled, -1))))

    def objective(self, output: LateFusionOutput, target: Tensor) -> LateFusionObjective:
        task = self.task_term(output.prediction, target)
        return LateFusionObjective(task, task)
