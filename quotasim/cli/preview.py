"""``quotasim preview``: what a deletion will free, and when."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from quotasim.cli.options import PROFILE_HELP, FormatOption, OutputOption, SnapshotArgument
from quotasim.cli.output import ColumnKind, Report, Table, chosen_format, emit, header, heading
from quotasim.cli.progress import working
from quotasim.units import format_bytes, format_time

if TYPE_CHECKING:
    from quotasim.accounting.selection import Hazard
    from quotasim.results import TimelineRow, Usage

TIMELINE_COLUMNS: dict[str, ColumnKind] = {
    "at": "text",
    "charged_bytes": "bytes",
    "reported_bytes": "bytes",
    "stored_bytes": "bytes",
    "cause": "text",
}
SHOWN_COLUMNS: dict[str, ColumnKind] = {
    "at": "text",
    "charged_bytes": "figure",
    "reported_bytes": "figure",
    "stored_bytes": "figure",
    "cause": "text",
}

PARTS = (
    "logical_bytes",
    "repeated_bytes",
    "uncharged_bytes",
    "shared_bytes",
    "kept_bytes",
    "other_freed_bytes",
)
"""From the bytes of what goes, each image on its own, to what is freed of the charge."""

_SHOWN_AFFECTED = 3


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
            help="repository:tag, repository@digest or repository@untagged; more may follow.",
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
    chosen_format(format, output)
    with working("deleting on a branch"):
        from quotasim.registry import load

        registry = load(snapshot)
        if profile is not None:
            registry = registry.under(profile)
        before = registry.usage()
        answer = registry.preview(delete=references)
    timeline = [{**asdict(row), "at": format_time(row.at)} for row in answer.timeline]
    hazards = [asdict(hazard) for hazard in answer.hazards]
    document = {
        **header(registry),
        "references": references,
        "freed_charged_bytes": answer.freed_charged_bytes,
        "freed_stored_bytes": answer.freed_stored_bytes,
        "already_reclaimable_bytes": answer.already_reclaimable_bytes,
        **{name: getattr(answer, name) for name in PARTS},
        "timeline": timeline,
        "deleted": answer.deleted,
        "hazards": hazards,
    }
    charged, stored = format_bytes(answer.freed_charged_bytes), format_bytes(answer.freed_stored_bytes)
    freed = f"Frees {charged} of the charge and {stored} of the disk."
    if answer.already_reclaimable_bytes:
        freed += f" {format_bytes(answer.already_reclaimable_bytes)} on the disk would go without this deletion."
    shown = [_with_changes(row, before) for row in answer.timeline]
    blocks: list[Table | str] = [heading(registry), freed, Table(SHOWN_COLUMNS, shown, title="what happens")]
    if answer.deleted:
        rows = [{"manifest": name} for name in answer.deleted]
        blocks.append(Table({"manifest": "text"}, rows, title="manifests that go"))
    blocks.append("\n".join(["hazards", *(_line(hazard) for hazard in answer.hazards)]) if hazards else "No hazards.")
    emit(Report(document, Table(TIMELINE_COLUMNS, timeline), blocks), format, output)


def _with_changes(row: TimelineRow, before: Usage) -> dict[str, object]:
    """Return a row for people: next to a total of gigabytes the change says more."""
    shown: dict[str, object] = {"at": format_time(row.at), "cause": row.cause}
    for name in ("charged_bytes", "reported_bytes", "stored_bytes"):
        total, was = getattr(row, name), getattr(before, name)
        shown[name] = format_bytes(total) if total == was else f"{format_bytes(total)} ({format_bytes(total - was)})"
    return shown


def _line(hazard: Hazard) -> str:
    """Return a hazard in two lines: what, and whom it concerns."""
    lines = [f"  {hazard.severity}, {hazard.kind}: {hazard.reference}", f"    {hazard.message}"]
    lines.extend(f"    {name}" for name in hazard.affected[:_SHOWN_AFFECTED])
    if len(hazard.affected) > _SHOWN_AFFECTED:
        lines.append(f"    and {len(hazard.affected) - _SHOWN_AFFECTED:,} more")
    return "\n".join(lines)
