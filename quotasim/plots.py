"""Pictures of usage: frames in, matplotlib Axes out. Steps, since usage jumps; binary prefixes, since sizes are
binary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from quotasim.errors import InvalidValue
from quotasim.units import format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    TimeUnit = Literal["min", "h", "D"]

__all__ = [
    "annotate_delay",
    "annotate_events",
    "annotate_place",
    "comparison",
    "distributions",
    "new_figure",
    "usage",
    "usage_over_time",
]

Array = npt.NDArray[np.float64]
Style = Mapping[str, Any]

# Of the palette of Okabe and Ito; in grey they differ by lightness, and by form in any case.
CHARGED: Style = {"color": "#0072B2", "linewidth": 2.4, "linestyle": "-"}
REPORTED: Style = {"color": "#D55E00", "linewidth": 2.0, "linestyle": (0, (4, 2))}
STORED: Style = {"facecolor": "#E3E3E3", "edgecolor": "#8A8A8A", "linewidth": 0.8}
LOGICAL: Style = {"color": "#000000", "linewidth": 1.2, "linestyle": (0, (1, 1.2))}
LIMIT: Style = {"color": "#000000", "linewidth": 1.0, "linestyle": "-."}

NOTEBOOK_WIDTH = 7.0
"""Inches."""

Scale = Literal["minutes", "hours", "days", "log"]
_UNITS: dict[Scale, TimeUnit] = {"minutes": "min", "hours": "h", "days": "D", "log": "min"}

# In the order in which they are drawn: what lies above must leave what is below it to be seen.
_FIGURES: dict[str, tuple[Style, str]] = {
    "stored": (STORED, "stored: on the registry's disk"),
    "logical": (LOGICAL, "logical: every image on its own"),
    "charged": (CHARGED, "charged: what the quota counts"),
    "reported": (REPORTED, "reported: what the display shows"),
}

# The second is wide and light, and below the others; a dashed line leaves what is under it to be seen.
_HISTORIES: tuple[Style, ...] = (
    {"color": "#0072B2", "linewidth": 1.6, "linestyle": "-"},
    {"color": "#BDBDBD", "linewidth": 5.0, "linestyle": "-"},
    {"color": "#D55E00", "linewidth": 1.6, "linestyle": (0, (3, 2))},
    {"color": "#000000", "linewidth": 1.2, "linestyle": (0, (1, 1.2))},
)

_MEASURES: dict[str, tuple[str, Literal["log", "linear"], dict[float, str]]] = {
    "layers": ("layers of an image", "log", {1: "1", 2: "2", 5: "5", 10: "10", 20: "20", 50: "50"}),
    "layer_size": (
        "size of a layer",
        "log",
        {32: "32 B", 2**10: "1 KiB", 2**15: "32 KiB", 2**20: "1 MiB", 2**25: "32 MiB", 2**30: "1 GiB"},
    ),
    "sharing": ("images that have a layer", "log", {1: "1", 3: "3", 10: "10", 30: "30", 100: "100", 300: "300"}),
    "new_share": (
        "new bytes of a push, part of its image",
        "linear",
        {0: "0", 0.25: "25 %", 0.5: "50 %", 0.75: "75 %", 1: "100 %"},
    ),
}
"""What an axis says, its scale, and its marks, by the measure."""

_TEXT_WIDTH = 0.085
"""Inches that a letter takes in a mark of an event, at most about."""

_MARKS = {0: "0", 5: "5 min", 60: "1 h", 1_440: "1 d", 10_080: "1 w"}
"""Marks of an axis that counts logarithmically, by their minute."""

_PREFIXES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def new_figure(rows: int = 1, *, width: float = 9.0, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """Return a new figure that no window shows, and Axes below each other in it.

    Parameters
    ----------
    width, height : inches of each.
    """
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(rows)))


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
    The Axes.

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
    end = max(last, first)
    chosen = _scale_of(end - first) if scale is None else scale

    def places(times: pd.Series[pd.Timestamp]) -> npt.NDArray[Any]:
        """Return where times are on the axis."""
        if since is None:
            return times.dt.tz_localize(None).to_numpy()
        return ((times - since) / pd.Timedelta(1, _UNITS[chosen])).to_numpy()

    unit = _unit(float(max(frame["bytes"].max(), limit or 0)))
    named = frame["figure"].astype("category")
    for name, (style, label) in _FIGURES.items():
        if name not in named.cat.categories:
            continue
        times, values = _staircase(frame[named == name], first, end, before=chosen == "log")
        x, y = places(times), values / unit
        if name == "stored":
            axes.fill_between(x, y, step="post", label=label, **style)
        else:
            axes.step(x, y, where="post", label=label, **style)
    if limit is not None:
        axes.axhline(limit / unit, label=f"limit {format_bytes(limit)}", **LIMIT)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylabel(f"usage ({_prefix(unit)})")
    if since is None:
        _show_dates(axes)
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
        annotate_events(axes, _staggered(axes, dict(zip(places(marked).tolist(), texts, strict=True))))
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


def distributions(frame: pd.DataFrame, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw distributions of histories one over the other: for each value the share of numbers that do not exceed it.

    Parameters
    ----------
    frame : of :func:`quotasim.frames.quantiles` or :func:`quotasim.workloads.report`: ``measure``, ``share``, and a
        column for each history, at most four; all shares should be there, in order. The second is drawn below the
        others.
    axes : one for each measure; by default of a new figure, two beside each other.

    Returns
    -------
    The Axes, in the order of the measures.

    Raises
    ------
    InvalidValue : there are not as many Axes as measures, or too many histories.
    """
    measures = list(frame["measure"].cat.categories)
    histories = [name for name in frame.columns if name not in ("measure", "share")]
    if len(histories) > len(_HISTORIES):
        raise InvalidValue("frame", histories, f"at most {len(_HISTORIES)} histories")
    if axes is None:
        rows = -(-len(measures) // 2)
        figure = Figure(figsize=(NOTEBOOK_WIDTH, 2.7 * rows + 0.5), layout="constrained")
        chosen = list(np.atleast_1d(figure.subplots(rows, 2)).flat)
        for spare in chosen[len(measures) :]:
            spare.set_visible(False)
        chosen = chosen[: len(measures)]
    else:
        chosen = list(axes)
    if len(chosen) != len(measures):
        raise InvalidValue("axes", len(chosen), f"{len(measures)}, one for each measure")
    for ax, name in zip(chosen, measures, strict=True):
        part = frame[frame["measure"] == name]
        label, scale, marks = _MEASURES.get(name, (name, "log", {}))
        for place, (history, style) in enumerate(zip(histories, _HISTORIES, strict=False)):
            ax.plot(
                part[history],
                100 * part["share"],
                drawstyle="steps-post",
                label=history,
                zorder=2.0 if place == 1 else 2.1 + 0.1 * place,
                **style,
            )
        if scale == "log":
            ax.set_xscale("log")
        if marks:
            ax.set_xticks(list(marks), list(marks.values()))
            ax.xaxis.set_minor_locator(NullLocator())
        low, high = (float(part[histories].to_numpy().min()), float(part[histories].to_numpy().max()))
        if scale == "log" and low < high:
            ax.set_xlim(low / 1.15, high * 1.15)
        ax.set_xlabel(label)
        ax.set_ylim(0, 101)
        ax.set_yticks([0, 25, 50, 75, 100])
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="#E6E6E6", linewidth=0.6)
        ax.set_axisbelow(True)
    return chosen


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


