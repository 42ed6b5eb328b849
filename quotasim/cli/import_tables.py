"""``quotasim import tables``: a registry's tables into a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from quotasim.cli.options import PROFILE_HELP, FormatOption
from quotasim.cli.output import ColumnKind, Report, Table, chosen_format, emit, header, heading
from quotasim.cli.progress import working
from quotasim.errors import SnapshotError

COUNT_COLUMNS: dict[str, ColumnKind] = {"what": "text", "count": "count"}


def import_tables(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Has blobs, manifests, layers, tags or tag_events, as .parquet or .csv."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="SNAPSHOT", help="The snapshot directory to write.")
    ],
    untagged: Annotated[
        Literal["drop", "keep"],
        typer.Option(
            "--untagged", help="drop: what is bound at the end; keep: all that ever was, as if nothing were deleted."
        ),
    ] = "drop",
    profile: Annotated[str, typer.Option("--profile", metavar="PROFILE", help=f"{PROFILE_HELP}.")] = "distribution-2.8",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is at the output.")] = False,
    format: FormatOption = None,
) -> None:
    """Read tables of blobs, manifests and tags. Everything is checked first; of broken input nothing is written."""
    chosen_format(format, None)
    with working("reading tables"):
        from quotasim import snapshot
        from quotasim.importers.load import engine_from_tables
        from quotasim.importers.tables import read_tables
        from quotasim.importers.trace_table import trace_from_tables
        from quotasim.importers.traces import write_trace
        from quotasim.model.oci import Kind
        from quotasim.profiles import by_name
        from quotasim.registry import TRACE_NAME, Registry

        rules = by_name(profile)
        # Before the work, not after it; what appears in the meantime is refused when it is written.
        if (output / snapshot.HEADER).exists() and not overwrite:
            raise SnapshotError(output, "there is one already; --overwrite replaces it")
        tables = read_tables(directory)
        registry = Registry.from_engine(engine_from_tables(tables, rules, untagged=untagged))
        attach = {}
        if tables.is_history:
            events = trace_from_tables(tables)
            attach[TRACE_NAME] = lambda path: write_trace(path, events)
        provenance = {"importer": "tables", "source": directory.resolve().name, "untagged": untagged}
        snapshot.save(registry.engine, output, overwrite=overwrite, provenance=provenance, attach=attach)
        engine = registry.engine
        totals = engine.figures()
        graph = engine.content.graph()
        indexes = int((engine.live_manifests()[graph.kind == Kind.INDEX] != 0).sum())
    counts = {
        "repositories": len(tables.repositories),
        "tags": totals["bindings"],
        "indexes": indexes,
        "images": totals["live_manifests"] - indexes,
        "blobs": totals["live_blobs"],
        "unknown_sizes": totals["unknown_size_count"],
        "logical_bytes": totals["logical_bytes"],
        "unique_bytes": totals["unique_bytes"],
        "foreign_bytes": totals["foreign_bytes"],
    }
    data = Table(COUNT_COLUMNS, [{"what": what, "count": count} for what, count in counts.items()])
    document = {**header(registry), "snapshot": str(output), "untagged": untagged, **counts}
    emit(Report(document, data, [heading(registry), data]), format)
