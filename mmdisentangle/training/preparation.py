"""What comes before a training: checks, the split, standardisation, the model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from mmdisentangle._core.errors import DataError, SettingError
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.degradation import AddNoise, DropModalities, Transform, check_modalities
from mmdisentangle.data.split import train_validation_split
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.evaluation.scores import SCORE_NAMES, resolve_metrics
from mmdisentangle.models import create_model
from mmdisentangle.training.config import Config


@dataclass(frozen=True)
class Parts:
    """Training and validation data as the model sees them, and what standardised them."""

    training: MultimodalDataset
    validation: MultimodalDataset | None
    standardizer: Standardizer | None


def check_scores(config: Config, train: MultimodalDataset) -> None:
    """Require scores that the task has, and a monitored score to be among them.

    Raises:
        UnknownNameError, SettingError: one sentence about what does not fit.
    """
    names = resolve_metrics(train.task, train.num_outputs, config.training.metrics)
    monitored = config.training.monitor.removeprefix("val/")
    if monitored in SCORE_NAMES and monitored not in names and config.training.selection == "best":
        raise SettingError(
            f"settings: training.monitor={config.training.monitor} is no score of this run, which has "
            f"{', '.join(names)}; name it in training.metrics, too."
        )


def check_model_settings(config: Config, model: str, train: MultimodalDataset) -> None:
    """Build a model of the zoo without memory for its weights, so that a wrong setting is known before the training."""
    with torch.device("meta"), isolate_rng():
        build_model(config, model, train, gather=False)


def check_data(
    config: Config, train: MultimodalDataset, validation: MultimodalDataset | None, test: MultimodalDataset | None
) -> None:
    """Require parts of one kind, with samples and targets, that the settings fit.

    Raises:
        DataError, SettingError: one sentence about what does not fit.
    """
    if config.training.class_weights == "balanced" and train.task != "classification":
        raise SettingError(
            f"settings: training.class_weights=balanced is for classification, got data set {train.name!r} "
            f"for {train.task}."
        )
    for setting in ("drop_modalities", "noise"):
        check_modalities("settings", f"data.{setting}", getattr(config.data, setting), train.modalities)
    for label, dataset in (("train", train), ("validation", validation), ("test", test)):
        if dataset is None:
            continue
        if not len(dataset):
            raise DataError(f"fit: {label} has no sample.")
        without = dataset.find_without_target()
        if without is not None:
            raise DataError(f"fit: {label}: sample {without!r} has no target.")
        kind = (dataset.modalities, dataset.task, dataset.num_outputs)
        expected = (train.modalities, train.task, train.num_outputs)
        if kind != expected:
            raise DataError(f"fit: {label} must be of the kind of train, {expected}, got {kind}.")


def prepare(config: Config, train: MultimodalDataset, validation: MultimodalDataset | None) -> Parts:
    """Split off a validation part where the settings want one, and standardise.

    Raises:
        DataError: NaN or infinities.
    """
    training = train
    if validation is None and config.training.selection == "best":
        training, validation = train_validation_split(train, config.data.validation_fraction, seed=config.seed)
    for label, dataset in (("training", training), ("validation", validation)):
        found = None if dataset is None else dataset.find_not_finite()
        if found is not None:
            raise DataError(
                f"fit: {label} sample {found[0]!r} holds NaN or infinity in {found[1]!r}; replace these values, or cut "
                "the frames, before training."
            )
    if config.data.standardize == "none":
        return Parts(training, validation, None)
    standardizer = Standardizer.fit(training, method="robust" if config.data.standardize == "robust" else "standard")
    return Parts(
        standardizer.apply(training), None if validation is None else standardizer.apply(validation), standardizer
    )


def degradations(config: Config) -> list[Transform]:
    """Return what the settings do to training samples."""
    chosen: list[Transform] = []
    if config.data.noise:
        chosen.append(AddNoise(config.data.noise))
    if config.data.drop_modalities:
        chosen.append(DropModalities(config.data.drop_modalities))
    return chosen


def build_model(
    config: Config, model: str | Callable[..., nn.Module], training: MultimodalDataset, *, gather: bool
) -> nn.Module:
    """Build the model for the data, with what the settings want taken from the training part.

    Raises:
        UnknownNameError, SettingError: a setting that the model does not have, or a wrong value.
    """
    given: dict[str, Any] = {
        "modalities": training.modalities,
        "num_outputs": training.num_outputs,
        "task": training.task,
    }
    fixed = [key for key in given if key in config.model]
    if fixed:
        raise SettingError(f"settings: model.{fixed[0]} comes from the data set and cannot be set.")
    targets = training.targets
    if config.training.class_weights == "balanced":
        counts = targets.bincount(minlength=training.num_outputs).clamp(min=1)
        given["class_weights"] = (len(targets) / (training.num_outputs * counts)).tolist()
    if config.training.target_scaling == "standardize" and training.task == "regression":
        values = targets.double().reshape(len(targets), -1)
        deviation = values.std(0, correction=0)
        given["target_location"] = values.mean(0).tolist()
        given["target_scale"] = torch.where(deviation > 0, deviation, 1.0).tolist()
    if gather and isinstance(model, str):
        given["gather"] = True
    # A setting of the user's own wins over what was computed.
    settings = {**given, **config.model}
    built: nn.Module = create_model(model, **settings) if isinstance(model, str) else model(**settings)
    return built
