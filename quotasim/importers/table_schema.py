"""The layout of imported tables, and the reading of one file of it into Arrow columns.

A table set is a directory with ``blobs``, ``manifests`` and ``layers``, either ``tags`` or ``tag_events`` (or
neither: then nothing is tagged), and optionally ``indexes``; each as ``.parquet`` or as ``.csv``. Columns
that are not listed here are ignored.

Nothing here raises for broken input: what is wrong goes into a `ProblemLog`, so that one run names all of
it. A row in a problem is the 0-based data row: row 0 is the first line after the header of a CSV file (blank
lines and the header are not counted), as ``DataFrame.iloc`` counts.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from quotasim.errors import Problem

__all__ = [
    "OPTIONAL_TABLES",
    "REQUIRED_TABLES",
    "TABLES",
    "Column",
    "Kind",
    "ProblemLog",
    "RawTable",
    "error_text",
    "open_table",
    "shown",
]

MAX_ROWS: Final = 2**31 - 1
"""Row numbers are int32."""

MAX_LISTED: Final = 10
"""Rows listed of one kind of problem in one column; further ones are counted."""

MAX_CELL_SHOWN: Final = 80
MAX_HEADER_BYTES: Final = 2**16


class Kind(Enum):
    """What the cells of a column are."""

    ID = auto()
    SIZE = auto()
    POSITION = auto()
    DIGEST = auto()
    TIME = auto()
    TEXT = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the layout.

    Attributes
    ----------
    name : of the column.
    kind : what its cells are.
    required : the file must have the column.
    nullable : a cell may be null.
    """

    name: str
    kind: Kind
    required: bool = True
    nullable: bool = False


def _optional(name: str, kind: Kind) -> Column:
    return Column(name, kind, required=False, nullable=True)


TABLES: Final[dict[str, tuple[Column, ...]]] = {
    "blobs": (
        Column("blob_id", Kind.ID),
        Column("digest", Kind.DIGEST),
        Column("size", Kind.SIZE, nullable=True),
        _optional("media_type", Kind.TEXT),
        _optional("uploaded_at", Kind.TIME),
    ),
    "manifests": (
        Column("manifest_id", Kind.ID),
        Column("manifest_digest", Kind.DIGEST),
        Column("repository", Kind.TEXT),
        _optional("platform", Kind.TEXT),
        _optional("media_type", Kind.TEXT),
        _optional("first_observed_at", Kind.TIME),
        _optional("pushed_at", Kind.TIME),
        _optional("config_digest", Kind.DIGEST),
        _optional("config_size", Kind.SIZE),
    ),
    "layers": (
        Column("manifest_id", Kind.ID),
        Column("position", Kind.POSITION),
        Column("blob_id", Kind.ID),
    ),
    "tags": (
        Column("repository", Kind.TEXT),
        Column("tag", Kind.TEXT),
        Column("manifest_id", Kind.ID),
        _optional("platform", Kind.TEXT),
        _optional("tagged_at", Kind.TIME),
    ),
    "tag_events": (
        Column("observed_at", Kind.TIME),
        Column("repository", Kind.TEXT),
        Column("tag", Kind.TEXT),
        Column("op", Kind.TEXT),
        Column("manifest_id", Kind.ID),
        _optional("event_id", Kind.ID),
        _optional("platform", Kind.TEXT),
        _optional("prev_manifest_id", Kind.ID),
        _optional("scan_commit", Kind.TEXT),
    ),
    "indexes": (
        Column("index_digest", Kind.DIGEST),
        Column("manifest_id", Kind.ID),
        _optional("platform", Kind.TEXT),
    ),
}
REQUIRED_TABLES: Final = ("blobs", "manifests", "layers")
OPTIONAL_TABLES: Final = ("tags", "tag_events", "indexes")


