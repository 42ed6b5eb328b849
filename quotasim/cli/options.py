"""Arguments and options that several verbs have, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from quotasim.cli.output import Format

SnapshotArgument = Annotated[
    Path, typer.Argument(metavar="SNAPSHOT", help="A snapshot directory, as 'import' or Registry.save writes it.")
]
FormatOption = Annotated[
    Optional[Format],  # noqa: UP045  typer reads it
    typer.Option(
        "--format", help="How to print; by default what the name of -o says, else a table.", show_default=False
    ),
]
OutputOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--output", "-o", metavar="FILE", help="Write to a file, whole or not at all, and not to stdout."),
]
PROFILE_HELP = "Rules of a registry kind, such as acr-premium"
