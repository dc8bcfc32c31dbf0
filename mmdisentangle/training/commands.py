"""Commands: train, evaluate, predict, models."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.table import Table

import mmdisentangle
from mmdisentangle._core.errors import (
    MMDisentangleError,
    SettingError,
    UnknownNameError,
    nearest_names,
    require_extra,
)

P = ParamSpec("P")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train and evaluate multimodal disentanglement models.",
)

DataOption = Annotated[
    str, typer.Option("--data", help="A bundled data set (basic-motions) or the path of an .npz file.")
]
SplitOption = Annotated[str, typer.Option("--split", help="Part of the data: train or test.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]


def user_errors(command: Callable[P, None]) -> Callable[P, None]:
    """End with one sentence and exit code 2 where the user can mend the matter, instead of a traceback."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except MMDisentangleError as error:
            _fail(str(error))
        except OSError as error:
            if error.filename is None:
                raise
            _fail(f"{error.strerror}: {error.filename}.")

    return guarded


def _fail(sentence: str) -> None:
    typer.echo(f"error: {sentence}", err=True)
    raise typer.Exit(2)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(mmdisentangle.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Train and evaluate multimodal disentanglement models."""


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
) -> None:
    """Train a model, choose its epoch on validation data, score it on the test split, write a run folder.

    The same command again resumes a run that was interrupted.
    """
    from mmdisentangle.data import load_dataset
    from mmdisentangle.training.config import load_config

    _require_training()
    # Names first: a typing error shall not cost the time to read the data.
    _check_model(model)
    settings = load_config(config, set_ or ())
    if seed is not None and seeds is not None:
        raise SettingError("train: give --seed or --seeds, not both.")
    chosen = [settings.seed if seed is None else seed] if seeds is None else _read_seeds(seeds)
    parts = load_dataset(data, "train"), load_dataset(data, "test")
    # The run shall be evaluated from any folder.
    data = str(Path(data).resolve()) if data.endswith(".npz") else data
    console = Console()
    stem = f"{model}-{parts[0].name}"
    if seeds is None:
        folder = out or Path("runs") / f"{stem}-seed{chosen[0]}"
        metrics = _train_one(console, model, replace(settings, seed=chosen[0]), parts, data, folder, overwrite)
        _show_scores(console, f"{stem}: test scores", metrics["scores"])
    else:
        folder = out or Path("runs") / f"{stem}-seeds{'-'.join(map(str, chosen))}"
        _train_seeds(console, model, settings, chosen, parts, data, folder, overwrite)
    console.print(f"Run folder: {folder}", highlight=False, soft_wrap=True)


@app.command()
@user_errors
def evaluate(
    run: RunArgument,
    data: Annotated[str | None, typer.Option("--data", help="Other data than the run's own.")] = None,
    split: SplitOption = "test",
) -> None:
    """Score a finished run."""
    predictions = _predict(run, data, split)
    _show_scores(Console(), f"{run}: {split} scores", {split: predictions.scores()})


@app.command()
@user_errors
def predict(
    run: RunArgument,
    data: DataOption,
    split: SplitOption = "test",
    out: Annotated[Path, typer.Option("--out", help="CSV file to write.")] = Path("predictions.csv"),
) -> None:
    """Write the predictions of a finished run as CSV."""
    predictions = _predict(run, data, split)
    predictions.write_csv(out)
    typer.echo(f"Wrote {len(predictions.ids)} predictions to {out}")


def _require_training() -> None:
    for module in ("omegaconf", "lightning", "torchmetrics", "tensorboard", "matplotlib"):
        require_extra(module, "train")


def _check_model(name: str) -> None:
    known = mmdisentangle.list_models()
    if name not in known:
        raise UnknownNameError(f"train: no model is called {name!r}{nearest_names(name, known)}")


def _read_seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise SettingError(f"train: --seeds must be distinct non-negative integers such as 0,1,2, got {text!r}.")
    return seeds


def _train_one(
    console: Console, model: str, config: Any, parts: tuple[Any, Any], source: str, folder: Path, overwrite: bool
) -> dict[str, Any]:
    from mmdisentangle.training.fitting import fit
    from mmdisentangle.training.runs import RunFolder

    if RunFolder(folder).status == "unfinished" and not overwrite:
        console.print(f"Resuming {folder}", highlight=False, soft_wrap=True)
    try:
        fit(
            config,
            model=model,
            train=parts[0],
            test=parts[1],
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
    parts: tuple[Any, Any],
    source: str,
    folder: Path,
    overwrite: bool,
) -> None:
    from mmdisentangle.training.runs import describe
    from mmdisentangle.training.seeds import SeedsFolder

    group = SeedsFolder(folder)
    group.begin(overwrite=overwrite)
    scores = {}
    for seed in seeds:
        one = group.run(seed)
        if one.status == "complete" and not overwrite:
            # Left by an interrupted series.
            one.check_same(replace(config, seed=seed), describe(model, parts[0], source, {}))
            metrics = one.read_json("metrics.json")
        else:
            metrics = _train_one(console, model, replace(config, seed=seed), parts, source, one.path, overwrite)
        scores[seed] = metrics["scores"]["test"]
    summary = group.finish(scores, title=f"{model} on {parts[0].name}, {len(seeds)} seeds")
    _show_seeds(console, f"{model}-{parts[0].name}: test scores", scores, summary)


def _predict(run: Path, data: str | None, split: str) -> Any:
    from mmdisentangle.data import load_dataset
    from mmdisentangle.training.prediction import check_same_kind
    from mmdisentangle.training.prediction import predict as predict_all
    from mmdisentangle.training.runs import RunFolder

    _require_training()
    finished = RunFolder(run).load()
    source = data or finished.identity["data"]
    dataset = load_dataset(source, split)
    check_same_kind(str(run), dataset, finished.identity)
    return predict_all(finished.model, dataset, standardizer=finished.standardizer)


def _show_scores(console: Console, title: str, scores: dict[str, dict[str, float | None]]) -> None:
    table = Table(title=title)
    table.add_column("split")
    names = list(next(iter(scores.values())))
    for name in names:
        table.add_column(name, justify="right")
    for split, values in scores.items():
        table.add_row(split, *(_number(values[name]) for name in names))
    console.print(table)


def _show_seeds(
    console: Console, title: str, scores: dict[int, dict[str, float | None]], summary: dict[str, dict[str, float]]
) -> None:
    table = Table(title=title)
    table.add_column("seed")
    for name in summary:
        table.add_column(name, justify="right")
    for seed, values in scores.items():
        table.add_row(str(seed), *(_number(values[name]) for name in summary))
    table.add_section()
    for row in ("mean", "standard deviation"):
        key = row.replace(" ", "_")
        table.add_row(row, *(_number(values[key]) for values in summary.values()), style="bold")
    console.print(table)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
