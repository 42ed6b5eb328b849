"""From Arrow columns to NumPy columns, every cell checked on the way.

Each function reads one column of the layout and returns one array as long as the table, with NULL (-1) in
the place of a null and of a cell that is wrong, so that one wrong cell is reported once and not again by
later checks. Reasons go into the log. An absent column reads as all null. All work is done on whole columns;
only the distinct values of text columns, and the cells that are reported, become Python objects.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from quotasim.importers.arrow_columns import (
    as_bytes,
    decimal_cells,
    encoded,
    is_null,
    is_text,
    report_nulls,
    to_numpy,
)
from quotasim.importers.table_schema import Column, Kind, ProblemLog, RawTable, shown
from quotasim.kernels import NULL
from quotasim.model.digests import PROBLEM_REASONS, DigestArray, DigestProblem, decode_digests

__all__ = [
    "LAST_TIME",
    "PER_SECOND",
    "IdMap",
    "digests",
    "integers",
    "microseconds",
    "references",
    "times",
    "unique_ids",
]

IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MAXIMUM: Final = {Kind.ID: 2**63 - 1, Kind.SIZE: 2**63 - 1, Kind.POSITION: 2**31 - 1}

LAST_TIME: Final = 253_402_300_800_000_000 - 1
"""The last microsecond of the year 9999, UTC."""

PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units of Arrow timestamps in a second."""

_ISO_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.]\d{1,9})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE
)

# A dense lookup table is used for ids up to this many times the number of rows; wilder ids are searched.
_DENSE_IDS: Final = 8


# -- whole numbers ------------------------------------------------------------------------------------


def integers(raw: RawTable, name: str, log: ProblemLog) -> LongArray:
    """Ids, sizes or positions: whole numbers from 0 to 2**63 - 1 (positions: 2**31 - 1).

    Floating-point columns are refused whatever they hold: they cannot tell sizes beyond 2**53 apart.

    Returns
    -------
    int64[n], NULL where null or wrong.
    """
    column, array = raw.column(name), raw.columns.get(name)
    if array is None:
        return np.full(raw.num_rows, NULL, np.int64)
    report_nulls(raw, column, array, log)
    maximum = _MAXIMUM[column.kind]
    if raw.is_csv:
        return _integers_of_text(raw, column, array, maximum, log)
    if pa.types.is_null(array.type):
        return np.full(raw.num_rows, NULL, np.int64)
    if pa.types.is_floating(array.type):
        _report_floats(raw, column, array, log)
        return np.full(raw.num_rows, NULL, np.int64)
    if not pa.types.is_integer(array.type):
        log.add(raw.file, column.name, f"is of type {array.type}; whole numbers are needed")
        return np.full(raw.num_rows, NULL, np.int64)
    null = is_null(array)
    values = to_numpy(array, 0)
    # One comparison at a time, in the column's own type: uint64 and int64 have no common integer type.
    negative = values < 0
    large = values > maximum if np.iinfo(values.dtype).max > maximum else np.zeros(values.size, np.bool_)
    log.add_rows(raw.file, column.name, "negative", np.flatnonzero(negative), lambda row: f"{values[row]} is negative")
    log.add_rows(
        raw.file,
        column.name,
        "too large",
        np.flatnonzero(large),
        lambda row: f"{values[row]} is above {maximum:,}",
    )
    result = values.astype(np.int64)
    result[null | negative | large] = NULL
    return result


def _integers_of_text(raw: RawTable, column: Column, array: pa.Array[Any], maximum: int, log: ProblemLog) -> LongArray:
    digits, values = decimal_cells(as_bytes(array))
    fits = digits & (values <= np.uint64(maximum))
    log.add_rows(
        raw.file,
        column.name,
        "not a whole number",
        np.flatnonzero(~(fits | is_null(array))),
        lambda row: f"{shown(array[row].as_py())} is not a whole number from 0 to {maximum:,}",
    )
    return np.where(fits, values, 0).astype(np.int64) - ~fits