def shown(value: object) -> str:
    r"""A cell as it may be printed: quoted, escaped where it is not plain ASCII, cut after 80 characters.

    Examples
    --------
    >>> shown("a" + chr(27) + "[2Jb")
    "'a\\x1b[2Jb'"
    >>> shown(b"caf" + bytes([0xe9]))
    "'caf\\\\xe9'"
    """
    if isinstance(value, bytes):
        value = value[: 2 * MAX_CELL_SHOWN].decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        value = value[: 2 * MAX_CELL_SHOWN]
    text = ascii(value)
    return text if len(text) <= MAX_CELL_SHOWN else f"{text[:MAX_CELL_SHOWN]}..."


class ProblemLog:
    """Collects problems; a hopeless file of ten million rows still makes a short report.

    Of one kind of problem in one column of one file the first 10 rows are listed and the rest is counted.
    Kinds keep the order in which they were found.

    Examples
    --------
    >>> log = ProblemLog()
    >>> log.add_rows("blobs.csv", "size", "negative", range(25), lambda row: f"-{row} is negative")
    >>> problems = log.problems()
    >>> len(problems), problems[0].message, problems[-1].message
    (11, '-0 is negative', 'negative: 15 more rows')
    """

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def __len__(self) -> int:
        return len(self._problems)

    def add(self, file: str, column: str | None, message: str, row: int | None = None) -> None:
        """Add one problem of a file, of a column or of one row."""
        self._problems.append(Problem(file, row, column, message))

    def add_rows(
        self, file: str, column: str | None, kind: str, rows: Iterable[Any], message: Callable[[int], str]
    ) -> None:
        """Add one problem for each row; ``message`` is called for the listed rows only.

        Parameters
        ----------
        rows : 0-based rows, ascending; an array or another sized iterable.
        kind : what the rows that are only counted have in common.
        """
        rows = rows if isinstance(rows, np.ndarray) else list(rows)
        for row in islice(rows, MAX_LISTED):
            self._problems.append(Problem(file, int(row), column, message(int(row))))
        if len(rows) > MAX_LISTED:
            more = len(rows) - MAX_LISTED
            self._problems.append(Problem(file, None, column, f"{kind}: {more:,} more row{'s' if more > 1 else ''}"))

    def problems(self) -> list[Problem]:
        """All problems so far."""
        return list(self._problems)


@dataclass(frozen=True, slots=True)
class RawTable:
    """One file of a table set, cells not yet checked.

    Attributes
    ----------
    table : name in the layout.
    file : name of the file, as problems give it.
    columns : the layout's columns that the file has, each one Arrow array; those of a CSV file are
        ``large_binary``.
    num_rows : rows.
    is_csv : read from CSV, so that numbers and times are still text.
    """

    table: str
    file: str
    columns: dict[str, pa.Array[Any]]
    num_rows: int
    is_csv: bool

    def column(self, name: str) -> Column:
        """The layout's word on a column."""
        return next(column for column in TABLES[self.table] if column.name == name)


def open_table(directory: Path, name: str, log: ProblemLog) -> RawTable | None:
    """Read the layout's columns of one table.

    Returns None, with the reason in ``log``, where the file is broken, ambiguous or lacks a column; None
    without a problem where an optional table is absent.
    """
    paths = [path for suffix in (".parquet", ".csv") if (path := directory / f"{name}{suffix}").exists()]
    if not paths:
        if name in REQUIRED_TABLES:
            log.add(f"{name}.parquet", None, f"there is neither {name}.parquet nor {name}.csv")
        return None
    if len(paths) > 1:
        log.add(paths[0].name, None, f"{paths[1].name} is there too: keep one of them")
        return None
    path = paths[0]
    if not path.is_file():
        log.add(path.name, None, "is not a regular file")
        return None
    try:
        table = _read_csv(path, name, log) if path.suffix == ".csv" else _read_parquet(path, name, log)
    # UnicodeDecodeError and csv.Error: the header of a CSV file; ArrowException and OSError: the rest.
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        log.add(path.name, None, f"cannot be read: {error_text(error)}")
        return None
    if table is None:
        return None
    if table.num_rows > MAX_ROWS:
        log.add(path.name, None, f"has {table.num_rows:,} rows; at most {MAX_ROWS:,} can be numbered")
        return None
    columns = {column: _one_array(table.column(column)) for column in table.column_names}
    return RawTable(name, path.name, columns, table.num_rows, path.suffix == ".csv")


