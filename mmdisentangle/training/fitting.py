"""Train a model: split, standardise, train, choose the weights, score once on the test data, write the run folder."""

import copy
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.seed import isolate_rng
from rich.console import Console
from torch import nn

import mmdisentangle
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.degradation import Transform, compose
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.evaluation.prediction import predict
from mmdisentangle.training.callbacks import (
    BestWeights,
    EpochSeeds,
    History,
    ResumeCheckpoint,
    ReversalSchedule,
    WholeCheckpoints,
)
from mmdisentangle.training.config import Config
from mmdisentangle.training.cost import Cost, CostMeter
from mmdisentangle.training.module import DisentanglementModule
from mmdisentangle.training.monitor import DiscriminatorMonitor
from mmdisentangle.training.plots import plot_loss_terms, plot_scores
from mmdisentangle.training.preparation import (
    Parts,
    build_model,
    check_data,
    check_model_settings,
    check_scores,
    degradations,
    prepare,
)
from mmdisentangle.training.processes import Processes, full_state, joined
from mmdisentangle.training.progress import TrainingBar, quiet_lightning
from mmdisentangle.training.runs import RunFolder, describe
from mmdisentangle.training.sampling import ShareSampler, share_loader


@dataclass(frozen=True)
class Result:
    """What came of a training.

    Args:
        model: with the chosen weights, in evaluation mode, on the CPU.
        standardizer: fitted on the training part; None where the settings say ``none``.
        scores: ``"validation"`` and ``"test"`` to the scores of the chosen weights, for those parts that exist.
        epoch: epoch of the chosen weights, from 1.
        history: every logged value of every epoch.
        cost: time and memory.
        folder: run folder; None where nothing was written.

    Example:
        >>> from mmdisentangle.data import make_shared_private
        >>> from mmdisentangle.training import load_config
        >>> data = make_shared_private(40, modalities={"eeg": 4, "gaze": 2}).dataset
        >>> config = load_config(overrides=["training.max_epochs=2"])
        >>> result = fit(config, train=data, model="late_fusion")
        >>> sorted(result.scores["validation"]), len(result.history), result.model.training
        (['mae', 'pearson'], 2, False)
    """

    model: nn.Module
    standardizer: Standardizer | None
    scores: dict[str, dict[str, float]]
    epoch: int
    history: list[dict[str, float]]
    cost: Cost
    folder: Path | None


