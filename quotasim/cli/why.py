"""``quotasim why``: who holds the blobs of an image."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from quotasim.cli.options import FormatOption, OutputOption, SnapshotArgument
from quotasim.cli.output import ColumnKind, Report, Table, chosen_format, emit, header, heading
from quotasim.cli.progress import working
from quotasim.units import format_bytes

if TYPE_CHECKING:
    from quotasim.results import Why

BLOB_COLUMNS: dict[str, ColumnKind] = {
    "digest": "text",
    "size": "bytes",
    "role": "text",
    "holders": "count",
    "held_by": "texts",
}

_SHOWN_HOLDERS = 3


def why(
    snapshot: SnapshotArgument,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="repository:tag or repository@digest.")],
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Why deleting an image frees what it frees: each of its blobs and who else holds it."""
    chosen_format(format, output)
    with working("looking for holders"):
        from quotasim.registry import load

        registry = load(snapshot)
        answer = registry.why(reference)
    blobs = [asdict(blob) for blob in answer.blobs]
    document = {
        **header(registry),
        "reference": answer.reference,
        "manifest": answer.manifest,
        "tags": answer.tags,
        "logical_bytes": answer.logical_bytes,
        "unique_bytes": answer.unique_bytes,
        "exclusive_bytes": answer.exclusive_bytes,
        "shared_bytes": answer.shared_bytes,
        "blobs": blobs,
    }
    shown = [{**blob, "held_by": _some(blob["held_by"])} for blob in blobs]
    blocks: list[Table | str] = [
        heading(registry),
        sentence(answer),
        Table(BLOB_COLUMNS, shown, title="blobs, largest first"),
    ]
    emit(Report(document, Table(BLOB_COLUMNS, blobs), blocks), format, output)


def sentence(answer: Why) -> str:
    """Return the answer in words."""
    lines = [
        f"{answer.reference} has {format_bytes(answer.unique_bytes)}: if it went, "
        f"{format_bytes(answer.exclusive_bytes)} would go with it, {format_bytes(answer.shared_bytes)} would stay."
    ]
    if len(answer.tags) > 1:
        lines.append(f"Its manifest has {len(answer.tags)} tags: {', '.join(answer.tags)}.")
    return "\n".join(lines)


def _some(names: tuple[str, ...]) -> list[str]:
    """Return the first holders, and how many more there are: a base image has thousands."""
    if len(names) <= _SHOWN_HOLDERS:
        return list(names)
    return [*names[:_SHOWN_HOLDERS], f"and {len(names) - _SHOWN_HOLDERS:,} more"]