def _staircase(
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


def _staggered(axes: Axes, texts: Mapping[Any, str]) -> dict[Any, str]:
    """Return the texts, in order of their places, with lines above those that would run into the one before."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    inches = figure.get_figwidth() * axes.get_position().width
    to_axes = axes.transData + axes.transAxes.inverted()
    staggered: dict[Any, str] = {}
    free = -np.inf  # where the text before ends
    lines = 0
    for place, text in texts.items():
        x = axes.convert_xunits(place)  # type: ignore[no-untyped-call]
        at = inches * float(to_axes.transform((x, 0))[0])
        lines = lines if at < free else 0
        staggered[place] = "\n" * lines + text
        lines += text.count("\n") + 1
        free = max(free, at + _TEXT_WIDTH * max(len(line) for line in text.split("\n")))
    return staggered


def _scale_of(span: pd.Timedelta) -> Scale:
    """Return the unit in which a span has the fewest digits and is still a few."""
    return "minutes" if span <= pd.Timedelta(hours=3) else "hours" if span <= pd.Timedelta(days=4) else "days"


def _show_dates(axes: Axes) -> None:
    """Let the axis have as many dates as there is room for, each with the month it is of."""
    dates = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
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


def _unit(largest: float) -> int:
    """Return the largest power of 1024 of which there is at least one, 1 at least."""
    power = 0
    while power + 1 < len(_PREFIXES) and largest >= 1024 ** (power + 1):
        power += 1
    return int(1024**power)


def _prefix(unit: int) -> str:
    return _PREFIXES[(unit.bit_length() - 1) // 10]
