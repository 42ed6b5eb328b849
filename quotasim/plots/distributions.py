"""Distributions of histories one over the other: what is generated beside what is real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from quotasim.errors import InvalidValue
from quotasim.plots.style import NOTEBOOK_WIDTH, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The second is wide and light, and below the others; a dashed line leaves what is under it to be seen. Blue and orange
# are far enough apart in grey too.
_HISTORIES: tuple[Style, ...] = (
    {"color": "#0072B2", "linewidth": 1.6, "linestyle": "-"},
    {"color": "#BDBDBD", "linewidth": 5.0, "linestyle": "-"},
    {"color": "#E69F00", "linewidth": 1.6, "linestyle": (0, (3, 2))},
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


def distributions(frame: pd.DataFrame, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw distributions of histories one over the other: for each value the share of numbers that do not exceed it.

    Parameters
    ----------
    frame : of :func:`quotasim.frames.quantiles` or :func:`quotasim.workloads.report`: ``measure``, ``share``, and a
        column for each history, at most four; all shares should be there, in order. The second is drawn below the
        others.
    axes : one for each measure; by default of a new figure, two beside each other, with a legend below them.

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
    drawn: Figure | None = None
    if axes is None:
        rows = -(-len(measures) // 2)
        figure = Figure(figsize=(NOTEBOOK_WIDTH, 2.7 * rows + 0.5), layout="constrained")
        chosen = list(np.atleast_1d(figure.subplots(rows, 2)).flat)
        for spare in chosen[len(measures) :]:
            spare.set_visible(False)
        chosen = chosen[: len(measures)]
        drawn = figure
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
        ax.set_ylabel("share up to this (%)")
        ax.set_ylim(0, 101)
        ax.set_yticks([0, 25, 50, 75, 100])
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="#E6E6E6", linewidth=0.6)
        ax.set_axisbelow(True)
    if drawn is not None and chosen:
        lines, labels = chosen[0].get_legend_handles_labels()
        drawn.legend(lines, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return chosen
