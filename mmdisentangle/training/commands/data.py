"""``data inspect`` and ``data convert``: what is in a file, and shards made of it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mmdisentangle._core.errors import SettingError
from mmdisentangle.training.commands._app import app, user_errors

data_app = typer.Typer(no_args_is_help=True, help="Look into data files, and convert them.")
app.add_typer(data_app, name="data")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A data file, or a folder.")]
FormatOption = Annotated[
    str, typer.Option("--format", help="mmsa, mult, misa, npz, safetensors, folder; found from the content by default.")
]
TargetOption = Annotated[
    str | None, typer.Option("--target", help="Which target, where the file has several, e.g. classification_labels.")
]
ModalitiesOption = Annotated[
    str | None, typer.Option("--modalities", help="Those to read, in this order, e.g. text,audio.")
]
NonfiniteOption = Annotated[
    str, typer.Option("--nonfinite", help="What becomes of NaN and infinities: zero, mean, error or keep.")
]
Sha256Option = Annotated[str | None, typer.Option("--sha256", help="Refuse a file with another digest.")]


@data_app.command()
@user_errors
def inspect(
    file: FileArgument,
    format: FormatOption = "auto",
    target: TargetOption = None,
    modalities: ModalitiesOption = None,
    nonfinite: NonfiniteOption = "zero",
    sha256: Sha256Option = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what is in a data file; nothing in it is run."""
    from mmdisentangle.data import read_file
    from mmdisentangle.data._shard_file import INDEX
    from mmdisentangle.data.shards import describe_shards, read_index

    if (file / INDEX).is_file():
        typer.echo(json.dumps(read_index(file), indent=1) if as_json else describe_shards(file))
        return
    found = read_file(
        file,
        format=format,
        target=target,
        modalities=_names(modalities),
        nonfinite=nonfinite,  # type: ignore[arg-type]
        sha256=sha256,
    )
    typer.echo(json.dumps(found.findings, indent=1) if as_json else found.describe())


@data_app.command()
@user_errors
def convert(
    file: FileArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    format: FormatOption = "auto",
    target: TargetOption = None,
    modalities: ModalitiesOption = None,
    nonfinite: NonfiniteOption = "zero",
    sha256: Sha256Option = None,
    samples_per_shard: Annotated[int, typer.Option("--samples-per-shard", min=1, help="Samples in one file.")] = 4096,
) -> None:
    """Write a data file as safetensors shards, which are memory-mapped and trained from like any file."""
    from mmdisentangle.data import read_file, write_shards
    from mmdisentangle.data.shards import describe_shards

    if nonfinite == "keep":
        raise SettingError("data convert: shards hold finite numbers only; --nonfinite must be zero, mean or error.")
    found = read_file(
        file,
        format=format,
        target=target,
        modalities=_names(modalities),
        nonfinite=nonfinite,  # type: ignore[arg-type]
        sha256=sha256,
    )
    write_shards(out, found.splits, samples_per_shard=samples_per_shard)
    typer.echo(describe_shards(out))


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]
