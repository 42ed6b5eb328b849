"""``quotasim preview``: what a deletion will free, and when."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Optional

import typer

from quotasim.cli.options import PROFILE_HELP, FormatOption, OutputOption, SnapshotArgument
from quotasim.cli.output import ColumnKind, Report, Table, emit, header, heading
from quotasim.cli.progress import working
from quotasim.units import format_bytes, format_time

TIMELINE_COLUMNS: dict[str, ColumnKind] = {
    "at": "text",
    "charged_bytes": "bytes",
    "reported_bytes": "bytes",
    "stored_bytes": "bytes",
    "cause": "text",
}
HAZARD_COLUMNS: dict[str, ColumnKind] = {
    "severity": "text",
    "kind": "text",
    "reference": "text",
    "message": "text",
    "affected": "texts",
}


def preview(
    snapshot: SnapshotArgument,
    more: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="[REFERENCE]...", help="Further references to delete.", show_default=False),
    ] = None,
    delete: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--delete",
            metavar="REFERENCE",
            help="repository:tag, repository@digest or repository@untagged; further ones may follow, or --delete again.",
        ),
    ] = None,
    profile: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--profile", metavar="PROFILE", help=f"{PROFILE_HELP}; by default the snapshot's."),
    ] = None,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """What deleting images will free, when, and what it would break. Nothing is deleted."""
    if not delete:
        message = "say what to delete: --delete REFERENCE..."
        raise typer.BadParameter(message)
    references = [*delete, *(more or ())]
    with working("deleting on a branch"):
        from quotasim.profiles import by_name
        from quotasim.registry import Registry, load

        registry = load(snapshot)
        if profile is not None:
            registry = Registry.from_engine(registry.engine.under(by_name(profile)))
        answer = registry.preview(delete=references)
    timeline = [{**asdict(row), "at": format_time(row.at)} for row in answer.timeline]
    hazards = [asdict(hazard) for hazard in answer.hazards]
    document = {
        **header(registry),
        "references": references,
        "freed_charged_bytes": answer.freed_charged_bytes,
        "freed_stored_bytes": answer.freed_stored_bytes,
        "already_reclaimable_bytes": answer.already_reclaimable_bytes,
        "timeline": timeline,
        "deleted": answer.deleted,
        "hazards": hazards,
    }
    freed = (
        f"Frees {format_bytes(answer.freed_charged_bytes)} of the charge and {format_bytes(answer.freed_stored_bytes)} "
        f"of the disk, {format_bytes(answer.already_reclaimable_bytes)} of which would go without this deletion."
    )
    blocks: list[Table | str] = [heading(registry), freed, Table(TIMELINE_COLUMNS, timeline, title="what happens")]
    if answer.deleted:
        rows = [{"manifest": name} for name in answer.deleted]
        blocks.append(Table({"manifest": "text"}, rows, title="manifests that go"))
    blocks.append(Table(HAZARD_COLUMNS, hazards, title="hazards") if hazards else "No hazards.")
    emit(Report(document, Table(TIMELINE_COLUMNS, timeline), blocks), format, output)
