"""When figures of usage come down after a deletion, and by how much."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from quotasim.frames.columns import NO_TIME, exact, from_codes, times
from quotasim.frames.history import FIGURES
from quotasim.units import format_duration


def falls(
    histories: Mapping[str, pd.DataFrame], since: pd.Timestamp, until: pd.Timestamp | None = None
) -> pd.DataFrame:
    """By how much each figure has fallen a while after a moment, and when that was done.

    Parameters
    ----------
    histories : frames of :func:`quotasim.frames.usage_over_time`, by a name: of a registry kind, or of what was tried.
    since : the moment of the deletion. What happened then counts as after it.
    until : the last moment looked at; None: the end of each history.

    Returns
    -------
    A frame of ``history`` and ``figure`` (categoricals in the order given, and of `FIGURES`), ``peak_bytes`` (the
    most since just before ``since``: a display that is late may still rise), ``rest_bytes`` (in the end),
    ``fallen_bytes`` (the difference), ``at`` (when the figure came to rest) and ``wait`` (from ``since`` to then).
    Times are missing where a figure has not fallen, also where it rose again to its peak. Sorted by history, then by
    figure.

    Notes
    -----
    O(rows).

    Examples
    --------
    >>> from quotasim import Blob, Image, Registry
    >>> from quotasim.frames import usage_over_time
    >>> registry = Registry("acr-premium", start="2026-01-01")
    >>> pushed = registry.push("app:1", Image([Blob.synthetic("layer", 1000)]))
    >>> registry.advance("1h")
    >>> deleted, since = registry.delete("app:1"), pd.Timestamp(registry.now, unit="us", tz="UTC")
    >>> registry.advance("1h")
    >>> told = falls({"acr-premium": usage_over_time(registry.engine)}, since)
    >>> told.set_index("figure")["wait"].dt.total_seconds().to_dict()
    {'logical': 0.0, 'charged': 0.0, 'reported': 300.0, 'stored': 300.0}
    """
    peaks: list[int] = []
    rests: list[int] = []
    ends: list[int] = []
    for frame in histories.values():
        for name in FIGURES:
            mine = frame[frame["figure"] == name]
            before = mine["bytes"][mine["at"] < since].tolist()
            shown = mine["at"] >= since
            if until is not None:
                shown &= mine["at"] <= until
            values = [*(before[-1:] or [0]), *mine["bytes"][shown].tolist()]
            moments = mine["at"][shown].dt.as_unit("us").astype("int64").tolist()
            peak, rest = max(values), values[-1]
            peaks.append(peak)
            rests.append(rest)
            ends.append(NO_TIME if rest == peak else moments[_values_before_rest(values) - 1])
    at = times(np.array(ends, np.int64))
    count = len(histories)
    return pd.DataFrame(
        {
            "history": from_codes(np.repeat(np.arange(count), len(FIGURES)), list(histories)),
            "figure": from_codes(np.tile(np.arange(len(FIGURES)), count), FIGURES),
            "peak_bytes": exact(peaks),
            "rest_bytes": exact(rests),
            "fallen_bytes": exact([peak - rest for peak, rest in zip(peaks, rests, strict=True)]),
            "at": at,
            "wait": (at - since).as_unit("us"),
        }
    )


def format_wait(wait: pd.Timedelta) -> str:
    """Write a wait of :func:`falls` for people; a missing one too.

    Examples
    --------
    >>> [format_wait(wait) for wait in (pd.Timedelta(0), pd.Timedelta(minutes=90), pd.NaT)]
    ['at once', '1h 30min', 'not at all']
    """
    if pd.isna(wait):
        return "not at all"
    return format_duration(wait // pd.Timedelta(1, "us")) if wait else "at once"


def _values_before_rest(values: list[int]) -> int:
    """Return how many values there are before the last one holds to the end.

    Examples
    --------
    >>> _values_before_rest([3, 1, 2, 1, 1])
    3
    """
    return max(place + 1 for place, value in enumerate(values) if value != values[-1])