def error_text(error: Exception) -> str:
    """First line of a library's error, escaped and cut."""
    return ascii((str(error).splitlines() or [type(error).__name__])[0])[1:-1][:300]


def _one_array(column: pa.ChunkedArray[Any]) -> pa.Array[Any]:
    kind = column.type
    # 32-bit offsets end at 2 GiB: 30 million digests. The large variants have none of that.
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.large_string())
    elif pa.types.is_binary(kind) or pa.types.is_binary_view(kind):
        column = column.cast(pa.large_binary())
    return column.combine_chunks()


def _wanted(file: str, name: str, present: list[str], log: ProblemLog) -> list[str] | None:
    """The layout's columns among those present; None, and problems, if the header cannot be used."""
    known = {column.name for column in TABLES[name]}
    repeated = sorted({column for column in present if column in known and present.count(column) > 1})
    missing = [column.name for column in TABLES[name] if column.required and column.name not in present]
    for column in repeated:
        log.add(file, column, "the file has this column more than once")
    for column in missing:
        log.add(file, column, f"the column is missing; the file has {_listing(present)}")
    return None if repeated or missing else [column for column in present if column in known]


def _listing(names: list[str]) -> str:
    listed = ", ".join(shown(name) for name in names[:MAX_LISTED])
    return listed + (f" and {len(names) - MAX_LISTED:,} more" if len(names) > MAX_LISTED else "") if names else "none"


def _read_parquet(path: Path, name: str, log: ProblemLog) -> pa.Table | None:
    with pq.ParquetFile(path) as parquet:
        wanted = _wanted(path.name, name, parquet.schema_arrow.names, log)
        if wanted is None:
            return None
        if parquet.metadata.num_rows > MAX_ROWS:
            log.add(
                path.name,
                None,
                f"has {parquet.metadata.num_rows:,} rows; at most {MAX_ROWS:,} can be numbered",
            )
            return None
        return parquet.read(columns=wanted)


def _read_csv(path: Path, name: str, log: ProblemLog) -> pa.Table | None:
    with path.open("rb") as file:
        line = file.readline(MAX_HEADER_BYTES)
        is_header_only = not file.read(1)
    header = next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")]), [])
    if not header:
        log.add(path.name, None, "is empty: a header line is needed")
        return None
    wanted = _wanted(path.name, name, header, log)
    if wanted is None:
        return None
    if is_header_only:
        return pa.table({column: pa.array([], pa.large_binary()) for column in wanted})
    # Cells are read as bytes and parsed here: Arrow's own parser would take "0x1F" for a number, and gives
    # up at the first bad cell.
    convert = pa_csv.ConvertOptions(
        include_columns=wanted,
        column_types={column: pa.large_binary() for column in wanted},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
        check_utf8=False,
    )
    try:
        return pa_csv.read_csv(path, convert_options=convert)
    except pa.ArrowInvalid:
        # Row numbers are known to the single-threaded reader only: the slow second reading is for broken
        # files.
        ragged: list[tuple[int, int]] = []

        def note(row: pa_csv.InvalidRow) -> Literal["skip"]:
            ragged.append((row.number or 0, row.actual_columns))
            return "skip"

        pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(use_threads=False),
            parse_options=pa_csv.ParseOptions(invalid_row_handler=note),
            convert_options=convert,
        )
        if not ragged:
            raise
        cells = dict(ragged)
        # The reader counts the header as row 1.
        log.add_rows(
            path.name,
            None,
            "the number of cells differs from the header's",
            [number - 2 for number in cells],
            lambda row: f"has {cells[row + 2]} cells, the header has {len(header)}",
        )
        return None
