"""``quotasim df``: where the bytes are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from quotasim.cli.options import PROFILE_HELP, FormatOption, OutputOption, SnapshotArgument
from quotasim.cli.output import ColumnKind, Report, Table, chosen_format, emit, header, heading
from quotasim.cli.progress import working

if TYPE_CHECKING:
    from quotasim.registry import Registry

ROW_COLUMNS: dict[str, ColumnKind] = {
    "name": "text",
    "logical_bytes": "bytes",
    "unique_bytes": "bytes",
    "exclusive_bytes": "bytes",
    "shared_bytes": "bytes",
    "attributed_bytes": "bytes",
}
"""Of ``rows``, by ``--by``; docs/glossary.md says what each of them is."""

_MEANING = {
    "logical_bytes": "every image on its own, as if nothing were shared",
    "unique_bytes": "each blob once",
    "foreign_bytes": "of these, layers that are fetched from elsewhere",
    "charged_bytes": "what the registry kind counts against a limit",
    "counted_bytes": "what the vendor's own counter says",
    "reported_bytes": "what the vendor's display shows now",
    "stored_bytes": "on disk, wanted or not",
    "upload_bytes": "on disk beside these, of uploads that nobody finished",
    "reclaimable_bytes": "of these, what garbage collection would free now",
    "replicated_bytes": "every copy of what is charged, as it is paid for",
    "limit_bytes": "the limit that the kind displays",
}

_NOT_ALWAYS = {"counted_bytes": "charged_bytes", "upload_bytes": "", "replicated_bytes": "charged_bytes"}
"""Figures that people see only where there is something to see, and what else they would only repeat."""


def df(
    snapshot: SnapshotArgument,
    profile: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--profile", metavar="PROFILE", help=f"{PROFILE_HELP}; by default the snapshot's."),
    ] = None,
    by: Annotated[
        Literal["registry", "namespace", "repository", "image"],
        typer.Option("--by", help="What a row is."),
    ] = "registry",
    split: Annotated[
        Optional[Literal["attributed", "exclusive", "logical"]],  # noqa: UP045
        typer.Option("--split", help="Split what is charged, and its cost, between the rows, by these bytes."),
    ] = None,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Where the bytes are: logical, unique, exclusive, shared, attributed; charged and stored; and who pays."""
    chosen_format(format, output)
    with working("counting"):
        from quotasim.registry import load

        registry = load(snapshot)
        if profile is not None:
            registry = registry.under(profile)
        usage = asdict(registry.usage())
        figures = {key: value for key, value in usage.items() if key not in ("as_of", "profile")}
        if split is not None:
            from quotasim.cli.charge import charge_report

            report = charge_report(registry, by, split, figures)
        else:
            rows = [asdict(row) for row in registry.df(by)]
            report = _report(registry, by, figures, rows)
    emit(report, format, output)


def _report(registry: Registry, by: str, figures: dict[str, Any], rows: list[dict[str, Any]]) -> Report:
    """Return the report without ``--split``."""
    table = Table(ROW_COLUMNS, rows)
    meanings = [
        {"figure": key.removesuffix("_bytes"), "bytes": figures[key], "meaning": meaning}
        for key, meaning in _MEANING.items()
        if key not in _NOT_ALWAYS or figures[key] not in (None, 0, figures.get(_NOT_ALWAYS[key]))
    ]
    blocks: list[Table | str] = [
        heading(registry),
        Table({"figure": "text", "bytes": "bytes", "meaning": "text"}, meanings),
    ]
    if figures["unknown_size_count"]:
        blocks.append(f"{figures['unknown_size_count']:,} blobs have no known size and are counted as 0 bytes.")
    if by != "registry":
        largest_first = sorted(rows, key=lambda row: (-row["attributed_bytes"], row["name"]))
        blocks.append(Table(ROW_COLUMNS, largest_first, title=f"by {by}, the largest share first"))
    return Report({**header(registry), **figures, "by": by, "rows": rows}, table, blocks)
