"""When bytes come back: registry kinds below each other, and how long each figure takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import NullLocator

from quotasim.plots.style import CHARGED, NOTEBOOK_WIDTH, REPORTED, STORED, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# From below: each is smaller than the one before, and of another form, so that all are seen where they coincide.
_FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "stored": (
        {"marker": "s", "s": 190, "facecolor": STORED["facecolor"], "edgecolor": "#555555", "linewidth": 1.0},
        "stored: the disk",
    ),
    "charged": ({"marker": "o", "s": 80, "color": CHARGED["color"]}, "charged: what the quota counts"),
    "reported": (
        {"marker": "D", "s": 22, "color": REPORTED["color"], "edgecolor": "white", "linewidth": 0.6},
        "reported: the display",
    ),
}

_MARKS = {0: "at once", 5: "5 min", 60: "1 h", 480: "8 h", 1_440: "1 d", 10_080: "1 w", 43_200: "30 d"}
"""Marks of the axis by their minute."""


def falls(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how long charge, display and disk take to fall, a row a history, on an axis from minutes to weeks.

    Parameters
    ----------
    frame : of :func:`quotasim.frames.falls`: ``history``, ``figure``, ``wait``. What has no wait has not fallen, and
        is drawn at the right, under "not at all".
    ax : to draw on; by default one of a new figure.

    Returns
    -------
    The Axes, the first history at the top.
    """
    names = frame["history"].cat.categories
    axes = new_figure(width=NOTEBOOK_WIDTH, height=1.2 + 0.4 * len(names))[1][0] if ax is None else ax
    if frame.empty:
        return axes
    minutes = frame["wait"].dt.total_seconds().to_numpy(np.float64) / 60
    longest = float(np.nanmax(minutes)) if np.isfinite(minutes).any() else 60.0
    longest = max(longest, 60.0)
    never = 8.0 * longest
    places = np.where(np.isnan(minutes), never, minutes)
    rows = frame["history"].cat.codes.to_numpy()
    figures = frame["figure"].to_numpy(object)
    for row in range(len(names)):
        mine = places[(rows == row) & np.isin(figures, list(_FORMS))]
        if mine.size:
            axes.hlines(row, mine.min(), mine.max(), color="#BBBBBB", linewidth=1.4, zorder=1)
    for layer, (name, (form, label)) in enumerate(_FORMS.items()):
        chosen = figures == name
        axes.scatter(places[chosen], rows[chosen], zorder=2 + layer, label=label, clip_on=False, **form)
    axes.set_xscale("symlog", linthresh=1, linscale=0.6)
    axes.set_xlim(-0.5, 1.6 * never)
    axes.axvline(2.6 * longest, color="#444444", linewidth=0.9, linestyle=(0, (4, 3)), zorder=0.5)
    marks = {minute: text for minute, text in _MARKS.items() if minute <= longest} | {never: "not\nat all"}
    axes.set_xticks(list(marks), list(marks.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("time since the deletion")
    axes.set_yticks(np.arange(len(names)), list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=8.5)
    return axes
