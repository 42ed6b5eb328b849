"""What-if scenarios beside each other: over time, and by how much they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.dates import date2num
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from quotasim.errors import InvalidValue
from quotasim.plots.style import (
    EXCLUSIVE,
    FONT_SIZE,
    LIMIT,
    NOTEBOOK_WIDTH,
    Style,
    byte_axis,
    legend,
    new_figure,
    prefix_of,
    rows_of,
    say_nothing_is_there,
    shortened,
    signed_bytes,
    unit_of,
)
from quotasim.plots.usage import end_of, show_dates, staircase
from quotasim.units import format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The base is wide and light, and below the others, so that what runs along with it is seen to.
_BASE: Style = {"color": "#BDBDBD", "linewidth": 5.0, "linestyle": "-"}
_OTHERS: tuple[Style, ...] = (
    {"color": "#0072B2", "linewidth": 1.8, "linestyle": "-"},
    {"color": "#D55E00", "linewidth": 1.8, "linestyle": (0, (5, 2))},
    {"color": "#000000", "linewidth": 1.4, "linestyle": (0, (1, 1.2))},
    {"color": "#009E73", "linewidth": 1.8, "linestyle": (0, (8, 2, 1.5, 2))},
    {"color": "#CC79A7", "linewidth": 1.8, "linestyle": (0, (2.5, 1.5))},
    {"color": "#E69F00", "linewidth": 1.8, "linestyle": (0, (6, 1.5, 1.5, 1.5, 1.5, 1.5))},
    {"color": "#56B4E9", "linewidth": 1.8, "linestyle": (0, (12, 3))},
)
_MORE: Style = {"facecolor": "#D55E00", "edgecolor": "#7A3600", "linewidth": 0.6, "hatch": "////"}
_NAME_LENGTH = 28


def scenarios(
    frame: pd.DataFrame,
    ax: Axes | None = None,
    *,
    figure: str = "charged",
    most: bool = False,
    limit: int | None = None,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
) -> Axes:
    """Draw one figure of several scenarios as steps over time.

    Parameters
    ----------
    frame : ``scenario`` (a categorical in the order to draw, the base first), ``figure`` (of
        `quotasim.frames.FIGURES`), ``at``, ``bytes`` (from then on) and, where rows are on a grid, ``max_bytes`` (the
        most since the row before).
    ax : to draw on; by default one of a new figure, of a notebook's width.
    figure : which to draw.
    most : a step is the most from its row to the next, instead of what holds at its row: where collectors run between
        rows, or at the same time as they, this is what the disk must have room for.
    limit : bytes to draw a line at.
    since, until : what to show, by default from the first row of any scenario to the last.

    Returns
    -------
    The Axes. A scenario that is the same as an earlier one says so in the legend, and is drawn over it. Where
    ``max_bytes`` lies above the steps, a thin line shows it over the time that it is of.

    Raises
    ------
    InvalidValue : the frame has no such figure, or more than eight scenarios, or no ``max_bytes`` where the ``most``
        is asked for.
    """
    if figure not in frame["figure"].cat.categories:
        raise InvalidValue("figure", figure, ", ".join(frame["figure"].cat.categories))
    names = list(frame["scenario"].cat.categories)
    if len(names) > 1 + len(_OTHERS):
        raise InvalidValue("frame", f"{len(names)} scenarios", f"at most {1 + len(_OTHERS)}")
    if most and "max_bytes" not in frame:
        raise InvalidValue("frame", list(frame.columns), "with max_bytes, where the most is asked for")
    axes = new_figure(width=NOTEBOOK_WIDTH)[1][0] if ax is None else ax
    if frame.empty:
        return say_nothing_is_there(axes, "no scenarios")
    shown = frame[frame["figure"] == figure]
    if most:
        shown = _as_most(shown)
    first = frame["at"].min() if since is None else since
    end = end_of(first, frame["at"].max() if until is None else until)
    highest = max(shown["bytes"].max(), shown["max_bytes"].max() if "max_bytes" in shown else 0) if len(shown) else 0
    unit = byte_axis(axes.yaxis, float(max(highest, limit or 0)), f"{figure} bytes{', the most' if most else ''}")
    peaks = False
    drawn: dict[str, tuple[list[pd.Timestamp], list[float]]] = {}
    for name, style in zip(names, (_BASE, *_OTHERS), strict=False):
        part = shown[shown["scenario"] == name]
        times, values = staircase(part, first, end, before=False)
        path = (times.tolist(), values.tolist())
        same = next((other for other, known in drawn.items() if known == path), None)
        drawn[name] = path
        label = shortened(name, _NAME_LENGTH)
        label += f" (the same as {shortened(same, _NAME_LENGTH)})" if same is not None else ""
        x = times.dt.tz_localize(None).to_numpy()
        axes.step(x, values / unit, where="post", label=label, zorder=2.0 + 0.01 * len(drawn), **style)
        if "max_bytes" in part:
            peaks |= _draw_peaks(axes, part, unit, style, zorder=2.0 + 0.01 * len(drawn))
    if limit is not None:
        axes.axhline(limit / unit, label=f"limit {format_bytes(limit)}", **LIMIT)
    axes.set_ylim(bottom=0)
    axes.set_xlim(date2num(first), date2num(end))  # type: ignore[no-untyped-call]
    show_dates(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    handles = axes.get_legend_handles_labels()[0]
    if peaks:
        handles.append(Line2D([], [], color="#5A5A5A", linewidth=1.2, label="short and thin: the most in between"))
    legend(axes, handles)
    return axes


def _as_most(shown: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose bytes are the most up to their scenario's next row; after the last one nothing changes."""
    following = shown.groupby("scenario", observed=True)["max_bytes"].shift(-1, fill_value=0)
    return shown.assign(bytes=shown["bytes"].where(shown["bytes"] > following, following)).drop(columns="max_bytes")


