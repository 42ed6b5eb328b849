"""A waterfall of a deletion: from what it removes to what it frees, and when."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd

from quotasim.plots.style import (
    EXCLUSIVE,
    FONT_SIZE,
    NOTEBOOK_WIDTH,
    SHARED,
    STORED,
    Style,
    byte_axis,
    new_figure,
    rows_of,
    say_nothing_is_there,
    signed_bytes,
)
from quotasim.units import format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

_DELETED: Style = {"facecolor": "#5A5A5A", "edgecolor": "#000000", "linewidth": 0.6}
_DISK: Style = {**STORED, "facecolor": "#C4C4C4"}
_GAIN: Style = {"facecolor": "#FFFFFF", "edgecolor": "#0072B2", "linewidth": 1.2, "hatch": "...."}

_TEXTS = {
    "deleted": "what goes, each image on its own",
    "repeated": "shared among what goes",
    "uncharged": "was not charged",
    "shared": "still held by other images",
    "kept": "kept without an image",
    "other": "freed besides",
    "charged": "freed of the charge",
    "stored": "freed on the disk",
}
_STYLES = {"deleted": _DELETED, "charged": EXCLUSIVE, "stored": _DISK}


@dataclass(frozen=True, slots=True)
class _Bar:
    """A step that is drawn; ``kind`` as the frame has it."""

    kind: str
    begin: int
    end: int
    text: str
    style: Style


def waterfall(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what becomes of a deletion: what goes, what of it stays and why, what is freed of the charge and the disk.

    Parameters
    ----------
    frame : of :func:`quotasim.frames.deletion`.
    ax : to draw on; by default one of a new figure, of a notebook's width and as high as the steps need.

    Returns
    -------
    The Axes: a bar a step, from above to below. Changes of nothing are left out. What is freed at one time is said
    beside the total, else each time has a bar. Where the disk follows the charge at once, both have one bar.

    Examples
    --------
    >>> from quotasim import Blob, Image, Registry, frames
    >>> registry = Registry("acr-premium", start="2026-01-01")
    >>> for name in ("api", "web"):
    ...     pushed = registry.push(f"{name}:1", Image([Blob.synthetic("base", 900), Blob.synthetic(name, 50)]))
    >>> axes = waterfall(frames.deletion(registry.preview(delete=["web:1"])))
    >>> [label.get_text() for label in axes.get_yticklabels()][1]
    'still held by other images'
    """
    bars = list(_bars(frame))
    axes = new_figure(width=NOTEBOOK_WIDTH, height=0.36 * max(len(bars), 3) + 0.75)[1][0] if ax is None else ax
    if not (frame["bytes"] != 0).any():
        return say_nothing_is_there(axes, "nothing goes that has bytes, and nothing is freed")
    ends = pd.concat([frame["begin_bytes"], frame["end_bytes"]])
    largest, least = int(ends.max()), min(int(ends.min()), 0)
    unit = byte_axis(axes.xaxis, float(max(largest, -least)), "bytes")
    for place, bar in enumerate(bars):
        size = bar.end - bar.begin
        axes.barh(place, size / unit, 0.36 if bar.kind == "part" else 0.66, left=bar.begin / unit, **bar.style)
        axes.annotate(
            signed_bytes(size) if bar.kind == "change" else format_bytes(size),
            (max(bar.begin, bar.end) / unit, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_SIZE,
        )
    for place, (above, below) in enumerate(pairwise(bars)):
        # A change goes on where the step before it ends; the total after it ends there too.
        if below.kind == "change" or above.kind == "change":
            axes.vlines(above.end / unit, place, place + 1, color="#5A5A5A", linewidth=1.0, zorder=0.6)
    axes.set_yticks(range(len(bars)), [bar.text for bar in bars], fontsize=FONT_SIZE)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(1.05 * least / unit, least / unit + 1.25 * (largest - least) / unit)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def _bars(frame: pd.DataFrame) -> Iterator[_Bar]:
    """Yield (begin, end, text, style) of what is drawn."""
    rows = {step: frame[frame["step"] == step] for step in frame["step"].cat.categories}
    when = {step: _when(rows[f"{step}_at"]) for step in ("charged", "stored")}
    totals = {step: int(rows[step]["end_bytes"].sum()) for step in ("charged", "stored")}
    together = totals["charged"] == totals["stored"] and when["charged"] == when["stored"]
    left = {figure: iter(words) for figure, words in when.items()}
    for step, kind, begin, end in rows_of(frame, "step", "kind", "begin_bytes", "end_bytes"):
        if step == "stored" and together:
            return
        if kind == "part":
            figure = step.removesuffix("_at")
            text = next(left[figure])
            if len(when[figure]) > 1:
                yield _Bar("part", begin, end, text, _STYLES[figure])
        elif kind == "total":
            text = "freed of the charge and the disk" if step == "charged" and together else _TEXTS[step]
            if step != "deleted" and len(when[step]) == 1:
                text += f", {when[step][0]}"
            yield _Bar("total", begin, end, text, _STYLES[step])
        elif end != begin:
            text = _TEXTS.get(step) or ("stays on the disk" if end < begin else "freed on the disk alone")
            yield _Bar("change", begin, end, text, SHARED if end < begin else _GAIN)


def _when(parts: pd.DataFrame) -> list[str]:
    """Return when each part of a total is freed, in words."""
    return [_delay(after, cause) for after, cause in rows_of(parts, "after", "cause")]


def _delay(after: pd.Timedelta, cause: str) -> str:
    """Return when something is freed, in words."""
    microseconds = after // pd.Timedelta(microseconds=1)
    if cause.startswith("garbage collection"):
        return f"once collected, {format_duration(microseconds)} on" if microseconds else "once collected"
    return f"after {format_duration(microseconds)}" if microseconds else "at once"
