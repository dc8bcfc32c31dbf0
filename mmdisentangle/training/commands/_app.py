"""What every command shares: the application, options, errors in one sentence, tables."""

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.table import Table

import mmdisentangle
from mmdisentangle._core.errors import (
    AdversaryWarning,
    DataError,
    DataWarning,
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
    str, typer.Option("--data", help="A bundled data set (basic-motions), or the path of a data file or folder.")
]
SplitOption = Annotated[str, typer.Option("--split", help="Part of the data: train, validation or test.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]


def user_errors(command: Callable[P, None]) -> Callable[P, None]:
    """End with one sentence and exit code 2 where the user can mend the matter, instead of a traceback."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with warnings.catch_warnings():
                for category in (AdversaryWarning, DataWarning):
                    warnings.simplefilter("always", category)
                warnings.showwarning = _show_warning(warnings.showwarning)
                command(*args, **kwargs)
        except MMDisentangleError as error:
            _fail(str(error))
        except OSError as error:
            if error.filename is None:
                raise
            _fail(f"{error.strerror}: {error.filename}.")

    return guarded


def _show_warning(usual: Callable[..., None]) -> Callable[..., None]:
    """Say what is odd about data or adversary in one sentence, without the line of code that noticed it."""

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, (AdversaryWarning, DataWarning)):
            typer.echo(f"warning: {message}", err=True)
        else:
            usual(message, category, *rest, **more)

    return show


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


def require_training() -> None:
    for module in ("omegaconf", "lightning", "torchmetrics", "tensorboard", "matplotlib"):
        require_extra(module, "train")


def check_model(where: str, name: str) -> None:
    """Require the name of a model."""
    known = mmdisentangle.list_models()
    if name not in known:
        raise UnknownNameError(f"{where}: no model is called {name!r}{nearest_names(name, known)}")


def read_seeds(where: str, text: str) -> list[int]:
    """Read seeds separated by commas."""
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise SettingError(f"{where}: --seeds must be distinct non-negative integers such as 0,1,2, got {text!r}.")
    return seeds


def show_scores(console: Console, title: str, scores: dict[str, dict[str, float | None]]) -> None:
    # A row per score: their names say which one it is, and must not be cut off in a narrow terminal.
    table = Table(title=title)
    table.add_column("score")
    for split in scores:
        table.add_column(split, justify="right")
    for name in next(iter(scores.values())):
        table.add_row(name, *(number(values[name]) for values in scores.values()))
    console.print(table)


def number(value: float | None) -> str:
    return "undefined" if value is None or value != value else f"{value:.4f}"


def data_options(config: Any) -> dict[str, Any]:
    """Return how the settings want data to be read."""
    return {name: getattr(config.data, name) for name in ("format", "target", "modalities", "nonfinite")}


def load_parts(source: str, config: Any) -> tuple[dict[str, Any], str]:
    """Return the splits of a data set, of which training and test are there, and its name for any folder."""
    from mmdisentangle.data import load_splits

    splits = load_splits(source, **data_options(config))
    for name in ("train", "test"):
        if name not in splits:
            raise DataError(
                f"{source} has no split {name!r}, it has {', '.join(splits)}; this command needs samples to train on "
                "and others to test on (fit in Python trains without a test split)."
            )
    path = Path(source)
    return splits, str(path.resolve()) if path.exists() else source


def load_run(run: Path, data: str | None, split: str) -> tuple[Any, Any]:
    """Return a finished run and a split of its own data, or of other data of the same kind."""
    from mmdisentangle.data import load_dataset
    from mmdisentangle.evaluation.prediction import check_same_kind
    from mmdisentangle.training.runs import RunFolder

    finished = RunFolder(run).load()
    dataset = load_dataset(data or finished.identity["data"], split, **data_options(finished.config))
    check_same_kind(str(run), dataset, finished.identity)
    return finished, dataset
