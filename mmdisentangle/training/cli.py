"""The command ``mmdisentangle``; where the extra it needs is not installed, one sentence says so."""

import sys

from mmdisentangle._core.errors import MissingExtraError, require_extra


def main() -> None:
    """Run the command line with the arguments of the process."""
    try:
        for module in ("typer", "rich"):
            require_extra(module, "train")
    except MissingExtraError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    from mmdisentangle.training.commands import app

    app(prog_name="mmdisentangle")


if __name__ == "__main__":
    main()
