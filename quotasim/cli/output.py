"""What the verbs print: one report, as a table for people, or as JSON, CSV or Parquet for programs.

Bytes are raw integers everywhere but in tables. stdout carries the report and nothing else.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from quotasim import __version__
from quotasim.errors import InvalidValue
from quotasim.units import format_bytes, format_time

if TYPE_CHECKING:
    from rich.console import RenderableType

    from quotasim.registry import Registry

SCHEMA_VERSION: Final = 1
"""Of the JSON documents: raised when a key changes its meaning or goes."""

Format = Literal["table", "json", "csv", "parquet"]
_SUFFIXES: Final[dict[str, Format]] = {".json": "json", ".csv": "csv", ".parquet": "parquet"}

ColumnKind = Literal["text", "texts", "bytes", "count", "ratio", "figure", "money"]

_FORMULA_STARTS: Final = ("=", "+", "-", "@")
_INT64_MAX: Final = 2**63 - 1
_ABSENT: Final = "-"
_PIPE_WIDTH: Final = 100_000


def printable(text: str) -> str:
    r"""Escape what a terminal would obey or would not show: control characters, and those that turn the direction
    of text.

    Examples
    --------
    >>> printable("web\x1b[2J:v1\u202e")
    'web\\x1b[2J:v1\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def csv_cell(text: str) -> str:
    """Escape a text for CSV: nothing that a spreadsheet would take for a formula.

    Examples
    --------
    >>> csv_cell("=cmd()"), csv_cell("team-a/web:v1")
    ("'=cmd()", 'team-a/web:v1')
    """
    shown = printable(text)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with named columns.

    Attributes
    ----------
    columns : the kind of each column by its name, in order.
    rows : values by column: str, list of str (``texts``), int, float, words about a figure (``figure``), Decimal
        (``money``), or None where there is no such figure.
    title : above the table for people.
    """

    columns: Mapping[str, ColumnKind]
    rows: Sequence[Mapping[str, object]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a verb has to say.

    Attributes
    ----------
    document : the JSON.
    data : the rows of CSV and Parquet.
    blocks : what a person reads: tables, and lines of text.
    """

    document: Mapping[str, object]
    data: Table
    blocks: Sequence[Table | str]


def header(registry: Registry) -> dict[str, object]:
    """Return the keys that every JSON document begins with. ``computed_at`` is simulated time, so equal runs print
    equal bytes.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "profile": registry.profile.name,
        "dedup_scope": registry.profile.scope.name.lower(),
        "computed_at": format_time(registry.now),
    }


def heading(registry: Registry) -> str:
    """Return the first line for people: under which rules, and when."""
    scope = registry.profile.scope.name.lower()
    return f"{registry.profile.title}; a blob counts once per {scope}; as of {format_time(registry.now)}"


def chosen_format(wanted: Format | None, output: Path | None) -> Format:
    """Return the format asked for, else the one that the file's name says, else a table. Call it before the work, too.

    Raises
    ------
    InvalidValue : Parquet, and stdout is a terminal; or there is no directory for the file.
    """
    fallback: Format = "table" if output is None else _SUFFIXES.get(output.suffix, "table")
    form = fallback if wanted is None else wanted
    if output is None:
        if form == "parquet" and sys.stdout.isatty():
            raise InvalidValue("--format", form, "table, json or csv on a terminal; -o FILE writes parquet")
    else:
        check_place(output)
    return form


def check_place(output: Path) -> None:
    """Refuse a file that cannot be made.

    Raises
    ------
    InvalidValue : its directory does not exist, or it is itself one.
    """
    if not output.parent.is_dir() or output.is_dir():
        raise InvalidValue("--output", str(output), "a file, in a directory that exists")


def emit(report: Report, wanted: Format | None, output: Path | None = None) -> None:
    """Write a report to a file, whole or not at all, or to stdout.

    Raises
    ------
    InvalidValue : Parquet, and stdout is a terminal.
    OSError : the file cannot be written.
    """
    form = chosen_format(wanted, output)
    if output is None and form == "table":
        _print_blocks(report.blocks)
        return
    content = _as_bytes(report, form)
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    from quotasim.importers.traces import whole_file

    with whole_file(output) as file:
        file.write(content)


def _as_bytes(report: Report, form: Format) -> bytes:
    if form == "json":
        return json.dumps(report.document, indent=2, allow_nan=False).encode() + b"\n"
    if form == "csv":
        return _csv(report.data).encode()
    if form == "parquet":
        return _parquet(report)
    return _plain(report.blocks).encode()


def _csv(table: Table) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([_csv_value(row[name]) for name in table.columns])
    return file.getvalue()


def _csv_value(value: object) -> object:
    if isinstance(value, str):
        return csv_cell(value)
    if isinstance(value, list | tuple):
        return csv_cell(" ".join(value))
    return value


def _parquet(report: Report) -> bytes:
    """Return the rows as a Parquet file whose metadata ``quotasim`` holds the rest of the document."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"text": pa.string(), "texts": pa.list_(pa.string()), "ratio": pa.float64(), "money": pa.decimal128(38, 6)}
    columns = {}
    for name, kind in report.data.columns.items():
        values = [row[name] for row in report.data.rows]
        large = any(isinstance(value, int) and abs(value) > _INT64_MAX for value in values)
        whole = pa.decimal128(38, 0) if large else pa.int64()
        columns[name] = pa.array(values, types.get(kind, whole))
    scalars = {key: value for key, value in report.document.items() if not isinstance(value, list | dict)}
    metadata = {"quotasim": json.dumps(scalars, allow_nan=False)}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), sink, compression="zstd")
    return sink.getvalue()


