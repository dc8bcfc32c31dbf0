"""``compare``: several models on the same data, with several seeds."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mmdisentangle._core.errors import SettingError
from mmdisentangle.training.commands._app import (
    DataOption,
    app,
    check_model,
    load_parts,
    read_seeds,
    require_training,
    user_errors,
)


@app.command()
@user_errors
def compare(
    models: Annotated[str, typer.Option("--models", help="Names, e.g. rtil,mea,misa,mult,late_fusion.")],
    data: DataOption,
    seeds: Annotated[str, typer.Option("--seeds", help="A number of seeds, or their list, e.g. 0,1,2.")] = "5",
    config: Annotated[Path | None, typer.Option("--config", help="YAML file with settings of every run.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="[MODEL:]KEY=VALUE",
            help="One setting, e.g. optim.lr=3e-4, or of one model, e.g. mea:model.hca_layers=1; repeatable.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; runs/compare-DATA if not given.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs at a time.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Train anew what is there.")] = False,
) -> None:
    """Train several models with several seeds: the same splits and budget, a table, a JSON file and a picture.

    The same command again goes on where it stopped.
    """
    from mmdisentangle.training.comparison import compare as compare_models
    from mmdisentangle.training.config import load_config

    require_training()
    names = [name.strip() for name in models.split(",")]
    for name in names:
        check_model("compare", name)
    common, single = _sort_settings(set_ or [], names)
    chosen = list(range(int(seeds))) if re.fullmatch("[1-9][0-9]*", seeds) else read_seeds("compare", seeds)
    base = load_config(config, common)
    configs = {name: load_config(config, [*common, *single[name]]) for name in names}
    splits, source = load_parts(data, base)
    folder = out or Path("runs") / f"compare-{splits['train'].name}"
    console = Console()

    def report(model: str, seed: int, metrics: Mapping[str, Any]) -> None:
        scores = ", ".join(f"{name} {_text(value)}" for name, value in metrics["scores"]["test"].items())
        console.print(f"{model}, seed {seed}: test {scores}", highlight=False, soft_wrap=True)

    comparison = compare_models(
        names,
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits["test"],
        seeds=chosen,
        config=base,
        configs=configs,
        out=folder,
        source=source,
        jobs=jobs,
        overwrite=overwrite,
        report=report,
    )
    # As it is: a table drawn for a narrow terminal would cut the numbers.
    typer.echo(comparison.to_markdown())
    console.print(f"Wrote {folder}/comparison.json, .md and .png", highlight=False, soft_wrap=True)


def _sort_settings(given: list[str], models: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the settings of all models, and those of each."""
    common: list[str] = []
    single: dict[str, list[str]] = {model: [] for model in models}
    for setting in given:
        model, colon, _ = setting.partition("=")[0].partition(":")
        if not colon:
            common.append(setting)
        elif model in single:
            single[model].append(setting.removeprefix(f"{model}:"))
        else:
            raise SettingError(f"compare: --set {setting} is for {model!r}, which is not among --models {models}.")
    return common, single


def _text(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
