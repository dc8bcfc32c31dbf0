"""``report``: did a finished run disentangle? A page, a JSON file, and the verdicts on the screen."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from mmdisentangle._core.errors import SettingError
from mmdisentangle.training.commands._app import RunArgument, SplitOption, app, load_run, require_training, user_errors

_COLOURS = {"good": "green", "mixed": "yellow", "bad": "red", "unknown": "cyan"}


@app.command()
@user_errors
def report(
    run: RunArgument,
    data: Annotated[str | None, typer.Option("--data", help="Other data than the run's own.")] = None,
    split: SplitOption = "test",
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write; RUN/report if not given.")] = None,
    permutations: Annotated[int, typer.Option("--permutations", help="Draws of each permutation test.")] = 200,
    max_samples: Annotated[int, typer.Option("--max-samples", help="Judge at most so many samples.")] = 3000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of every draw.")] = 0,
) -> None:
    """Judge the shared and private codes of a finished run: leakage, dependence, use, collapse."""
    from mmdisentangle.evaluation.leakage import leakage
    from mmdisentangle.evaluation.leakage_page import write_report
    from mmdisentangle.evaluation.verdicts import verdicts
    from mmdisentangle.training.runs import RunFolder

    require_training()
    for option, value, least in (("--permutations", permutations, 1), ("--max-samples", max_samples, 20)):
        if value < least:
            raise SettingError(f"report: {option} must be at least {least}, got {value}.")
    finished, dataset = load_run(run, data, split)
    with Console(stderr=True).status("codes") as status:
        found = leakage(
            finished.model,
            dataset,
            standardizer=finished.standardizer,
            permutations=permutations,
            max_samples=max_samples,
            seed=seed,
            progress=status.update,
        )
    found = replace(found, adversaries=_last_seen(RunFolder(run).read_json("history.json")))
    title = f"{finished.identity['model']} on {dataset.name} ({split}, {len(dataset)} samples)"
    page = write_report(found, out or run / "report", title=title)
    console = Console()
    for verdict in verdicts(found):
        console.print(f"[{_COLOURS[verdict.status]}]{verdict.status:>7}[/]  [bold]{escape(verdict.question)}[/]")
        console.print(f"         {verdict.answer}", highlight=False, markup=False)
    console.print(f"Wrote {page} and report.json", highlight=False, soft_wrap=True)


def _last_seen(history: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """What was logged of every discriminator in the last epoch."""
    found: dict[str, dict[str, float]] = {}
    for key, value in history[-1].items():
        kind, _, rest = key.partition("/")
        name, _, what = rest.rpartition("/")
        if kind == "adversary" and value is not None:
            found.setdefault(name, {})[what] = value
    return found
