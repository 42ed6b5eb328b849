"""What all pictures have in common: colours and line styles, units, figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from quotasim.units import format_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.container import Container
    from matplotlib.legend import Legend

Array = npt.NDArray[np.float64]
Style = Mapping[str, Any]

# Of the palette of Okabe and Ito; in grey they differ by lightness, and by form in any case.
CHARGED: Style = {"color": "#0072B2", "linewidth": 2.4, "linestyle": "-"}
REPORTED: Style = {"color": "#D55E00", "linewidth": 2.0, "linestyle": (0, (4, 2))}
STORED: Style = {"facecolor": "#E3E3E3", "edgecolor": "#8A8A8A", "linewidth": 0.8}
LOGICAL: Style = {"color": "#000000", "linewidth": 1.2, "linestyle": (0, (1, 1.2))}
LIMIT: Style = {"color": "#000000", "linewidth": 1.0, "linestyle": "-."}

EXCLUSIVE: Style = {"facecolor": "#0072B2", "edgecolor": "#004C77", "linewidth": 0.6}
SHARED: Style = {"facecolor": "#D3E7F4", "edgecolor": "#3B7EA8", "linewidth": 0.6, "hatch": "////"}
"""What is somebody's alone, solid, and what is held together, light and hatched."""

FONT_SIZE = 8.5
"""Points; nothing is written smaller."""

NOTEBOOK_WIDTH = 7.0
"""Inches."""

_PREFIXES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def new_figure(rows: int = 1, *, width: float = 9.0, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """Return a new figure that no window shows, and Axes below each other in it.

    Parameters
    ----------
    width, height : inches of each.
    """
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(rows)))


def unit_of(largest: float) -> int:
    """Return the largest power of 1024 of which there is at least one, 1 at least."""
    power = 0
    while power + 1 < len(_PREFIXES) and largest >= 1024 ** (power + 1):
        power += 1
    return int(1024**power)


def prefix_of(unit: int) -> str:
    """Return how a unit of :func:`unit_of` is written."""
    return _PREFIXES[(unit.bit_length() - 1) // 10]


def byte_axis(axis: Axis, largest: float, text: str, *, note: str = "") -> int:
    """Let an axis count bytes by the binary prefix that suits its largest value.

    Parameters
    ----------
    text, note : what the axis says before and after the prefix.

    Returns
    -------
    Bytes of the unit, by which what is drawn is to be divided.
    """
    unit = unit_of(largest)
    axis.set_major_locator(MaxNLocator(6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_label_text(f"{text} ({prefix_of(unit)}){note}")
    return unit


def signed_bytes(size: SupportsIndex) -> str:
    """Return a change of bytes for people, with its sign: a real minus, and a plus."""
    written = format_bytes(size)
    return "+" + written if int(size) > 0 else written.replace("-", "\N{MINUS SIGN}")


def shortened(text: str, most: int) -> str:
    """Return a text of at most ``most`` letters: of a longer one begin and end, which tells names apart.

    Examples
    --------
    >>> shortened("team-a/web", 10), shortened("team-a/web-frontend:v1", 12)
    ('team-a/web', 'team…tend:v1')
    """
    if len(text) <= most:
        return text
    end = 2 * max(most - 1, 0) // 3
    return f"{text[: max(most - 1 - end, 0)]}…{text[len(text) - end :]}"


def rows_of(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Return what some columns have, row by row, as Python's own values."""
    return zip(*(frame[column].tolist() for column in columns), strict=True)


def settled(axes: Axes) -> tuple[float, float]:
    """Lay the figure out as it is by now, and return the width and height of the Axes in inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    box = axes.get_window_extent()
    return box.width / figure.dpi, box.height / figure.dpi


def legend(ax: Axes, handles: Sequence[Artist | Container] | None = None, *, title: str | None = None) -> Legend:
    """Explain what is drawn, above the Axes, where nothing is covered; in as many columns as there is room for.

    Parameters
    ----------
    handles : what to explain, by their labels; by default all that has one.
    title : a line above it.
    """
    shown = ax.get_legend_handles_labels()[0] if handles is None else list(handles)
    labels = [str(handle.get_label()) for handle in shown]
    width, _ = settled(ax)
    columns = max(len(labels), 1)
    while columns > 1 and _legend_width(labels, columns) > width:
        columns -= 1
    return ax.legend(
        shown,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
        borderpad=0.2,
        ncols=columns,
        frameon=False,
        fontsize=FONT_SIZE,
        title=title,
        title_fontsize=FONT_SIZE,
        alignment="left",
        columnspacing=1.4,
        handlelength=2.6,
    )


_LETTER_WIDTH, _HANDLE_WIDTH = 0.069, 0.57
"""Inches that a letter takes in a legend, at most about, and what stands before a label and after it."""


def _legend_width(labels: Sequence[str], columns: int) -> float:
    """Return about how wide a legend is, in inches; it is filled column by column, the first ones with one more."""
    lengths = np.array_split([len(label) for label in labels], columns)
    return sum(_HANDLE_WIDTH + _LETTER_WIDTH * int(part.max()) for part in lengths)


def say_nothing_is_there(axes: Axes, text: str) -> Axes:
    """Write in the middle of empty Axes why they are empty."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=9)
    return axes
