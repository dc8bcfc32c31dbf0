"""``robustness``: scores of a finished run when modalities are missing or noisy."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmdisentangle._core.errors import SettingError
from mmdisentangle.training.commands._app import (
    RunArgument,
    SplitOption,
    app,
    load_run,
    number,
    require_training,
    user_errors,
)


@app.command()
@user_errors
def robustness(
    run: RunArgument,
    data: Annotated[str | None, typer.Option("--data", help="Other data than the run's own.")] = None,
    split: SplitOption = "test",
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write; RUN/robustness if not given.")] = None,
    drop: Annotated[str, typer.Option("--drop", help="Probabilities that a modality is missing.")] = "0,.2,.4,.6,.8,1",
    noise: Annotated[str, typer.Option("--noise", help="Deviations of added noise.")] = "0,.5,1,2",
    repeats: Annotated[int, typer.Option("--repeats", help="Random draws of each point.")] = 3,
    metrics: Annotated[
        str | None, typer.Option("--metrics", help="Scores, e.g. mosi or acc2_non0,mae; the run's own if not given.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draws.")] = 0,
) -> None:
    """Score a finished run with modalities missing and noisy: a table, a JSON file and a picture."""
    from mmdisentangle.evaluation.robustness import robustness_curve
    from mmdisentangle.evaluation.robustness_result import label_of

    require_training()
    rates, levels = _read_levels("--drop", drop), _read_levels("--noise", noise)
    finished, dataset = load_run(run, data, split)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("evaluations", total=None)
        curve = robustness_curve(
            finished.model,
            dataset,
            standardizer=finished.standardizer,
            drop_rates=rates,
            noise_levels=levels,
            repeats=repeats,
            metrics=finished.config.training.metrics if metrics is None else metrics.split(","),
            seed=seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    folder = out or run / "robustness"
    title = f"{finished.identity['model']} on {dataset.name} ({split}, {len(dataset)} samples)"
    curve.write(folder, title=title)
    console = Console()
    for kind, heading in (("drop", "missing with probability"), ("noise", "noise in deviations")):
        chosen = [modality for found, modality in curve.curves() if found == kind]
        for score in curve.scores if chosen else ():
            table = Table(title=f"{score}, {heading}", caption=f"best constant answer: {number(curve.constant[score])}")
            table.add_column("modality")
            for point in curve.curve(kind, chosen[0]):
                table.add_column(f"{point.level:g}", justify="right")
            table.add_column("mean", justify="right")
            for modality in chosen:
                values = [number(point.mean[score]) for point in curve.curve(kind, modality)]
                table.add_row(label_of(modality), *values, number(curve.area(kind, modality, score)))
            console.print(table)
    console.print(f"Wrote {folder}/robustness.json, .md and .png", highlight=False, soft_wrap=True)


def _read_levels(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise SettingError(f"robustness: {option} must be numbers such as 0,.5,1, got {text!r}.") from None
