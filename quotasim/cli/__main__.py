"""``quotasim``: the verbs put together, and how the command ends."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quotasim import __version__
from quotasim.cli import bench, compare, demo, df, generate, import_tables, preview, show_usage, simulate, why
from quotasim.cli.output import printable
from quotasim.errors import QuotaSimError

INTERRUPTED = 130

# Without markup, help does not import rich: that is half of its time.
app = typer.Typer(
    name="quotasim",
    help="What a container registry's storage quota sees, and what a clean-up will really free.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
imports = typer.Typer(no_args_is_help=True, help="Read a registry's data into a snapshot.")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"quotasim {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Options that come before the verb."""


app.command("demo")(demo.demo)
imports.command("tables")(import_tables.import_tables)
app.add_typer(imports, name="import")
app.command("df")(df.df)
app.command("why")(why.why)
app.command("preview")(preview.preview)
app.command("show-usage")(show_usage.show_usage)
app.command("compare")(compare.compare)
app.command("simulate")(simulate.simulate)
app.add_typer(bench.app, name="bench")
app.command("generate")(generate.generate)


def _fail(message: str, exit_code: int) -> None:
    """Print an error on stderr, line by line so that names cannot move the cursor, and leave."""
    for line in message.split("\n"):
        typer.echo(printable(line), err=True)
    sys.exit(exit_code)


def main() -> None:
    """Run the command line; exits with 0 done, 1 error, 2 wrong usage, 3 input rejected, 130 interrupted."""
    try:
        app(prog_name="quotasim")
    except QuotaSimError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:  # a disk that is full, a directory that may not be written
        _fail(str(error), QuotaSimError.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
