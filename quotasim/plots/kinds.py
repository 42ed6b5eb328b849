"""Registry kinds beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from quotasim.plots.style import CHARGED, REPORTED, STORED, byte_axis, new_figure
from quotasim.units import format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    unit = byte_axis(axes.xaxis, largest, "usage", note="; the number is the charge")
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
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=8.5)
    return axes
