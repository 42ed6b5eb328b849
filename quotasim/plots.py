"""Pictures of usage: frames in, matplotlib Axes out. Steps, since usage jumps; binary prefixes, since sizes are
binary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from quotasim.units import format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["annotate_delay", "annotate_events", "annotate_place", "comparison", "new_figure", "usage_over_time"]

Array = npt.NDArray[np.float64]
Style = Mapping[str, Any]

# Of the palette of Okabe and Ito; in grey they differ by lightness, and by form in any case.
CHARGED: Style = {"color": "#0072B2", "linewidth": 2.4, "linestyle": "-"}
REPORTED: Style = {"color": "#D55E00", "linewidth": 2.0, "linestyle": (0, (4, 2))}
STORED: Style = {"facecolor": "#E3E3E3", "edgecolor": "#8A8A8A", "linewidth": 0.8}
LIMIT: Style = {"color": "#000000", "linewidth": 1.0, "linestyle": ":"}

_PREFIXES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def new_figure(rows: int = 1, *, width: float = 9.0, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """Return a new figure that no window shows, and Axes below each other in it.

    Parameters
    ----------
    width, height : inches of each.
    """
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(rows)))


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
    since, until : what to show, by default from the first change to the last. With ``since`` the axis counts
        minutes from it.

    Returns
    -------
    The Axes.
    """
    axes = new_figure()[1][0] if ax is None else ax
    if frame.empty:
        return axes
    first = frame["time"].iloc[0] if since is None else since
    last = frame["time"].iloc[-1] if until is None else until
    ends = [last] if lag is None else [last, last + lag]
    end = max(*ends, first) if until is None else until

    def steps(column: str, shift: pd.Timedelta) -> tuple[npt.NDArray[Any], Array]:
        """Return the corners of a staircase over what is shown, its last step drawn to the end."""
        times = frame["time"] + shift
        values = frame[column].to_numpy(np.float64)
        before = np.flatnonzero(times <= first)
        head = values[before[-1]] if before.size else 0.0
        shown = (times > first) & (times <= end)
        corners = pd.concat([pd.Series([first]), times[shown], pd.Series([end])], ignore_index=True)
        inside = values[shown]
        tail = inside[-1] if inside.size else head
        x = corners.dt.tz_localize(None) if since is None else (corners - first).dt.total_seconds() / 60
        return x.to_numpy(), np.concatenate(([head], inside, [tail]))

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


def comparison(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what registry kinds charge, show and store, one below the other.

    Parameters
    ----------
    frame : of :func:`quotasim.frames.comparison`.
    ax : to draw on; by default one of a new figure.

    Returns
    -------
    The Axes. A limit is drawn where it is less than a fifth above all figures.
    """
    axes = new_figure()[1][0] if ax is None else ax
    if frame.empty:
        return axes
    names = ("charged_bytes", "reported_bytes", "stored_bytes")
    largest = max(float(frame[name].max()) for name in names)
    unit = _unit(largest)
    places = np.arange(len(frame))
    charged, reported, stored = (frame[name].to_numpy(np.float64) / unit for name in names)
    axes.barh(places, stored, 0.74, label="stored: on the registry's disk", **STORED)
    axes.barh(places, charged, 0.38, label="charged: what the quota counts", color=CHARGED["color"])
    axes.scatter(
        reported,
        places,
        marker="D",
        s=42,
        color=REPORTED["color"],
        edgecolor="white",
        zorder=3,
        label="reported: what the display shows",
    )
    limits = frame["limit_bytes"].to_numpy(np.float64, na_value=np.nan)
    near = limits <= 1.2 * largest
    if near.any():
        ends = places[near] - 0.45, places[near] + 0.45
        axes.vlines(limits[near] / unit, *ends, label="limit", color="black", linestyle=":", linewidth=1.4)
    for place, charge, store in zip(places, charged, stored, strict=True):
        axes.annotate(
            format_bytes(round(charge * unit)),
            (max(charge, store), place),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(places, [f"{row.profile}\n{row.basis}, by {row.dedup_scope}" for row in frame.itertuples()])
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.16 * largest / unit if largest else 1)
    axes.set_xlabel(f"usage ({_prefix(unit)}); the number is the charge")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=8.5)
    return axes


def annotate_events(ax: Axes, events: Mapping[float, str]) -> Axes:
    """Mark what was done: a line, and a text beside its upper end, for which room is made.

    Parameters
    ----------
    events : texts by their place on the x-axis.
    """
    lines = max((text.count("\n") + 1 for text in events.values()), default=0)
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top * (1.04 + 0.09 * lines))
    for place, text in events.items():
        ax.axvline(place, color="#444444", linewidth=0.9, zorder=0.5)
        ax.annotate(
            text,
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(4, -1),
            textcoords="offset points",
            fontsize=9,
            va="top",
        )
    return ax


def annotate_delay(ax: Axes, begin: float, end: float, text: str, *, height: float = 0.5) -> Axes:
    """Show how long something takes: an arrow from ``begin`` to ``end`` on the x-axis, and a text under it.

    Parameters
    ----------
    height : of the arrow, as a part of the Axes' height.
    """
    where = ("data", "axes fraction")
    arrow = {"arrowstyle": "<->", "color": "#222222", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (begin, height), (end, height), xycoords=where, textcoords=where, arrowprops=arrow)
    ax.annotate(
        text,
        ((begin + end) / 2, height),
        xycoords=where,
        xytext=(0, -5),
        textcoords="offset points",
        fontsize=8.5,
        ha="center",
        va="top",
    )
    return ax


def annotate_place(ax: Axes, place: float, text: str, *, height: float = 0.5) -> Axes:
    """Write a remark at a place on the x-axis; ``height`` is a part of the Axes' height."""
    ax.annotate(text, (place, height), xycoords=("data", "axes fraction"), fontsize=9, ha="center", va="center")
    return ax


def _unit(largest: float) -> int:
    """Return the largest power of 1024 of which there is at least one, 1 at least."""
    power = 0
    while power + 1 < len(_PREFIXES) and largest >= 1024 ** (power + 1):
        power += 1
    return int(1024**power)


def _prefix(unit: int) -> str:
    return _PREFIXES[(unit.bit_length() - 1) // 10]
