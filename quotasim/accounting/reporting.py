"""What the vendor's display shows: the charge, some time ago."""

from __future__ import annotations

import numpy as np

from quotasim.model.log import EventLog
from quotasim.model.totals import exact_sum


def reported_bytes(log: EventLog, charged: int, now: int, lag: int, settled: int = 0) -> int:
    """Return the charge as it was ``lag`` microseconds ago.

    Parameters
    ----------
    charged : the charge now.
    settled : events before this id are shown at once: an import begins with a display that has caught up.

    Notes
    -----
    Taken from the log backwards: the charge now, less all that changed since. An event ``lag`` ago exactly is shown.
    O(log n + events within the lag).
    """
    if lag == 0 or len(log) == 0:
        return charged
    first = int(np.searchsorted(log.column("time"), now - lag, side="right"))
    return charged - exact_sum(log.column("charged_bytes", max(first, settled)))
