"""The event log: the only history. Rows are appended and never changed; usage series are cumulative sums of its
deltas.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.kernels import GROWTH, layout
from quotasim.kernels.layout import LogRows

Array = npt.NDArray[Any]

DTYPES = {
    "time": np.int64,
    "kind": np.uint8,
    "reason": np.uint8,
    "repository": np.int32,
    "manifest": np.int32,
    "tag": np.int32,
    "blob": np.int32,
    "cause": np.int32,
    "batch": np.int32,
    "bindings": np.int8,
    "manifests": np.int8,
    "blobs": np.int32,
    "unique_bytes": np.int64,
    "charged_bytes": np.int64,
    "stored_bytes": np.int64,
    "first_stored_bytes": np.int64,
    "upload_bytes": np.int64,
    "drift_bytes": np.int64,
}
assert tuple(DTYPES) == LogRows._fields


class EventKind(IntEnum):
    """What an event records."""

    PUSH = layout.OP_PUSH
    TAG = layout.OP_TAG
    UPLOAD = layout.OP_UPLOAD
    PULL = layout.OP_PULL
    LOCK = layout.OP_LOCK
    GC = layout.OP_GC
    BEGIN_UPLOAD = layout.OP_BEGIN_UPLOAD
    APPEND = layout.OP_APPEND
    RESERVE = layout.OP_RESERVE
    RESTORE = layout.OP_RESTORE
    MISCOUNT = layout.OP_MISCOUNT
    UNCOUNT = layout.OP_UNCOUNT
    UNTAG = layout.OP_UNTAG
    DELETE = layout.OP_DELETE
    UNLINK_BLOB = layout.OP_UNLINK_BLOB
    COLLECT = layout.OP_COLLECT
    SWEEP = layout.OP_SWEEP
    CANCEL_UPLOAD = layout.OP_CANCEL_UPLOAD
    PURGE_UPLOAD = layout.OP_PURGE_UPLOAD
    RECOUNT = layout.OP_RECOUNT
    REFUSE = layout.EVENT_REFUSE


class Reason(IntEnum):
    """Why an operation was refused."""

    NONE = layout.REASON_NONE
    QUOTA = layout.REASON_QUOTA
    LOCKED = layout.REASON_LOCKED
    NOT_LINKED = layout.REASON_NOT_LINKED
    IMMUTABLE = layout.REASON_IMMUTABLE
    CHILD = layout.REASON_CHILD
    TAGGED = layout.REASON_TAGGED
    REFERRER = layout.REASON_REFERRER
    READ_ONLY = layout.REASON_READ_ONLY


class EventLog:
    """Typed columns of events; row number = event id. A branch reads its parent's rows and appends its own.

    Because rows are never changed, branching copies nothing: the branch keeps references to the parent's arrays and to
    how many rows of them it has seen.

    Examples
    --------
    >>> log = EventLog()
    >>> len(log), log.column("charged_bytes").dtype
    (0, dtype('int64'))
    """

    __slots__ = ("_inherited", "_length", "_rows", "base")

    def __init__(self) -> None:
        self._inherited: tuple[tuple[LogRows, int], ...] = ()
        self.base = 0
        self._rows = LogRows(*(np.empty(0, dtype) for dtype in DTYPES.values()))
        self._length = 0

    def __len__(self) -> int:
        return self.base + self._length

    @property
    def nbytes(self) -> int:
        """Bytes of this log's own rows, spare capacity included."""
        return sum(column.nbytes for column in self._rows)

    @property
    def rows(self) -> LogRows:
        """The arrays that a kernel writes from row ``own_length`` on."""
        return self._rows

    @property
    def own_length(self) -> int:
        """Rows appended since the last branching; event id = ``base`` + row."""
        return self._length

    def reserve(self, rows: int) -> None:
        """Make room for ``rows`` more events."""
        wanted = self._length + rows
        if wanted <= self._rows.time.shape[0]:
            return
        room = wanted if self._length == 0 else max(wanted, int(self._rows.time.shape[0] * GROWTH) + 64)
        grown = []
        for column in self._rows:
            larger = np.empty(room, column.dtype)
            larger[: self._length] = column[: self._length]
            grown.append(larger)
        self._rows = LogRows(*grown)

    def commit(self, length: int) -> None:
        """Take the first ``length`` own rows as written."""
        self._length = length

    def column(self, name: str, start: int = 0) -> Array:
        """Return column ``name`` of all events from id ``start`` on. A view where one array holds them; not to be
        written.
        """
        at = LogRows._fields.index(name)
        parts = []
        first = 0
        for rows, length in (*self._inherited, (self._rows, self._length)):
            if first + length > start:
                parts.append(rows[at][max(start - first, 0) : length])
            first += length
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, DTYPES[name])

    def times_of(self, events: Array, *, absent: int) -> Array:
        """Return the int64 times of ``events`` (ids, NULL allowed); ``absent`` where NULL.

        O(len(events) * number of branchings behind it): of a long past nothing else is touched.
        """
        times = np.full(events.shape, absent, np.int64)
        first = 0
        for rows, length in (*self._inherited, (self._rows, self._length)):
            here = (events >= first) & (events < first + length)
            times[here] = rows.time[events[here] - first]
            first += length
        return times

    def branch(self) -> EventLog:
        """Return a log that has the same past and its own future. O(number of branchings behind it)."""
        other = EventLog()
        other._inherited = (*self._inherited, (self._rows, self._length)) if self._length else self._inherited
        other.base = len(self)
        return other

    def restore(self, columns: dict[str, Array]) -> None:
        """Become the log with exactly these columns (a snapshot)."""
        self._inherited = ()
        self.base = 0
        self._rows = LogRows(*(np.ascontiguousarray(columns[name], dtype) for name, dtype in DTYPES.items()))
        self._length = self._rows.time.shape[0]