def fit(
    config: Config,
    *,
    train: MultimodalDataset,
    model: str | Callable[..., nn.Module] = "rtil",
    validation: MultimodalDataset | None = None,
    test: MultimodalDataset | None = None,
    out: str | Path | None = None,
    transform: Transform | None = None,
    overwrite: bool = False,
    progress: bool | Console = False,
    source: str | None = None,
) -> Result:
    """Train a model and score it.

    Statistics, class weights, the number of epochs and the weights come from ``train`` alone. ``test`` is read once,
    after everything has been chosen. The result depends on the arguments and the seed, not on global random state,
    which is left as it was.

    Args:
        config: all settings, see ``load_config``.
        train: training data; a validation part is taken from it, by persons where it has ``groups``.
        model: name in the zoo, or a function called with ``modalities``, ``num_outputs``, ``task``, the settings of
            ``config.model`` and, where they are used, ``class_weights``, ``target_location`` and ``target_scale``.
        validation: data to choose the epoch by, instead of a part of ``train``.
        test: test data.
        out: run folder; None writes nothing and cannot be resumed. An unfinished run of the same settings, model and
            data is resumed after its last whole epoch, with the same result as if it had not been interrupted.
        transform: changes a standardised training sample each time it is used, ``transform(sample, generator)``, with
            random numbers from that generator only. It must be picklable where ``data.num_workers`` processes are
            started by spawning.
        overwrite: replace an earlier run in ``out``.
        progress: show a progress bar on standard error, or on the console given.
        source: what the run folder notes as the origin of the data; the data set's name where None.

    Returns:
        The trained model and its scores.

    Raises:
        DataError: a part without samples or targets, or with NaN or infinities; data sets of different kinds.
        SettingError: settings that do not fit the data; a run folder that is finished or belongs to another run.

    Example:
        >>> from mmdisentangle.data import SharedPrivateGenerator
        >>> from mmdisentangle.training import load_config
        >>> world = SharedPrivateGenerator(modalities={"eeg": 4, "gaze": 2}, lengths=8)
        >>> train, test = world.draw(100, seed=0).dataset, world.draw(50, seed=1).dataset
        >>> config = load_config(overrides=["training.max_epochs=3", "optim.lr=0.01"])
        >>> result = fit(config, train=train, test=test, model="misa")
        >>> round(result.scores["test"]["pearson"], 1)
        0.8
    """
    check_data(config, train, validation, test)
    check_scores(config, train)
    if isinstance(model, str):
        check_model_settings(config, model, train)
    name = model if isinstance(model, str) else getattr(model, "__qualname__", type(model).__qualname__)
    folder = None if out is None else RunFolder(Path(out))
    versions = {"mmdisentangle": mmdisentangle.__version__, "torch": torch.__version__}
    with joined(config.training) as processes, isolate_rng(), quiet_lightning(), _scratch(folder) as scratch:

        def begin() -> Path | None:
            if folder is None:
                return None
            resumed = folder.begin(config, describe(name, train, source, versions), overwrite=overwrite)
            return folder.find_checkpoint() if resumed else None

        # Not before the run folder has agreed: splitting and building may take a while.
        checkpoint = processes.on_first(begin)
        history, meter = History(), CostMeter()
        parts = prepare(config, train, validation)
        pl.seed_everything(config.seed % 2**32, workers=True, verbose=False)
        network = build_model(config, model, parts.training, gather=processes.world_size > 1)
        selects = parts.validation is not None and config.training.selection == "best"
        best = BestWeights(config.training.monitor if selects else None, config.training.patience)
        bar = [] if progress is False else [TrainingBar(name, None if progress is True else progress)]
        changes = compose([*([] if transform is None else [transform]), *degradations(config)])
        trained = _train(
            config, network, parts, changes, [meter, history, best, *bar], processes, folder, scratch, checkpoint
        )
        network.load_state_dict(best.weights or full_state(trained))
        network.eval().cpu().requires_grad_(True)
        assert best.epoch is not None
        path = None if folder is None else folder.path
        result = Result(network, parts.standardizer, {}, best.epoch, history.rows, meter.cost(), path)

        def finish() -> dict[str, dict[str, float]]:
            scores = _score(config, network, parts, test)
            if folder is not None:
                sizes = {"training": parts.training, "validation": parts.validation, "test": test}
                counts = {part: len(dataset or ()) for part, dataset in sizes.items()}
                _write(config, folder, replace(result, scores=scores), name, train, counts)
            return scores

        return replace(result, scores=processes.on_first(finish))


