"""When things happen, and when they go: working hours, and how long images stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.workloads.parameters import DAY, HOUR, SECOND, Hours

Array = npt.NDArray[Any]
Longs = npt.NDArray[np.int64]

_THURSDAY = 3  # 1970-01-01


def working_days(begin: int, days: int, hours: Hours) -> int:
    """Return how many of the days have working hours."""
    return int(np.isin((begin // DAY + np.arange(days) + _THURSDAY) % 7, hours.days).sum())


def working_times(rng: np.random.Generator, begin: int, days: int, count: int, hours: Hours) -> Longs:
    """Draw moments in working hours, int64[count], in no order; none where the days have no working one.

    Parameters
    ----------
    begin : microseconds since the epoch; hours before it on the first day do not count.
    """
    day = begin // DAY + np.arange(days + 1)
    day = day[np.isin((day + _THURSDAY) % 7, hours.days)]
    opens = np.maximum(day * DAY + hours.begin * HOUR, begin)
    closes = np.minimum(day * DAY + hours.end * HOUR, begin + days * DAY)
    length = np.maximum(closes - opens, 0) // SECOND
    total = int(length.sum())
    if not total:
        return np.empty(0, np.int64)
    drawn = rng.integers(0, total, count)
    ends = np.cumsum(length)
    which = np.searchsorted(ends, drawn, side="right")
    return np.asarray(opens[which] + (drawn - (ends[which] - length[which])) * SECOND, np.int64)


def next_of(key: Array, time: Longs) -> Longs:
    """Return when each row is followed by another of its key, int64[n]; the largest int64 where it is the last.

    Parameters
    ----------
    key : int[n].
    time : int64[n]; of two rows of one time the later row follows.
    """
    order = np.lexsort((time, key))
    follows = np.full(key.size, np.iinfo(np.int64).max)
    same = np.flatnonzero(key[order[1:]] == key[order[:-1]])
    follows[order[same]] = time[order[same + 1]]
    return follows


def gone_at(time: Longs, follows: Longs, lifetime: int | None, end: int) -> tuple[Longs, Longs]:
    """Return (rows that go before ``end``, when): after their lifetime, but not before another has followed.

    With no lifetime none goes.
    """
    if lifetime is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    # One second later than what follows: a retention rule sees the new image first.
    when = np.maximum(time + lifetime, np.minimum(follows, np.iinfo(np.int64).max - SECOND) + SECOND)
    rows = np.flatnonzero(when < end)
    return rows, when[rows]


def number_in(key: Array) -> Longs:
    """Return how many rows of the same key come before each row, int64[n].

    Examples
    --------
    >>> number_in(np.array([4, 2, 4, 4, 2])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1) != 0)
    counts = np.diff(np.append(begins, key.size))
    found = np.empty(key.size, np.int64)
    found[order] = np.arange(key.size) - np.repeat(begins, counts)
    return found
