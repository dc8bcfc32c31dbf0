"""``train`` and ``models``."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import mmdisentangle
from mmdisentangle._core.errors import SettingError
from mmdisentangle.training.commands._app import (
    DataOption,
    app,
    check_model,
    load_parts,
    number,
    read_seeds,
    require_training,
    show_scores,
    user_errors,
)


@app.command("models")
@user_errors
def list_all() -> None:
    """List the models."""
    for name in mmdisentangle.list_models():
        typer.echo(name)


@app.command()
@user_errors
def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model, see 'mmdisentangle models'.")],
    data: DataOption,
    config: Annotated[Path | None, typer.Option("--config", help="YAML file with settings.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. optim.lr=3e-4; repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", help="Several seeds, e.g. 0,1,2: one run each.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder; runs/MODEL-DATA-seedN if not given.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in the same folder.")] = False,
    devices: Annotated[int | None, typer.Option("--devices", help="Number of processes, one per device.")] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="How they share the work: ddp or fsdp.")] = None,
) -> None:
    """Train a model, choose its epoch on validation data, score it on the test split, write a run folder.

    The same command again resumes a run that was interrupted.
    """
    from mmdisentangle.training.config import load_config

    require_training()
    # Names first: a typing error shall not cost the time to read the data.
    check_model("train", model)
    given = {"training.devices": devices, "training.strategy": strategy}
    overrides = [*(set_ or ()), *(f"{key}={value}" for key, value in given.items() if value is not None)]
    settings = load_config(config, overrides)
    if seed is not None and seeds is not None:
        raise SettingError("train: give --seed or --seeds, not both.")
    chosen = [settings.seed if seed is None else seed] if seeds is None else read_seeds("train", seeds)
    from mmdisentangle.training.processes import launch, this_process

    processes = this_process()
    if settings.training.devices > processes.world_size == 1:
        raise typer.Exit(launch(settings.training.devices, sys.argv[1:]))
    parts, data = load_parts(data, settings)
    console = Console(quiet=not processes.is_first)
    stem = f"{model}-{parts['train'].name}"
    if seeds is None:
        folder = out or Path("runs") / f"{stem}-seed{chosen[0]}"
        metrics = _train_one(console, model, replace(settings, seed=chosen[0]), parts, data, folder, overwrite)
        show_scores(console, f"{stem}: test scores", metrics["scores"])
    else:
        folder = out or Path("runs") / f"{stem}-seeds{'-'.join(map(str, chosen))}"
        _train_seeds(console, model, settings, chosen, parts, data, folder, overwrite)
    console.print(f"Run folder: {folder}", highlight=False, soft_wrap=True)


def _train_one(
    console: Console, model: str, config: Any, parts: dict[str, Any], source: str, folder: Path, overwrite: bool
) -> dict[str, Any]:
    from mmdisentangle.training.fitting import fit
    from mmdisentangle.training.runs import RunFolder

    if RunFolder(folder).status == "unfinished" and RunFolder(folder).checkpoint.is_file() and not overwrite:
        console.print(f"Resuming {folder}", highlight=False, soft_wrap=True)
    try:
        fit(
            config,
            model=model,
            train=parts["train"],
            validation=parts.get("validation"),
            test=parts["test"],
            out=folder,
            overwrite=overwrite,
            progress=console,
            source=source,
        )
    except (KeyboardInterrupt, SystemExit):
        # Lightning turns the first into the second.
        typer.echo("\ninterrupted: the same command resumes the run.", err=True)
        raise typer.Exit(130) from None
    metrics: dict[str, Any] = RunFolder(folder).read_json("metrics.json")
    return metrics


def _train_seeds(
    console: Console,
    model: str,
    config: Any,
    seeds: list[int],
    parts: dict[str, Any],
    source: str,
    folder: Path,
    overwrite: bool,
) -> None:
    from mmdisentangle.training.processes import this_process
    from mmdisentangle.training.runs import describe
    from mmdisentangle.training.seeds import SeedsFolder

    group = SeedsFolder(folder)
    group.begin(overwrite=overwrite)
    scores = {}
    for seed in seeds:
        one = group.run(seed)
        if one.status == "complete" and not overwrite:
            # Left by an interrupted series.
            one.check_same(replace(config, seed=seed), describe(model, parts["train"], source, {}))
            metrics = one.read_json("metrics.json")
        else:
            metrics = _train_one(console, model, replace(config, seed=seed), parts, source, one.path, overwrite)
        scores[seed] = metrics["scores"]["test"]
    if not this_process().is_first:
        return
    summary = group.finish(scores, title=f"{model} on {parts['train'].name}, {len(seeds)} seeds")
    _show_seeds(console, f"{model}-{parts['train'].name}: test scores", scores, summary)


def _show_seeds(
    console: Console, title: str, scores: dict[int, dict[str, float | None]], summary: dict[str, dict[str, float]]
) -> None:
    table = Table(title=title)
    table.add_column("seed")
    for name in summary:
        table.add_column(name, justify="right")
    for seed, values in scores.items():
        table.add_row(str(seed), *(number(values[name]) for name in summary))
    table.add_section()
    for row in ("mean", "standard deviation"):
        key = row.replace(" ", "_")
        table.add_row(row, *(number(values[key]) for values in summary.values()), style="bold")
    console.print(table)