def _draw_peaks(axes: Axes, part: pd.DataFrame, unit: int, style: Style, *, zorder: float) -> bool:
    """Draw the most since the row before, where the steps do not show it; return whether there is any."""
    values, most = part["bytes"].to_numpy(np.float64), part["max_bytes"].to_numpy(np.float64)
    hidden = np.flatnonzero(most[1:] > np.maximum(values[1:], values[:-1])) + 1
    if hidden.size:
        times = part["at"].dt.tz_localize(None).to_numpy()
        peaks = axes.hlines(most[hidden] / unit, times[hidden - 1], times[hidden], color=style["color"], zorder=zorder)
        peaks.set_linewidth(1.2)
    return bool(hidden.size)


def differences(frame: pd.DataFrame, ax: Axes | None = None, *, figure: str = "charged_bytes") -> Axes:
    """Draw by how much scenarios differ from the base in one figure.

    Parameters
    ----------
    frame : ``scenario``, ``figure``, ``unit`` (``bytes``, ``GiB-days``, ``pushes``, ...), ``value``, ``base_value``,
        ``difference`` and ``difference_percent``; a row a scenario and figure. A value may be missing.
    ax : to draw on; by default one of a new figure, of a notebook's width and as high as the scenarios need.
    figure : which to draw.

    Returns
    -------
    The Axes: a bar a scenario, in the frame's order, less to the left and solid, more to the right and hatched; the
    number is the difference, the last what the scenario comes to.

    Raises
    ------
    InvalidValue : the frame has rows, and none of this figure, or the figure's rows have several units or bases.
    """
    shown = frame[frame["figure"] == figure]
    axes = new_figure(width=NOTEBOOK_WIDTH, height=0.36 * max(len(shown), 3) + 0.75)[1][0] if ax is None else ax
    if frame.empty:
        return say_nothing_is_there(axes, "no scenarios")
    if shown.empty:
        raise InvalidValue("figure", figure, ", ".join(map(str, frame["figure"].drop_duplicates())))
    for column in ("unit", "base_value"):
        if len(shown[column].drop_duplicates()) > 1:
            raise InvalidValue("frame", shown[column].tolist(), f"one {column} for {figure}")
    measure, base = str(shown["unit"].iloc[0]), shown["base_value"].iloc[0]
    changes = [0.0 if pd.isna(value) else float(value) for value in shown["difference"].tolist()]
    widest = max(map(abs, changes))
    unit = unit_of(widest) if measure == "bytes" else 1
    words = figure.removesuffix("_" + measure.lower().replace("-", "_")).replace("_", " ")
    values = rows_of(shown, "difference", "difference_percent", "value")
    for place, (difference, percent, value) in enumerate(values):
        change = changes[place] / unit
        axes.barh(place, change, 0.62, **(_MORE if change > 0 else EXCLUSIVE))
        # Beside the picture: at the end of a bar to the left it would run into the names.
        axes.text(
            1.02,
            place,
            _change(difference, percent, value, measure),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=FONT_SIZE,
        )
    axes.axvline(0, color="black", linewidth=1.0)
    axes.set_yticks(range(len(shown)), [shortened(str(name), _NAME_LENGTH) for name in shown["scenario"]])
    axes.tick_params(axis="y", length=0, labelsize=FONT_SIZE)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    least, most = min(*changes, 0.0) / unit, max(*changes, 0.0) / unit
    span = (most - least) or 1.0
    axes.set_xlim(least - 0.04 * span * (least < 0), most + 0.04 * span * (most > 0 or least == 0))
    whole = all(change.is_integer() for change in changes) and measure != "bytes"
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}".replace("-", "\N{MINUS SIGN}")))
    named = prefix_of(unit) if measure == "bytes" else measure
    axes.set_xlabel(f"{words}: difference ({named})")
    axes.set_title(f"beside the base, which has {_amount(base, measure)}", loc="left", fontsize=FONT_SIZE)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def _amount(value: float, unit: str) -> str:
    """Return a value with its unit."""
    if pd.isna(value):
        return "no such figure"
    if unit == "bytes":
        return format_bytes(round(value))
    return f"{value:,.0f} {unit}" if float(value).is_integer() else f"{value:,.1f} {unit}"


def _change(difference: float, percent: float, value: float, unit: str) -> str:
    """Return a difference with its sign, in per cent too where the base is not 0, and what it comes to."""
    if pd.isna(difference):
        return _amount(value, unit)
    if difference == 0:
        return "no difference"
    if unit == "bytes":
        written = signed_bytes(round(difference))
    else:
        written = ("+" if difference > 0 else "\N{MINUS SIGN}") + _amount(abs(difference), unit)
    if not pd.isna(percent):
        sign = "+" if percent > 0 else "\N{MINUS SIGN}"
        written += f" ({sign}{abs(percent):.1f} %)" if abs(percent) >= 0.05 else " (under 0.1 %)"
    return f"{written}, to {_amount(value, unit)}"