def _report_floats(raw: RawTable, column: Column, array: pa.Array[Any], log: ProblemLog) -> None:
    log.add(
        raw.file,
        column.name,
        f"is of type {array.type}; whole numbers are needed (write a nullable integer column)",
    )
    values = to_numpy(array, 0.0).astype(np.float64)
    infinite = ~np.isfinite(values)
    log.add_rows(
        raw.file,
        column.name,
        "not finite",
        np.flatnonzero(infinite),
        lambda row: f"{values[row]} is not finite",
    )
    wrong = ~infinite & ((values != np.floor(values)) | (values < 0))
    log.add_rows(
        raw.file,
        column.name,
        "not a whole number",
        np.flatnonzero(wrong),
        lambda row: f"{values[row]} is {'negative' if values[row] < 0 else 'not a whole number'}",
    )


# -- times --------------------------------------------------------------------------------------------


def times(raw: RawTable, name: str, log: ProblemLog) -> LongArray:
    """Times as microseconds since the epoch, UTC; a time without a zone is taken to be UTC.

    Parquet: timestamps of any unit and zone (nanoseconds are cut to microseconds). CSV: ISO 8601 with date
    and time. Only years 1970 to 9999 are accepted.

    Returns
    -------
    int64[n], NULL where null or wrong.
    """
    column, array = raw.column(name), raw.columns.get(name)
    if array is None:
        return np.full(raw.num_rows, NULL, np.int64)
    report_nulls(raw, column, array, log)
    if raw.is_csv:
        return _times_of_text(raw, column, array, log)
    if pa.types.is_null(array.type):
        return np.full(raw.num_rows, NULL, np.int64)
    if not isinstance(array.type, pa.TimestampType):
        log.add(raw.file, column.name, f"is of type {array.type}; a timestamp is needed")
        return np.full(raw.num_rows, NULL, np.int64)
    per_second = PER_SECOND[array.type.unit]
    null = is_null(array)
    stamps = pc.cast(array, pa.int64())
    values = to_numpy(stamps, 0)
    # The range is checked in the column's own unit: seconds overflow when multiplied.
    last = min(LAST_TIME * per_second // 10**6, 2**63 - 1)
    outside = (values < 0) | (values > last)
    log.add_rows(
        raw.file,
        column.name,
        "time outside the years 1970 to 9999",
        np.flatnonzero(outside),
        lambda row: f"{values[row]} {array.type} is outside the years 1970 to 9999",
    )
    good = np.where(outside, 0, values)
    result = good * (10**6 // per_second) if per_second <= 10**6 else good // (per_second // 10**6)
    result[null | outside] = NULL
    return result


def _times_of_text(raw: RawTable, column: Column, array: pa.Array[Any], log: ProblemLog) -> LongArray:
    # Scan times repeat, so the distinct texts are few; ten million distinct ones would take about ten
    # seconds.
    codes, values = encoded(array)
    parsed = np.array([microseconds(value) for value in values] + [NULL], np.int64)
    result = parsed[codes]
    wrong = (result == NULL) & ~is_null(array)
    log.add_rows(
        raw.file,
        column.name,
        "not a time",
        np.flatnonzero(wrong),
        lambda row: f"{shown(array[row].as_py())} is not a time of the years 1970 to 9999 in ISO 8601",
    )
    return result


def microseconds(text: bytes) -> int:
    """Microseconds since the epoch, UTC, of a time of the years 1970 to 9999 in ISO 8601; NULL for others.

    Examples
    --------
    >>> microseconds(b"1970-01-01T01:00:00.5+01:00"), microseconds(b"yesterday")
    (500000, -1)
    """
    try:
        decoded = text.decode("ascii")
        if not _ISO_TIME.fullmatch(decoded):
            return NULL
        moment = datetime.fromisoformat(decoded.upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return NULL
    microseconds = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
    return microseconds if 0 <= microseconds <= LAST_TIME else NULL


# -- digests ------------------------------------------------------------------------------------------


def digests(raw: RawTable, name: str, log: ProblemLog) -> tuple[DigestArray, BoolArray]:
    """Digests: ``sha256:`` and 64, or ``sha512:`` and 128, lower-case hexadecimal digits.

    Returns
    -------
    n digests, zero where null or wrong, and bool[n]: there is a digest and it is right.
    """
    column, array = raw.column(name), raw.columns.get(name)
    if array is not None:
        report_nulls(raw, column, array, log)
        if not is_text(array.type) and not pa.types.is_null(array.type):
            log.add(raw.file, column.name, f"is of type {array.type}; text is needed")
            array = None
    if array is None or pa.types.is_null(array.type):
        nothing = np.zeros((raw.num_rows, 4), np.uint64)
        return DigestArray.sha256(nothing), np.zeros(raw.num_rows, np.bool_)
    cells = as_bytes(array)
    bounds, data = (memoryview(buffer or b"") for buffer in cells.buffers()[1:])
    offsets = np.frombuffer(bounds, np.int64, len(cells) + 1, cells.offset * 8)
    found, wrong, reasons = decode_digests(np.frombuffer(data, np.uint8), offsets)
    good = ~is_null(array)
    # Of a null nothing is expected, and Arrow does not promise what lies under it.
    reported = good[wrong]
    reason_of = dict(zip(wrong[reported].tolist(), reasons[reported].tolist(), strict=True))
    log.add_rows(
        raw.file,
        column.name,
        "not a digest",
        wrong[reported],
        lambda row: f"{shown(cells[row].as_py())} is not a digest: {PROBLEM_REASONS[DigestProblem(reason_of[row])]}",
    )
    good[wrong] = False
    return found, good


# -- ids ----------------------------------------------------------------------------------------------


class IdMap:
    """From the ids of a file, which need be neither dense nor sorted, to rows.

    Parameters
    ----------
    ids : int64[n], NULL where unknown. Of repeated ids the first row counts; `repeats` names the others.

    Examples
    --------
    >>> ids = IdMap(np.array([70, 5, 70]))
    >>> ids.rows(np.array([5, 70, 6])).tolist(), ids.repeats.tolist()
    ([1, 0, -1], [2])
    """

    def __init__(self, ids: LongArray) -> None:
        known = np.flatnonzero(ids != NULL)
        largest = int(ids.max(initial=NULL))
        self._table: IntArray | None = None
        self._sorted = self._order = np.zeros(0, np.int64)
        if largest < _DENSE_IDS * ids.size + 1024:
            self._table = np.full(largest + 1, NULL, np.int32)
            # Written backwards, so that the first row of a repeated id is the one that stays.
            self._table[ids[known[::-1]]] = known[::-1]
            self.repeats = known[self._table[ids[known]] != known]
        else:
            order = known[np.argsort(ids[known], kind="stable")]
            ordered = ids[order]
            first = np.ones(order.size, np.bool_)
            first[1:] = ordered[1:] != ordered[:-1]
            self.repeats = np.sort(order[~first])
            self._sorted, self._order = ordered[first], order[first]

    def rows(self, ids: LongArray) -> IntArray:
        """int32[k]: the row of each id, NULL where no row has it. O(k), or O(k log n) if ids are sparse."""
        if self._table is not None:
            inside = (ids >= 0) & (ids < self._table.size)
            if inside.all():
                return self._table[ids]
            found = np.full(ids.size, NULL, np.int32)
            found[inside] = self._table[ids[inside]]
            return found
        at = np.minimum(np.searchsorted(self._sorted, ids), self._sorted.size - 1)
        return np.where(self._sorted[at] == ids, self._order[at], NULL).astype(np.int32)


def references(raw: RawTable, name: str, ids: IdMap | None, target: str, log: ProblemLog) -> IntArray:
    """Ids of another table as its rows.

    Parameters
    ----------
    ids : of the other table; None if that could not be read: then nothing is missed.
    target : the other table's file and column, for the message.

    Returns
    -------
    int32[n], NULL where null, wrong or dangling.
    """
    values = integers(raw, name, log)
    if ids is None:
        return np.full(values.size, NULL, np.int32)
    rows = ids.rows(values)
    dangling = np.flatnonzero((rows == NULL) & (values != NULL))
    log.add_rows(raw.file, name, "dangling", dangling, lambda row: f"{values[row]} is not a {target}")
    return rows


def unique_ids(raw: RawTable, name: str, log: ProblemLog) -> IdMap:
    """The ids of a table; repeated ones are reported."""
    values = integers(raw, name, log)
    ids = IdMap(values)
    log.add_rows(
        raw.file,
        name,
        "repeated",
        ids.repeats,
        lambda row: f"{values[row]} is the {name} of row {ids.rows(values[row : row + 1])[0]:,} too",
    )
    return ids
