"""A small model with the interface of the zoo: fast enough to train in a test, with dropout so that seeds matter."""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmdisentangle.data import MultimodalSample
from mmdisentangle.functional import masked_mean
from mmdisentangle.nn import GradientReversal


class ToyOutput(NamedTuple):
    prediction: Tensor
    pooled: Tensor


class ToyObjective(NamedTuple):
    total: Tensor
    task: Tensor
    adversarial: Tensor


class ToyModel(nn.Module):
    def __init__(
        self,
        *,
        modalities,
        num_outputs=1,
        task="regression",
        hidden_features=8,
        dropout=0.2,
        class_weights=None,
        target_location=0.0,
        target_scale=1.0,
    ):
        super().__init__()
        self.settings_given = {
            "modalities": dict(modalities),
            "num_outputs": num_outputs,
            "task": task,
            "hidden_features": hidden_features,
            "dropout": dropout,
        }
        self.task, self.class_weights = task, class_weights
        self.target_location, self.target_scale = target_location, target_scale
        self.encoders = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(2 * width, hidden_features), nn.ReLU(), nn.Dropout(dropout))
                for name, width in modalities.items()
            }
        )
        self.head = nn.Linear(hidden_features * len(modalities), num_outputs)
        self.reversal = GradientReversal(0.0)
        self.discriminator = nn.Linear(hidden_features * len(modalities), 1)

    def forward(self, inputs, masks=None, *, present=None):
        pooled = []
        for name, encoder in self.encoders.items():
            x = inputs[name]
            mask = masks[name] if masks is not None else torch.ones(x.shape[:2], dtype=torch.bool)
            moments = torch.cat([masked_mean(x, mask, 1), masked_mean(x * x, mask, 1)], -1)
            pooled.append(encoder(moments))
        features = torch.cat(pooled, -1)
        location, scale = torch.as_tensor(self.target_location), torch.as_tensor(self.target_scale)
        return ToyOutput(self.head(features) * scale + location, features)

    def objective(self, output, target):
        if self.task == "classification":
            weights = None if self.class_weights is None else torch.tensor(self.class_weights)
            task = nn.functional.cross_entropy(output.prediction, target, weights)
        elif self.task == "multilabel":
            task = nn.functional.binary_cross_entropy_with_logits(output.prediction, target)
        else:
            error = output.prediction - target.reshape(output.prediction.shape)
            task = (error / torch.as_tensor(self.target_scale)).square().mean()
        adversarial = self.discriminator(self.reversal(output.pooled)).square().mean()
        return ToyObjective(task + 0.1 * adversarial, task, adversarial)

    def save_pretrained(self, directory):
        from safetensors.torch import save_model

        (Path(directory) / "config.json").write_text(json.dumps(self.settings_given))
        save_model(self, str(Path(directory) / "model.safetensors"))


def jitter(sample, generator):
    noisy = {name: x + 0.1 * torch.randn(x.shape, generator=generator) for name, x in sample.inputs.items()}
    return MultimodalSample(noisy, sample.target, sample.id)
