"""``quotasim show-usage``: what the vendor's own command would print."""

from __future__ import annotations

from quotasim.cli.options import FormatOption, OutputOption, SnapshotArgument
from quotasim.cli.output import ColumnKind, Report, Table, chosen_format, emit, header
from quotasim.cli.progress import working

USAGE_COLUMNS: dict[str, ColumnKind] = {
    "name": "text",
    "limit": "count",
    "currentValue": "count",
    "unit": "text",
}


def show_usage(snapshot: SnapshotArgument, format: FormatOption = None, output: OutputOption = None) -> None:
    """Usage in the shape of 'az acr show-usage': in JSON under 'value', bytes as they are, a limit of -1 is none."""
    chosen_format(format, output)
    with working("loading"):
        from quotasim.registry import load

        registry = load(snapshot)
        value = registry.show_usage()["value"]
    table = Table(USAGE_COLUMNS, value)
    emit(Report({**header(registry), "value": value}, table, [table]), format, output)
