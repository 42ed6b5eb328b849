"""Marks in a picture: what was done when, how long something takes, remarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TEXT_WIDTH = 0.085
"""Inches that a letter takes in a mark of an event, at most about."""


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


def staggered(axes: Axes, texts: Mapping[Any, str]) -> dict[Any, str]:
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
