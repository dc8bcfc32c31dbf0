"""Settings of a training run: defaults, then a file, then single settings from the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from mmdisentangle._core.checks import check_choice, check_count, check_number
from mmdisentangle._core.errors import SettingError, nearest_names, require_extra
from mmdisentangle.training.schedules import Schedule, create_schedule, list_schedules, scaled

# Settings that are lists; "--set KEY=a,b" names their entries.
_LISTS = ("data.modalities", "training.metrics", "training.freeze")


@dataclass(frozen=True)
class DataConfig:
    """How the data are read, and what happens to them before training.

    Args:
        format: of a data file; ``auto`` finds it from the content, see ``data.read_file``.
        target: which target of a file, where it has several; null = the usual one.
        modalities: those to use, in this order; null = all.
        nonfinite: what becomes of NaN and infinities in a file: ``zero``, ``mean``, ``error`` or ``keep``.
        validation_fraction: share of the training data set aside to choose the epoch by.
        standardize: ``none``, ``standard`` (mean and standard deviation per channel) or ``robust`` (median and
            quartiles).
        batch_size: samples per step of the optimiser, over all processes and accumulated passes.
        drop_modalities: in training only: probability that a sample lacks a modality, by name; ``"*"`` stands for all
            that are not named. One always stays.
        noise: in training only: standard deviation of noise added to every frame, by modality or ``"*"``, in deviations
            of the (standardised) data.
        num_workers: processes that read batches ahead; 0 reads them where they are used. The result does not depend on
            it.

    Raises:
        SettingError: a value out of its range or list.

    Example:
        >>> config = load_config(
        ...     overrides=["data.standardize=robust", "data.drop_modalities={text: 0.2}"]
        ... )
        >>> config.data.standardize, config.data.drop_modalities, config.data.batch_size
        ('robust', {'text': 0.2}, 16)
    """

    format: str = "auto"
    target: str | None = None
    modalities: list[str] | None = None
    nonfinite: str = "zero"
    validation_fraction: float = 0.2
    standardize: str = "standard"
    batch_size: int = 16
    drop_modalities: dict[str, float] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    num_workers: int = 0

    def __post_init__(self) -> None:
        where = "settings"
        for name, rate in self.drop_modalities.items():
            check_number(where, f"data.drop_modalities.{name}", rate, low=0, high=1)
        for name, deviation in self.noise.items():
            check_number(where, f"data.noise.{name}", deviation, low=0)
        check_number(
            where, "data.validation_fraction", self.validation_fraction, low=0, high=1, open_low=True, open_high=True
        )
        check_choice(where, "data.nonfinite", self.nonfinite, ("zero", "mean", "error", "keep"))
        check_choice(where, "data.standardize", self.standardize, ("none", "standard", "robust"))
        check_count(where, "data.batch_size", self.batch_size)
        check_count(where, "data.num_workers", self.num_workers, low=0)


@dataclass(frozen=True)
class OptimConfig:
    """Optimiser, its learning rate over time, and clipping.

    Args:
        name: ``adamw``, ``adam`` or ``sgd`` (momentum 0.9).
        lr: highest learning rate. The default suits training from random weights; fine-tuning a language model wants
            about 2e-5.
        weight_decay: on weight matrices; biases and norms are left alone.
        schedule: ``cosine`` (to 0) or ``constant``, after the warm-up.
        warmup: share of all steps over which the learning rate rises from 0.
        clipping: ``none``, ``norm`` (of the whole gradient) or ``value`` (of each entry).
        clip_value: the limit.

    Raises:
        SettingError: a value out of its range or list.

    Example:
        >>> config = load_config(overrides=["optim.name=sgd", "optim.lr=0.1"])
        >>> config.optim.lr, config.optim.schedule, config.optim.warmup
        (0.1, 'cosine', 0.1)
    """

    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    schedule: str = "cosine"
    warmup: float = 0.1
    clipping: str = "norm"
    clip_value: float = 1.0

    def __post_init__(self) -> None:
        where = "settings"
        check_choice(where, "optim.name", self.name, ("adamw", "adam", "sgd"))
        check_number(where, "optim.lr", self.lr, low=0, open_low=True)
        check_number(where, "optim.weight_decay", self.weight_decay, low=0)
        check_choice(where, "optim.schedule", self.schedule, ("cosine", "constant"))
        check_number(where, "optim.warmup", self.warmup, low=0, high=1, open_high=True)
        check_choice(where, "optim.clipping", self.clipping, ("none", "norm", "value"))
        check_number(where, "optim.clip_value", self.clip_value, low=0, open_low=True)


@dataclass(frozen=True)
class ReversalConfig:
    """Strength of every gradient reversal over the training.

    Args:
        schedule: name of a schedule; ``none`` leaves the strengths as the model sets them, which a published preset
            wants.
        strength: factor of the schedule. A reversed gradient that outweighs that of the task keeps small data sets from
            being learned, most easily with a cosine-margin discriminator, whose logits reach 30.
        settings: of that schedule, for instance ``{gamma: 10}``.
        warmup: share of the training over which the strength is held back.

    Raises:
        SettingError: a value out of its range or list, or a setting that the schedule does not have.

    Example:
        >>> config = load_config(overrides=["training.reversal.strength=0.5"])
        >>> strength = config.training.reversal.build()
        >>> [round(strength(progress), 2) for progress in (0.0, 0.1, 0.5, 1.0)]
        [0.0, 0.23, 0.49, 0.5]
    """

    schedule: str = "dann"
    strength: float = 0.1
    settings: dict[str, float] = field(default_factory=dict)
    warmup: float = 0.0

    def __post_init__(self) -> None:
        check_choice("settings", "training.reversal.schedule", self.schedule, ("none", *list_schedules()))
        check_number("settings", "training.reversal.warmup", self.warmup, low=0, high=1, open_high=True)
        check_number("settings", "training.reversal.strength", self.strength)
        self.build()

    def build(self) -> Schedule | None:
        """Return the strength as a function of progress; None where the model's own strengths stay."""
        if self.schedule == "none":
            return None
        return scaled(create_schedule(self.schedule, warmup=self.warmup, **self.settings), self.strength)


