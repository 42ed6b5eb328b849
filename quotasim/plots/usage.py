"""Usage over time. Steps, since usage jumps: every change is drawn where it happened, nothing is averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import NullLocator

from quotasim.errors import InvalidValue
from quotasim.plots.marks import annotate_events, staggered
from quotasim.plots.style import (
    CHARGED,
    LIMIT,
    LOGICAL,
    NOTEBOOK_WIDTH,
    REPORTED,
    STORED,
    Array,
    Style,
    byte_axis,
    new_figure,
)
from quotasim.units import format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    TimeUnit = Literal["min", "h", "D"]

Scale = Literal["minutes", "hours", "days", "log"]
_UNITS: dict[Scale, TimeUnit] = {"minutes": "min", "hours": "h", "days": "D", "log": "min"}

# In the order in which they are drawn: what lies above must leave what is below it to be seen.
_FIGURES: dict[str, tuple[Style, str]] = {
    "stored": (STORED, "stored: on the registry's disk"),
    "logical": (LOGICAL, "logical: every image on its own"),
    "charged": (CHARGED, "charged: what the quota counts"),
    "reported": (REPORTED, "reported: what the display shows"),
}

_MARKS = {0: "0", 5: "5 min", 60: "1 h", 1_440: "1 d", 10_080: "1 w"}
"""Marks of an axis that counts logarithmically, by their minute."""


def usage(
    frame: pd.DataFrame,
    ax: Axes | None = None,
    *,
    limit: int | None = None,
    events: Mapping[pd.Timestamp, str] | None = None,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
    scale: Scale | None = None,
) -> Axes:
    """Draw figures of usage as steps over time; every change is drawn where it happened, nothing is averaged.

    Parameters
    ----------
    frame : of :func:`quotasim.frames.usage_over_time`: ``figure``, ``at``, ``bytes``, a row a change. Categories of
        ``figure`` without a row are drawn as 0.
    ax : to draw on; by default one of a new figure, of a notebook's width.
    limit : bytes to draw a line at.
    events : short texts of what was done, by its time.
    since, until : what to show, by default from the first change of any figure to the last. With ``since`` the axis
        counts from it, else it has dates.
    scale : what the axis counts in, by default the unit that fits. ``"log"``: the first minute as it is, and the time
        after it logarithmically, so that minutes and weeks can be read off one picture.

    Returns
    -------
    The Axes. :func:`quotasim.plots.legend` says above it what is what.

    Raises
    ------
    InvalidValue : a ``scale`` without ``since``.
    """
    if scale is not None and since is None:
        raise InvalidValue("scale", scale, "None where no time is given to count from")
    axes = new_figure(width=NOTEBOOK_WIDTH)[1][0] if ax is None else ax
    if frame.empty:
        return axes
    first = frame["at"].min() if since is None else since
    last = frame["at"].max() if until is None else until
    end = end_of(first, last)
    chosen = _scale_of(end - first) if scale is None else scale

    def places(times: pd.Series[pd.Timestamp]) -> npt.NDArray[Any]:
        """Return where times are on the axis."""
        if since is None:
            return times.dt.tz_localize(None).to_numpy()
        return ((times - since) / pd.Timedelta(1, _UNITS[chosen])).to_numpy()

    unit = byte_axis(axes.yaxis, float(max(frame["bytes"].max(), limit or 0)), "usage")
    named = frame["figure"].astype("category")
    for name, (style, label) in _FIGURES.items():
        if name not in named.cat.categories:
            continue
        times, values = staircase(frame[named == name], first, end, before=chosen == "log")
        x, y = places(times), values / unit
        if name == "stored":
            axes.fill_between(x, y, step="post", label=label, **style)
        else:
            axes.step(x, y, where="post", label=label, **style)
    if limit is not None:
        axes.axhline(limit / unit, label=f"limit {format_bytes(limit)}", **LIMIT)
    axes.set_ylim(bottom=0)
    if since is None:
        show_dates(axes)
    elif chosen == "log":
        _count_logarithmically(axes, (end - first) / pd.Timedelta(minutes=1))
    else:
        axes.set_xlabel(f"time ({chosen})")
        axes.set_xlim(0, (end - first) / pd.Timedelta(1, _UNITS[chosen]))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    if events:
        marked = pd.Series(list(events)).sort_values()
        texts = [events[time] for time in marked]
        annotate_events(axes, staggered(axes, dict(zip(places(marked).tolist(), texts, strict=True))))
    return axes


def usage_over_time(
    frame: pd.DataFrame,
    ax: Axes | None = None,
    *,
    lag: pd.Timedelta | None = None,
    limit: int | None = None,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
) -> Axes:
    """Draw charged, reported and stored bytes as steps, from a frame that does not say what was reported.

    Parameters
    ----------
    frame : of :func:`quotasim.frames.usage_series`: ``time``, ``charged_bytes``, ``stored_bytes``, a row a change.
    ax : to draw on; by default one of a new figure.
    lag : by which the vendor's display follows the charge; None: nothing reported is drawn.
    limit : bytes to draw a line at.
    since, until : what to show, by default from the first change to the last. With ``since`` the axis counts
        minutes from it.

    Returns
    -------
    The Axes.
    """
    axes = new_figure()[1][0] if ax is None else ax
    shifts = {"charged": pd.Timedelta(0), "stored": pd.Timedelta(0)} | ({} if lag is None else {"reported": lag})
    parts = [
        pd.DataFrame(
            {
                "figure": name,
                "at": frame["time"] + shift,
                "bytes": frame["stored_bytes" if name == "stored" else "charged_bytes"],
            }
        )
        for name, shift in shifts.items()
    ]
    whole = pd.concat(parts, ignore_index=True)
    return usage(
        whole, axes, limit=limit, since=since, until=until, scale=None if since is None or frame.empty else "minutes"
    )


def end_of(first: pd.Timestamp, last: pd.Timestamp) -> pd.Timestamp:
    """Return where a picture from ``first`` ends: where nothing follows, an hour later, so that there is an axis."""
    return last if last > first else first + pd.Timedelta(hours=1)


def staircase(
    steps: pd.DataFrame, first: pd.Timestamp, end: pd.Timestamp, *, before: bool
) -> tuple[pd.Series[pd.Timestamp], Array]:
    """Return the corners of one figure's staircase from ``first`` to ``end``.

    Parameters
    ----------
    before : whether it begins a minute before ``first``, so that a change at ``first`` is to be seen.
    """
    start = first - pd.Timedelta(minutes=1) if before else first
    times, values = steps["at"], steps["bytes"].to_numpy(np.float64)
    known = np.flatnonzero(times <= start)
    head = values[known[-1]] if known.size else 0.0
    shown = ((times > start) & (times <= end)).to_numpy()
    inside = values[shown]
    corners = pd.concat([pd.Series([start]), times[shown], pd.Series([end])], ignore_index=True)
    return corners, np.concatenate(([head], inside, [inside[-1] if inside.size else head]))


def _scale_of(span: pd.Timedelta) -> Scale:
    """Return the unit in which a span has the fewest digits and is still a few."""
    return "minutes" if span <= pd.Timedelta(hours=3) else "hours" if span <= pd.Timedelta(days=4) else "days"


def show_dates(axes: Axes) -> None:
    """Let the axis have as many dates as there is room for, each with the month it is of."""
    dates = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    written = ConciseDateFormatter(  # type: ignore[no-untyped-call]
        dates,
        formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
        zero_formats=["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
        offset_formats=["", "%Y", "%Y", "%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%d %H:%M"],
    )
    axes.xaxis.set_major_locator(dates)
    axes.xaxis.set_major_formatter(written)
    axes.set_xlabel("time (UTC)")


def _count_logarithmically(axes: Axes, minutes: float) -> None:
    """Let the axis show the first minute as it is, and the time after it up to ``minutes`` logarithmically."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.6)
    axes.set_xlim(-0.6, max(minutes, 1))
    marks = [minute for minute in _MARKS if minute <= max(minutes, 1)]
    axes.set_xticks(marks, [_MARKS[minute] for minute in marks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("time since (the first minute, then logarithmic)")
