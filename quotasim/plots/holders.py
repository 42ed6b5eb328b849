"""Who holds what: images against blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from quotasim.errors import InvalidValue
from quotasim.plots.style import (
    EXCLUSIVE,
    FONT_SIZE,
    NOTEBOOK_WIDTH,
    Style,
    byte_axis,
    legend,
    new_figure,
    rows_of,
    say_nothing_is_there,
    shortened,
)
from quotasim.units import format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TONES: tuple[tuple[int, str, Style], ...] = (
    (1, "1 image: exclusive", EXCLUSIVE),
    (2, "2 images", {"facecolor": "#6FB1DA", "edgecolor": "#004C77", "linewidth": 0.6, "hatch": "////"}),
    (9, "3 to 9", {"facecolor": "#B5D7EC", "edgecolor": "#3B7EA8", "linewidth": 0.6, "hatch": "///"}),
    (2**63, "10 and more", {"facecolor": "#E3EFF7", "edgecolor": "#3B7EA8", "linewidth": 0.6}),
)
"""Up to how many holders, what is said of them, and how their blobs look: the more, the lighter."""

_ROW_HEIGHT, _BARS, _NAME_LENGTH = 0.24, 4.4, 34
"""Inches of an image's row, rows that the bars of sizes take above the images, and letters of an image's name."""


def holders(frame: pd.DataFrame, ax: Axes | None = None, *, blobs: int = 24) -> Axes:
    """Draw which images hold which blobs: a cell is filled where the image holds the blob, darker the fewer others do.

    Parameters
    ----------
    frame : of :func:`quotasim.frames.holders`: ``image``, ``digest``, ``size``, ``role``, ``holders``.
    ax : to draw on; by default one of a new figure, of a notebook's width and as high as its images need.
    blobs : columns, at most: of each image the largest blob, then of each the second, and so on. What most images hold
        stands at the left.

    Returns
    -------
    The Axes of the cells; the bars of the sizes above them are an inset of it.

    Raises
    ------
    InvalidValue : ``blobs`` is below 1.
    """
    if blobs < 1:
        raise InvalidValue("blobs", blobs, "at least 1")
    images = [name for name in frame["image"].cat.categories if (frame["image"] == name).any()]
    height = _ROW_HEIGHT * (max(len(images), 2) + _BARS) + 1.8
    axes = new_figure(width=NOTEBOOK_WIDTH, height=height)[1][0] if ax is None else ax
    if frame.empty:
        return say_nothing_is_there(axes, "no images")
    ranked = frame.assign(known=frame["size"].fillna(0).astype("int64"), rank=_ranks(frame))
    ranked = ranked.sort_values(["rank", "known", "digest"], ascending=[True, False, True])
    once = ranked.drop_duplicates("digest")
    shown = once[:blobs].sort_values(["holders", "known", "digest"], ascending=[False, False, True])
    columns = {digest: place for place, digest in enumerate(shown["digest"])}
    rows = {name: place for place, name in enumerate(images)}
    for image, digest, count in rows_of(frame[frame["digest"].isin(list(columns))], "image", "digest", "holders"):
        corner = (columns[digest] - 0.46, rows[image] - 0.42)
        axes.add_patch(Rectangle(corner, 0.92, 0.84, gid=f"{image} {digest}", **_tone(count)))
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_ylim(len(images) - 0.5, -0.5 - _BARS)
    axes.set_yticks(range(len(images)), [shortened(name, _NAME_LENGTH) for name in images], fontsize=FONT_SIZE)
    labels = [f"{_short(digest, role)} ({n:,})" for digest, role, n in rows_of(shown, "digest", "role", "holders")]
    axes.set_xticks(range(len(columns)), labels, rotation=90, fontsize=FONT_SIZE)
    left_out = len(once) - len(shown)
    rest = f"\nof each image the largest; {left_out:,} are left out" if left_out else ""
    axes.set_xlabel(f"blobs by digest (images of the registry that hold it){rest}")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.hlines(np.arange(len(images) + 1) - 0.5, -0.6, len(columns) - 0.4, color="#E6E6E6", linewidth=0.6, zorder=0.5)
    _draw_sizes(axes, shown, _BARS / (len(images) + _BARS))
    present = {_class_of(count) for count in shown["holders"]}
    handles = [Patch(label=label, **style) for place, (_, label, style) in enumerate(_TONES) if place in present]
    legend(axes, handles, title="the blob is held by")
    return axes


def _ranks(frame: pd.DataFrame) -> pd.Series[int]:
    """Return which of its image's blobs each row is, the largest 0."""
    return frame.groupby("image", observed=True).cumcount()


def _short(digest: str, role: str) -> str:
    """Return the first letters of a digest, as clients show them, and what the blob is where it is no layer."""
    letters = digest.rpartition(":")[2][:7]
    return letters if role == "layer" else f"{role} {letters}"


def _class_of(count: int) -> int:
    """Return which of the tones a number of holders has."""
    return next(place for place, (most, _, _) in enumerate(_TONES) if count <= most)


def _tone(count: int) -> Style:
    """Return how a blob with so many holders looks."""
    return _TONES[_class_of(count)][2]


def _draw_sizes(axes: Axes, shown: pd.DataFrame, height: float) -> None:
    """Draw the sizes of the blobs above their columns; logarithmically, where they differ by more than thirty times.

    Parameters
    ----------
    height : of the place for them, as a part of the Axes' height.
    """
    bars = axes.inset_axes((0.0, 1.0 - 0.93 * height, 1.0, 0.93 * height), sharex=axes)
    sizes = shown["known"].to_numpy(np.float64)
    positive = sizes[sizes > 0]
    for unknown in np.flatnonzero(shown["size"].isna()).tolist():
        bars.text(unknown, 0.02, "?", transform=bars.get_xaxis_transform(), ha="center", fontsize=FONT_SIZE)
    if positive.size and positive.max() > 30 * positive.min():
        bars.set_yscale("log", base=2)
        bars.set_ylim(positive.min() / 4, positive.max() * 1.5)
        powers = np.log2(positive.max() / positive.min())
        bars.yaxis.set_major_locator(LogLocator(base=2 ** max(5, 5 * round(powers / 20)), numticks=6))
        bars.yaxis.set_minor_locator(NullLocator())
        bars.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_bytes(round(value)).replace(".0 ", " ")))
        bars.set_ylabel("size\n(log. scale)", fontsize=FONT_SIZE)
        unit = 1
    else:
        unit = byte_axis(bars.yaxis, float(sizes.max()), "size")
        bars.yaxis.set_major_locator(MaxNLocator(3))
        bars.yaxis.label.set_fontsize(FONT_SIZE)
    for place, (size, count) in enumerate(zip(sizes, shown["holders"], strict=True)):
        bars.bar(place, size / unit, 0.7, **_tone(count))
    bars.tick_params(axis="x", length=0, labelbottom=False)
    bars.tick_params(axis="y", labelsize=FONT_SIZE)
    bars.spines[["top", "right"]].set_visible(False)
    bars.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    bars.set_axisbelow(True)
