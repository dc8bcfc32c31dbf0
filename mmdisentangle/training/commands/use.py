"""``evaluate`` and ``predict``: use a finished run."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mmdisentangle.training.commands._app import (
    DataOption,
    RunArgument,
    SplitOption,
    app,
    load_run,
    require_training,
    show_scores,
    user_errors,
)


@app.command()
@user_errors
def evaluate(
    run: RunArgument,
    data: Annotated[str | None, typer.Option("--data", help="Other data than the run's own.")] = None,
    split: SplitOption = "test",
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", help="Scores, e.g. mosi or acc2_non0,mae; the run's own if not given."),
    ] = None,
) -> None:
    """Score a finished run."""
    predictions, usual = _predict(run, data, split)
    chosen = usual if metrics is None else metrics.split(",")
    show_scores(Console(), f"{run}: {split} scores", {split: predictions.scores(chosen)})


@app.command()
@user_errors
def predict(
    run: RunArgument,
    data: DataOption,
    split: SplitOption = "test",
    out: Annotated[Path, typer.Option("--out", help="CSV file to write.")] = Path("predictions.csv"),
) -> None:
    """Write the predictions of a finished run as CSV."""
    predictions, _ = _predict(run, data, split)
    predictions.write_csv(out)
    typer.echo(f"Wrote {len(predictions.ids)} predictions to {out}")


def _predict(run: Path, data: str | None, split: str) -> tuple[Any, list[str] | None]:
    """Return predictions, and the names of the scores that the run was judged by."""
    from mmdisentangle.evaluation.prediction import predict as predict_all

    require_training()
    finished, dataset = load_run(run, data, split)
    predictions = predict_all(finished.model, dataset, standardizer=finished.standardizer)
    return predictions, finished.config.training.metrics