@dataclass(frozen=True)
class TrainingConfig:
    """Length of the training, choice of the weights, and where it runs.

    Args:
        max_epochs: number of epochs; the schedules span all of them.
        patience: stop after this many epochs without a better ``monitor``; null = never.
        selection: ``best`` takes the epoch with the best ``monitor`` on validation data, ``last`` the last epoch and
            all of the training data, without validation.
        monitor: what is judged: ``val/`` and a term of the objective (lower is better) or a score.
        metrics: names of scores, or of sets of them (``mosi``, ``mosei``, ``sims``), see ``evaluation.TaskScores``;
            null = the usual ones of the task.
        class_weights: ``none``, or ``balanced`` (inverse to the frequency of each class; classification only).
        target_scaling: ``none``, or ``standardize`` (regression only): the loss is computed in units of the targets'
            deviation.
        freeze: modalities whose encoder is not trained.
        reversal: see ReversalConfig.
        monitor_discriminator: log what the discriminators do, and warn where one does nothing, see
            DiscriminatorMonitor.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.
        devices: number of processes, each on a device of its own. ``fit`` needs them started (``torchrun``); the
            command line starts them.
        strategy: how several processes share the work: ``ddp`` (every one has the whole model), ``fsdp`` (parameters,
            gradients and the optimiser's state are shared out) or ``auto``, which is ``ddp``.
        accumulate: passes per step of the optimiser, each with its part of the ``data.batch_size`` samples.

    Raises:
        SettingError: a value out of its range or list.

    Example:
        >>> config = load_config(overrides=["training.patience=10", "training.monitor=val/mae"])
        >>> config.training.patience, config.training.monitor, config.training.max_epochs
        (10, 'val/mae', 40)
    """

    max_epochs: int = 40
    patience: int | None = None
    selection: str = "best"
    monitor: str = "val/task"
    metrics: list[str] | None = None
    class_weights: str = "none"
    target_scaling: str = "standardize"
    freeze: list[str] = field(default_factory=list)
    reversal: ReversalConfig = field(default_factory=ReversalConfig)
    monitor_discriminator: bool = True
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    accumulate: int = 1

    def __post_init__(self) -> None:
        where = "settings"
        check_count(where, "training.max_epochs", self.max_epochs)
        if self.patience is not None:
            check_count(where, "training.patience", self.patience)
        check_choice(where, "training.selection", self.selection, ("best", "last"))
        check_choice(where, "training.class_weights", self.class_weights, ("none", "balanced"))
        check_choice(where, "training.target_scaling", self.target_scaling, ("none", "standardize"))
        check_choice(where, "training.precision", self.precision, ("32-true", "bf16-mixed", "16-mixed"))
        check_choice(where, "training.accelerator", self.accelerator, ("auto", "cpu", "gpu", "cuda", "mps"))
        check_count(where, "training.devices", self.devices)
        check_choice(where, "training.strategy", self.strategy, ("auto", "ddp", "fsdp"))
        check_count(where, "training.accumulate", self.accumulate)
        if not self.monitor.startswith("val/"):
            raise SettingError(
                f"settings: training.monitor must be a validation value such as 'val/task', got {self.monitor!r}."
            )


@dataclass(frozen=True)
class Config:
    """All settings of a run.

    Args:
        model: settings of the model, passed to its constructor as they are.
        data: see DataConfig.
        optim: see OptimConfig.
        training: see TrainingConfig.
        seed: of the split, the initial weights, the order of samples, dropout and augmentation.

    Example:
        >>> config = load_config(overrides=["optim.lr=3e-4", "model.hidden_features=64"])
        >>> config.optim.lr, config.model, config.training.max_epochs
        (0.0003, {'hidden_features': 64}, 40)
    """

    model: dict[str, Any] = field(default_factory=dict)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("settings", "seed", self.seed, low=0)


