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
    from quotasim.registry import Registry
    from quotasim.results import TimelineRow, Usage
    from quotasim.retention.rules import RetentionPolicy

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

GOING_COLUMNS: dict[str, ColumnKind] = {
    "repository": "text",
    "tag": "text",
    "manifest": "text",
    "at": "text",
    "reason": "text",
}

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
    keep_newest: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--keep-newest", metavar="N", help="Or keep the newest N tags of each repository, no others."),
    ] = None,
    keep_younger: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--keep-younger", metavar="DURATION", help="Keep tags that were set less than this ago, as 30d."),
    ] = None,
    keep_tags: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--keep-tags", metavar="PATTERN", help="Keep tags with such names, as 'v*'; can be repeated."),
    ] = None,
    untagged_after: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--untagged-after",
            metavar="DURATION",
            help="With --keep-..., remove manifests too that have been without a tag for this long.",
        ),
    ] = None,
    profile: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--profile", metavar="PROFILE", help=f"{PROFILE_HELP}; by default the snapshot's."),
    ] = None,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """What deleting images, or keeping only some, will free, when, and what it would break. Nothing is deleted."""
    policy = _policy(keep_newest, keep_younger, keep_tags or [], untagged_after)
    references = [*(delete or ()), *(more or ())]
    if (policy is None) == (not delete) or (policy is not None and references):
        message = (
            "say what to delete: --delete REFERENCE..., or what to keep: --keep-newest, --keep-younger, --keep-tags"
        )
        raise typer.BadParameter(message)
    chosen_format(format, output)
    with working("deleting on a branch"):
        from quotasim.registry import load

        registry = load(snapshot)
        if profile is not None:
            registry = registry.under(profile)
        before = registry.usage()
        answer = registry.preview(delete=references) if policy is None else registry.preview(policy=policy)
        selection = None if policy is None else _selection(registry, policy)
    timeline = [{**asdict(row), "at": format_time(row.at)} for row in answer.timeline]
    hazards = [asdict(hazard) for hazard in answer.hazards]
    document = {
        **header(registry),
        "references": references,
        "selection": selection,
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
    if selection is not None:
        blocks.extend(_going(selection))
    elif answer.deleted:
        rows = [{"manifest": name} for name in answer.deleted]
        blocks.append(Table({"manifest": "text"}, rows, title="manifests that go"))
    blocks.append("\n".join(["hazards", *(_line(hazard) for hazard in answer.hazards)]) if hazards else "No hazards.")
    emit(Report(document, Table(TIMELINE_COLUMNS, timeline), blocks), format, output)


def _policy(
    newest: int | None, younger: str | None, tags: list[str], untagged_after: str | None
) -> RetentionPolicy | None:
    """Return the retention policy that the options describe; None where there is none of them."""
    if newest is None and younger is None and not tags and untagged_after is None:
        return None
    from quotasim.retention.rules import KeepMatching, KeepNewest, KeepRule, KeepYounger, RetentionPolicy

    rules: list[KeepRule] = [KeepMatching(tags=pattern) for pattern in tags]
    if newest is not None:
        rules.append(KeepNewest(newest))
    if younger is not None:
        rules.append(KeepYounger(younger))
    return RetentionPolicy(rules, untagged_after=untagged_after)


def _selection(registry: Registry, policy: RetentionPolicy) -> list[dict[str, object]]:
    """Return what a policy keeps and removes, a row a tag and a row a manifest without one."""
    from quotasim import frames

    frame = frames.selection(registry.engine, registry.select(policy))
    frame["at"] = frame["at"].dt.as_unit("us").astype("int64").map(format_time)
    frame["tag"] = frame["tag"].astype(object).where(frame["tag"].notna(), None)
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _going(selection: list[dict[str, object]]) -> list[Table | str]:
    """Return for people what goes and why, and how many stay."""
    rows = [row for row in selection if not row["kept"]]
    kept = sum(1 for row in selection if row["kept"] and row["tag"] is not None)
    tags = sum(1 for row in rows if row["tag"] is not None)
    said = f"Keeps {kept:,} tags; {tags:,} tags and {len(rows) - tags:,} manifests go."
    return [said, Table(GOING_COLUMNS, rows, title="what goes, and why")] if rows else [said]


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