def _train(
    config: Config,
    network: nn.Module,
    parts: Parts,
    transform: Transform | None,
    callbacks: Sequence[Callback],
    processes: Processes,
    folder: RunFolder | None,
    scratch: Path,
    checkpoint: Path | None,
) -> nn.Module:
    """Train the network, or a copy of it that is sharded, and return what was trained."""
    settings = config.training
    share: Any = partial(
        ShareSampler, batch_size=config.data.batch_size, rank=processes.rank, world_size=processes.world_size
    )
    sampler: ShareSampler = share(len(parts.training), seed=config.seed, accumulate=settings.accumulate)
    shares = {"train": sampler, "val": share(len(parts.validation or ()))}
    module = DisentanglementModule(
        copy.deepcopy(network) if settings.strategy == "fsdp" else network,
        task=parts.training.task,
        num_outputs=parts.training.num_outputs,
        optim=config.optim,
        freeze=settings.freeze,
        metrics=settings.metrics,
        shares=shares,
    )
    chosen: list[Callback] = [EpochSeeds(config.seed, sampler)]
    reversal = settings.reversal.build()
    if reversal is not None:
        chosen.append(ReversalSchedule(reversal))
    if settings.monitor_discriminator:
        chosen.append(DiscriminatorMonitor())
    chosen += callbacks
    options = processes.trainer_options(settings)
    plugins = options.pop("plugins", [])
    if folder is not None:
        chosen.append(ResumeCheckpoint(folder))
        plugins.append(WholeCheckpoints(folder))
    trainer = pl.Trainer(
        accelerator=settings.accelerator,
        **options,
        plugins=plugins,
        use_distributed_sampler=False,
        accumulate_grad_batches=settings.accumulate,
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.max_epochs,
        gradient_clip_val=None if config.optim.clipping == "none" else config.optim.clip_value,
        gradient_clip_algorithm=None if config.optim.clipping == "none" else config.optim.clipping,
        callbacks=chosen,
        logger=False if folder is None else TensorBoardLogger(folder.path, name="tensorboard", version=""),
        # The callbacks above are checkpoint callbacks, so Lightning adds none of its own.
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        default_root_dir=scratch,
    )
    if checkpoint is not None:
        # Before Lightning reads ahead, which it may do before it has restored any state.
        sampler.set_epoch(torch.load(checkpoint, map_location="cpu", mmap=True, weights_only=False)["epoch"] + 1)
    # A model that comes from a checkpoint is in evaluation mode, and Lightning leaves modes as they are.
    module.train()
    workers = config.data.num_workers
    training = share_loader(parts.training, sampler, transform, seed=config.seed, num_workers=workers)
    validation = None
    if parts.validation is not None:
        validation = share_loader(parts.validation, shares["val"], num_workers=workers)
    trainer.fit(module, training, validation, ckpt_path=checkpoint)
    return module.model


def _score(
    config: Config, network: nn.Module, parts: Parts, test: MultimodalDataset | None
) -> dict[str, dict[str, float]]:
    size, metrics, scores = config.data.batch_size, config.training.metrics, {}
    if parts.validation is not None:
        scores["validation"] = predict(network, parts.validation, batch_size=size).scores(metrics)
    if test is not None:
        scores["test"] = predict(network, test, standardizer=parts.standardizer, batch_size=size).scores(metrics)
    return scores


def _write(
    config: Config,
    folder: RunFolder,
    result: Result,
    name: str,
    train: MultimodalDataset,
    counts: Mapping[str, int],
) -> None:
    folder.write_json("history.json", result.history)
    save_checkpoint(result.model, result.standardizer, folder.path / "checkpoint")
    title = f"{name} on {train.name}, seed {config.seed}"
    plot_loss_terms(result.history, folder.path / "loss_terms.png", title=title, task=train.task, selected=result.epoch)
    plot_scores(
        result.history, folder.path / "scores.png", title=title, test=result.scores.get("test"), selected=result.epoch
    )
    folder.finish(
        {
            "model": name,
            "data": train.name,
            "seed": config.seed,
            "scores": result.scores,
            "epoch": result.epoch,
            "epochs": len(result.history),
            "samples": counts,
            "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
            "cost": {name: round(value, 4) for name, value in asdict(result.cost).items() if value is not None},
        }
    )


def save_checkpoint(model: nn.Module, standardizer: Standardizer | None, directory: Path) -> None:
    """Write the model its own way, or its weights alone where it has none, and the standardizer."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    save_pretrained: Any = getattr(model, "save_pretrained", None)
    if save_pretrained is not None:
        save_pretrained(directory)
    else:
        from safetensors.torch import save_model

        save_model(model, str(directory / "model.safetensors"))
    if standardizer is not None:
        standardizer.save(directory / "standardizer.json")


@contextmanager
def _scratch(folder: RunFolder | None) -> Iterator[Path]:
    """Give a root to Lightning that is not the current folder."""
    if folder is not None:
        yield folder.path
    else:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)