def load_config(
    file: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    defaults: Config | None = None,
) -> Config:
    """Put a configuration together: defaults, then a YAML file, then single settings.

    Args:
        file: YAML file with any part of the settings.
        overrides: ``"section.key=value"``; the value is read as YAML, so ``[a, b]``, ``null`` and ``1e-3`` work.
        defaults: what to start from; ``Config()`` where None.

    Returns:
        All settings, those not given at their defaults.

    Raises:
        SettingError: an unknown key (the nearest are listed), a value of the wrong type or out of range, or a file
            that is not YAML.
        FileNotFoundError: there is no such file.
        MissingExtraError: omegaconf is not installed (``mmdisentangle[train]``).

    Example:
        >>> load_config(overrides=["optim.lr=3e-4"]).optim.lr
        0.0003
        >>> load_config(overrides=["optim.warm_up=0.2"])
        Traceback (most recent call last):
        ...
        mmdisentangle._core.errors.SettingError: settings: --set optim.warm_up=0.2: unknown
        key 'optim.warm_up'; did you mean 'optim.warmup' or 'optim.name' or 'optim.lr'?
    """
    omegaconf: Any = require_extra("omegaconf", "train")
    merged = omegaconf.OmegaConf.structured(defaults or Config())
    # A structured node of frozen dataclasses is read-only; the merge makes the values, to_object the frozen result.
    omegaconf.OmegaConf.set_readonly(merged, False)
    layers = [] if file is None else [(str(file), _read_yaml(omegaconf, file))]
    layers += [(f"--set {override}", _read_override(omegaconf, override)) for override in overrides]
    for origin, layer in layers:
        _check_keys(origin, layer, Config(), "")
        try:
            merged = omegaconf.OmegaConf.merge(merged, layer)
        except omegaconf.errors.OmegaConfBaseException as error:
            raise SettingError(f"settings: {origin}: {_first_line(error)}.") from error
    try:
        config: Config = omegaconf.OmegaConf.to_object(merged)
    except omegaconf.errors.OmegaConfBaseException as error:
        raise SettingError(f"settings: {_first_line(error)}.") from error
    return config


def save_config(config: Config, path: str | Path) -> None:
    """Write all settings as YAML, which ``load_config`` reads back to an equal configuration.

    Args:
        config: the settings.
        path: of the file, which is replaced where it exists.

    Raises:
        MissingExtraError: omegaconf is not installed (``mmdisentangle[train]``).

    Example:
        >>> import tempfile
        >>> config = load_config(overrides=["model.hidden_features=64", "optim.lr=3e-4"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_config(config, f"{folder}/config.yaml")
        ...     load_config(f"{folder}/config.yaml") == config
        True
    """
    omegaconf: Any = require_extra("omegaconf", "train")
    Path(path).write_text(omegaconf.OmegaConf.to_yaml(omegaconf.OmegaConf.structured(config)), encoding="utf-8")


def changed_settings(first: Config, second: Config) -> list[str]:
    """Return one ``"key: value of first -> value of second"`` for each setting that differs."""
    a, b = _flat(first), _flat(second)
    keys = sorted({**a, **b})
    missing = "not set"
    return [f"{key}: {a.get(key, missing)} -> {b.get(key, missing)}" for key in keys if a.get(key) != b.get(key)]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if is_dataclass(value):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, entry in value.items():
        flat.update(_flat(entry, f"{prefix}.{key}" if prefix else str(key)))
    return flat


def _read_yaml(omegaconf: Any, file: str | Path) -> Any:
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(2, "no such configuration file", str(file))
    try:
        layer = omegaconf.OmegaConf.load(path)
    except Exception as error:
        raise SettingError(f"settings: {file} is not a YAML file ({_first_line(error)}).") from error
    if not isinstance(layer, omegaconf.DictConfig):
        raise SettingError(f"settings: {file} must hold sections such as 'optim:', got a list.")
    return layer


def _read_override(omegaconf: Any, override: str) -> Any:
    key, separator, value = override.partition("=")
    if not separator or not key.strip("."):
        raise SettingError(f"settings: --set must look like section.key=value, got {override!r}.")
    if key in _LISTS and value and value != "null" and not value.startswith("["):
        # Shells have a meaning of their own for brackets.
        override = f"{key}=[{value}]"
    try:
        return omegaconf.OmegaConf.from_dotlist([override])
    except Exception as error:
        raise SettingError(f"settings: --set {key}: cannot read the value {value!r} ({_first_line(error)}).") from error


def _check_keys(origin: str, layer: Any, known: Any, prefix: str) -> None:
    names = [item.name for item in fields(known)]
    for key in layer:
        if key not in names:
            full = f"{prefix}{key}"
            raise SettingError(
                f"settings: {origin}: unknown key {full!r}{nearest_names(full, [prefix + name for name in names])}"
            )
        section = getattr(known, key)
        if is_dataclass(section):
            if not hasattr(layer[key], "keys"):
                example = f"{prefix}{key}.{fields(section)[0].name}"
                raise SettingError(
                    f"settings: {origin}: {prefix}{key} is a section, got the value {layer[key]!r}; "
                    f"set one of its keys, for instance {example}."
                )
            _check_keys(origin, layer[key], section, f"{prefix}{key}.")


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__
