"""Pictures of usage: frames in, matplotlib Axes out. Steps, since usage jumps; binary prefixes, since sizes are binary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from quotasim.units import format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["annotate_events", "new_axes", "usage_over_time"]

# Of the palette of Okabe and Ito; in grey they differ by lightness, and by form in any case.
CHARGED = {"color": "#0072B2", "linewidth": 2.4, "linestyle": "-"}
REPORTED = {"color": "#D55E00", "linewidth": 2.0, "linestyle": (0, (4, 2))}
STORED = {"facecolor": "#DDDDDD", "edgecolor": "#8A8A8A", "linewidth": 0.8}
LIMIT = {"color": "#000000", "linewidth": 1.0, "linestyle": ":"}

_PREFIXES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")

Array = npt.NDArray[np.float64]


def new_axes(rows: int = 1, *, width: float = 9.0, height: float = 3.6) -> list[Axes]:
    """Axes below each other in a new figure that no window shows.

    Parameters
    ----------
    width, height : inches of each.
    """
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return list(np.atleast_1d(figure.subplots(rows)))


def usage_over_time(
    frame: pd.DataFrame,
    ax: Axes | None = None,
    *,
    lag: pd.Timedelta | None = None,
    limit: int | None = None,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
) -> Axes:
    """Draw charged, reported and stored bytes as steps.

    Parameters
    ----------
    frame : of :func:`quotasim.frames.usage_series`: ``time``, ``charged_bytes``, ``stored_bytes``, a row a change.
    ax : to draw on; by default one of a new figure.
    lag : by which the vendor's display follows the charge; None: nothing reported is drawn.
    limit : bytes to draw a line at.
    since, until : what to show, by default from the first change to the last. With ``since`` the axis counts minutes from it.

    Returns
    -------
    The Axes.
    """
    axes = new_axes()[0] if ax is None else ax
    if frame.empty:
        return axes
    first = frame["time"].iloc[0] if since is None else since
    last = frame["time"].iloc[-1] if until is None else until
    ends = [last] if lag is None else [last, last + lag]
    end = max(*ends, first) if until is None else until

    def place(times: pd.Series[pd.Timestamp]) -> Array | pd.Series[pd.Timestamp]:
        return times if since is None else (times - first) / pd.Timedelta(minutes=1)

    def steps(column: str, shift: pd.Timedelta) -> tuple[Array | pd.Series[pd.Timestamp], Array]:
        """Return the corners of a staircase over what is shown, its last step drawn to the end."""
        times = frame["time"] + shift
        values = frame[column].to_numpy(np.float64)
        before = np.flatnonzero(times <= first)
        head = values[before[-1]] if before.size else 0.0
        shown = (times > first) & (times <= end)
        corners = pd.concat([pd.Series([first]), times[shown], pd.Series([end])], ignore_index=True)
        return place(corners), np.concatenate(([head], values[shown], [0.0]))

    unit = _unit(float(max(frame["charged_bytes"].max(), frame["stored_bytes"].max(), limit or 0)))
    for column, shift, style, label in (
        ("stored_bytes", pd.Timedelta(0), None, "stored: on the registry's disk"),
        ("charged_bytes", pd.Timedelta(0), CHARGED, "charged: what the quota counts"),
        ("charged_bytes", lag, REPORTED, "reported: what the display shows"),
    ):
        if shift is None:
            continue
        x, values = steps(column, shift)
        y = values / unit
        y[-1] = y[-2]
        if style is None:
            axes.fill_between(x, y, step="post", label=label, **STORED)
        else:
            axes.step(x, y, where="post", label=label, **style)
    if limit is not None:
        axes.axhline(limit / unit, label=f"limit {format_bytes(limit)}", **LIMIT)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylabel(f"usage ({_prefix(unit)})")
    if since is None:
        axes.set_xlabel("time (UTC)")
    else:
        axes.set_xlabel("time (minutes)")
        axes.set_xlim(0, (end - first) / pd.Timedelta(minutes=1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def annotate_events(ax: Axes, events: Mapping[float, str]) -> Axes:
    """Mark what was done: a line and a text above it.

    Parameters
    ----------
    events : texts by their place on the x-axis.
    """
    for place, text in events.items():
        ax.axvline(place, color="#444444", linewidth=0.9, zorder=0.5)
        ax.annotate(
            text,
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -2),
            textcoords="offset points",
            fontsize=8.5,
            va="top",
        )
    return ax


def _unit(largest: float) -> int:
    """Return the largest power of 1024 of which there is at least one, 1 at least."""
    power = 0
    while power + 1 < len(_PREFIXES) and largest >= 1024 ** (power + 1):
        power += 1
    return int(1024**power)


def _prefix(unit: int) -> str:
    return _PREFIXES[(unit.bit_length() - 1) // 10]
