"""``quotasim compare``: one registry, or one history, under the rules of several registry kinds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from quotasim import __version__
from quotasim.cli.options import FormatOption, OutputOption
from quotasim.cli.output import SCHEMA_VERSION, ColumnKind, Report, Table, check_place, chosen_format, emit
from quotasim.cli.progress import note, working
from quotasim.units import format_bytes, format_time

if TYPE_CHECKING:
    from quotasim.comparison import KindRow

ROW_COLUMNS: dict[str, ColumnKind] = {
    "profile": "text",
    "dedup_scope": "text",
    "basis": "text",
    "unique_bytes": "bytes",
    "charged_bytes": "bytes",
    "reported_bytes": "bytes",
    "stored_bytes": "bytes",
    "reclaimable_bytes": "bytes",
    "limit_bytes": "bytes",
    "refused": "count",
    "differences": "texts",
}
REASON_COLUMNS: dict[str, ColumnKind] = {"profile": "text", "figure": "text", "step": "figure", "reason": "text"}


def compare(
    snapshot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="[SNAPSHOT]", help="A snapshot: what each kind would say of what is there now."),
    ] = None,
    trace: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--trace",
            metavar="PATH",
            help="A history instead, replayed under each kind; what 'simulate --trace' takes.",
        ),
    ] = None,
    profiles: Annotated[
        str,
        typer.Option("--profiles", metavar="PROFILE,...", help="Registry kinds; by default all.", show_default=False),
    ] = "",
    picture: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--picture", metavar="PNG", help="Draw the figures too.", show_default=False),
    ] = None,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """What other registry kinds would charge, show and store, and why each differs."""
    if (snapshot is None) == (trace is None):
        message = "give a SNAPSHOT or --trace PATH"
        raise typer.BadParameter(message)
    chosen_format(format, output)
    if picture is not None:
        check_place(picture)
    with working("comparing"):
        from quotasim.comparison import compare as compare_kinds
        from quotasim.profiles import PROFILES
        from quotasim.registry import load

        kinds = [name.strip() for name in profiles.split(",")] if profiles else sorted(PROFILES)
        source = trace if trace is not None else load(snapshot or Path())
        rows = compare_kinds(source, kinds)
        if picture is not None:
            _draw(rows, picture)
    documents = [asdict(row) for row in rows]
    for document in documents:
        document["as_of"] = format_time(document["as_of"])
    data = [{**asdict(row), "differences": [str(found) for found in row.differences]} for row in rows]
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "profile": None,
        "dedup_scope": None,
        "computed_at": format_time(max(row.as_of for row in rows)),
        "rows": documents,
    }
    shown: dict[str, ColumnKind] = {name: kind for name, kind in ROW_COLUMNS.items() if name != "differences"}
    table = Table(ROW_COLUMNS, data)
    blocks: list[Table | str] = [
        f"{len(rows)} registry kinds, as of {document['computed_at']}",
        Table(shown, data),
        _reasons(rows),
    ]
    emit(Report(document, table, blocks), format, output)
    if picture is not None:
        note(f"the picture is in {picture}")


def _reasons(rows: list[KindRow]) -> Table | str:
    """Return the steps to each figure, one a line, for people."""
    lines: list[dict[str, object]] = [
        {
            "profile": row.profile,
            "figure": found.figure.removesuffix("_bytes"),
            "step": f"{'+' if found.bytes > 0 else ''}{format_bytes(found.bytes)}",
            "reason": found.reason,
        }
        for row in rows
        for found in row.differences
    ]
    if not lines:
        return "All of them charge and store each blob of a linked manifest once."
    return Table(REASON_COLUMNS, lines, title="why: steps from each blob of a linked manifest once (unique)")


def _draw(rows: list[KindRow], picture: Path) -> None:
    """Draw the comparison into a PNG, whole or not at all."""
    from quotasim import frames, plots
    from quotasim.importers.traces import whole_file

    figure, (axes,) = plots.new_figure(height=0.9 + 0.62 * len(rows))
    plots.comparison(frames.comparison(rows), axes)
    with whole_file(picture) as file:
        figure.savefig(file, format="png", dpi=120)
