"""What the vendor's display shows: what is counted, some time ago."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from quotasim.model.log import EventLog
from quotasim.model.totals import exact_sum

Times = TypeVar("Times", int, npt.NDArray[np.int64])
"""A time, or an array of times, int64[n]."""


def shown_at(now: int, lag: int, every: int, origin: int) -> int:
    """Return the time whose figures a display shows at ``now``: ``lag`` ago, and before its last refresh, which it does
    every ``every`` from ``origin`` on. What happens at the moment of a refresh is in the next one.

    Examples
    --------
    >>> shown_at(70, lag=5, every=0, origin=0), shown_at(70, lag=5, every=30, origin=0)
    (65, 54)
    """
    return (now if every == 0 else origin + (now - origin) // every * every - 1) - lag


def seen_from(time: Times, lag: int, every: int, origin: int) -> Times:
    """Return when a display begins to show what happened at ``time``: the earliest moment that :func:`shown_at` maps to
    it or later. Of several times, an array.

    Examples
    --------
    >>> seen_from(55, lag=5, every=0, origin=0), seen_from(55, lag=5, every=30, origin=0)
    (60, 90)
    """
    moment = time + lag
    return moment if every == 0 else origin - (origin - moment - 1) // every * every


def reported_bytes(log: EventLog, counted: int, shown: int, settled: int = 0) -> int:
    """Return what was counted at the time ``shown``.

    Parameters
    ----------
    counted : what is counted now: the charge, and where the vendor keeps a counter its drift.
    settled : events before this id are shown at once: an import begins with a display that has caught up.

    Notes
    -----
    Taken from the log backwards: what is counted now, less all that changed since. An event at ``shown`` exactly is
    in it. O(log n + events since).
    """
    first = max(int(np.searchsorted(log.column("time"), shown, side="right")), settled)
    later = (log.column(name, first) for name in ("charged_bytes", "drift_bytes"))
    return counted - sum(exact_sum(deltas) for deltas in later)