def cell(value: object, kind: ColumnKind) -> str:
    """Return a value as a person reads it.

    Examples
    --------
    >>> cell(3_221_225_472, "bytes"), cell(None, "bytes"), cell(3256, "count")
    ('3.0 GiB', '-', '3,256')
    """
    if value is None:
        return _ABSENT
    if isinstance(value, list | tuple):
        return printable(", ".join(value))
    if isinstance(value, int):
        return format_bytes(value) if kind == "bytes" else f"{value:,}"
    return printable(str(value))


def _rendered(table: Table, *, fold: bool) -> RenderableType:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    rich_table = RichTable(
        title=Text(table.title) if table.title else None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for name, kind in table.columns.items():
        label = name.removesuffix("_bytes").replace("_", " ")
        rich_table.add_column(
            Text(label),
            justify="left" if kind in ("text", "texts") else "right",
            overflow="fold",
            no_wrap=not fold or kind not in ("text", "texts"),
        )
    for row in table.rows:
        rich_table.add_row(*(Text(cell(row[name], kind)) for name, kind in table.columns.items()))
    return rich_table


def _print_blocks(blocks: Sequence[Table | str]) -> None:
    """Print for people: in colour and folded to the width of a terminal, plain and as wide as it comes into a pipe."""
    if not sys.stdout.isatty():
        sys.stdout.write(_plain(blocks))
        return
    from rich.console import Console
    from rich.text import Text

    # rich would keep bold type: without colours means without any escapes here.
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(highlight=False, emoji=False, color_system=colours)
    for number, block in enumerate(blocks):
        if number:
            console.print()
        if isinstance(block, Table):
            console.print(_rendered(block, fold=True))
        else:
            console.print(Text("\n".join(printable(line) for line in block.split("\n"))))


def _plain(blocks: Sequence[Table | str]) -> str:
    """Return blocks as text without colours; no line is broken and none ends in blanks."""
    from rich.console import Console
    from rich.text import Text

    file = io.StringIO()
    console = Console(
        file=file, width=_PIPE_WIDTH, highlight=False, emoji=False, force_terminal=False, color_system=None
    )
    for number, block in enumerate(blocks):
        if number:
            console.print()
        if isinstance(block, Table):
            console.print(_rendered(block, fold=False))
        else:
            console.print(Text("\n".join(printable(line) for line in block.split("\n"))))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
