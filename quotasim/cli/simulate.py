"""``quotasim simulate``: a history replayed under a registry kind's rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from quotasim.cli.options import PROFILE_HELP, FormatOption, OutputOption
from quotasim.cli.output import ColumnKind, Report, Table, chosen_format, emit, header, heading
from quotasim.cli.progress import working

if TYPE_CHECKING:
    import pandas as pd

_KINDS: dict[str, ColumnKind] = {"month": "text", "day": "text", "dedup_ratio": "ratio"}


def simulate(
    trace: Annotated[
        Path,
        typer.Option(
            "--trace",
            metavar="PATH",
            help="A .jsonl.zst or .parquet trace, a snapshot with one, or a directory of tables with tag_events.",
        ),
    ],
    profile: Annotated[str, typer.Option("--profile", metavar="PROFILE", help=f"{PROFILE_HELP}.")] = "refcount",
    every: Annotated[
        Literal["month", "day"],
        typer.Option("--every", help="month: stocks and flows; day: each total with its least and greatest value."),
    ] = "month",
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Replay a history of pushes and deletions, and print how usage went."""
    chosen_format(format, output)
    with working("replaying"):
        from quotasim import frames
        from quotasim.profiles import by_name
        from quotasim.registry import replay

        rules = by_name(profile)
        registry = replay(trace, profile=rules)
        if every == "month":
            frame = frames.monthly_replay(registry.engine)
        else:
            frame = frames.usage_series(registry.engine, every="day")
            frame.insert(0, "day", frame.pop("time").dt.strftime("%Y-%m-%d"))
    table = _table(frame)
    document = {**header(registry), "every": every, "rows": table.rows}
    emit(Report(document, table, [heading(registry), table]), format, output)


def _table(frame: pd.DataFrame) -> Table:
    """Return a frame's rows as plain Python values, None where a ratio has nothing to divide by."""
    columns: dict[str, ColumnKind] = {
        name: _KINDS.get(name, "bytes" if "_bytes" in name or name.startswith("bytes_") else "count")
        for name in frame.columns
    }
    rows = [
        {name: None if value != value else value for name, value in zip(columns, row, strict=True)}
        for row in frame.astype(object).itertuples(index=False)
    ]
    return Table(columns, rows)
