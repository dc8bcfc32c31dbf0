"""What is left when a model knows nothing."""

from collections.abc import Sequence

import torch

from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.evaluation.prediction import Predictions


def constant_scores(dataset: MultimodalDataset, metrics: Sequence[str] | None = None) -> dict[str, float]:
    """Return the scores of the best constant answer: most frequent class, labels of the majority, median target."""
    targets = dataset.targets
    if dataset.task == "classification":
        answer = torch.nn.functional.one_hot(targets.mode().values, dataset.num_outputs).float()
    elif dataset.task == "multilabel":
        answer = targets.reshape(len(targets), -1).mean(0) - 0.5
    else:
        answer = targets.reshape(len(targets), -1).median(0).values
    answers = answer.expand(len(targets), dataset.num_outputs)
    return Predictions(answers, targets, dataset.ids, dataset.task, dataset.class_names).scores(metrics)
