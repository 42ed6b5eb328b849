"""A treemap of sharing: who has how many bytes, and how many of them are theirs alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import squarify
from matplotlib.patches import Patch, Rectangle

from quotasim.errors import InvalidValue
from quotasim.plots.style import (
    EXCLUSIVE,
    FONT_SIZE,
    NOTEBOOK_WIDTH,
    SHARED,
    Style,
    legend,
    new_figure,
    say_nothing_is_there,
    settled,
    shortened,
)
from quotasim.units import format_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LEAST_SHARE = 0.005
"""Of the whole: a smaller rectangle has no room for a name at a notebook's width."""

_VISIBLE = 1e-4
"""Of the whole: less is a dot."""

_MARGIN, _LETTER, _LEAST_LETTERS = 0.035, 0.06, 6
"""Inches between a rectangle's edge and its name, and that a letter takes at least; letters that still tell."""


_GREY: dict[str, Style] = {
    "exclusive": {"facecolor": "#7A7A7A", "edgecolor": "#4D4D4D"},
    "shared": {"facecolor": "#EDEDED", "edgecolor": "#8A8A8A"},
}
"""Of many names together, which is nobody."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A name with its bytes, or several names together."""

    name: str
    exclusive: int
    attributed: int
    several: bool = False


def treemap(frame: pd.DataFrame, ax: Axes | None = None, *, most: int = 30) -> Axes:
    """Draw who has how many bytes: rectangles whose areas are attributed bytes, the part that is theirs alone solid.

    Parameters
    ----------
    frame : of :func:`quotasim.frames.repositories`, or of :func:`quotasim.frames.sharing` for other groups: ``name``,
        ``exclusive_bytes`` and ``attributed_bytes``, a row a name.
    ax : to draw on; by default one of a new figure, of a notebook's width. Its size should not change afterwards:
        names are fitted to it.
    most : names that have rectangles of their own; the others, and those below half a percent of the whole, have one
        together.

    Returns
    -------
    The Axes, in inches.

    Raises
    ------
    InvalidValue : ``most`` is below 1, or a name has more exclusive than attributed bytes, or less than none.
    """
    if most < 1:
        raise InvalidValue("most", most, "at least 1")
    rows = zip(frame["name"], frame["exclusive_bytes"], frame["attributed_bytes"], strict=True)
    parts = [_Part(str(name), int(exclusive), int(attributed)) for name, exclusive, attributed in rows]
    for part in parts:
        if not 0 <= part.exclusive <= part.attributed:
            raise InvalidValue("frame", part, "exclusive bytes from 0 to the attributed bytes")
    axes = new_figure(width=NOTEBOOK_WIDTH, height=4.4)[1][0] if ax is None else ax
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    whole = sum(part.attributed for part in parts)
    if whole == 0:
        return say_nothing_is_there(axes, "no bytes")
    shown, hidden = _gathered(parts, whole, most)
    unseen = f"; {hidden.name}, {format_bytes(hidden.attributed)}, too small to be seen" if hidden.attributed else ""
    axes.set_xlabel(f"area: attributed bytes, {format_bytes(whole)} in all{unseen}")
    handles = [
        Patch(label="exclusive: nobody else holds it", **EXCLUSIVE),
        Patch(label="its part of shared bytes, split equally", **SHARED),
    ]
    legend(axes, handles)
    width, height = settled(axes)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)  # the largest stands at the top left
    sizes = squarify.normalize_sizes([part.attributed for part in shown], width, height)
    for part, place in zip(shown, squarify.squarify(sizes, 0, 0, width, height), strict=True):
        _draw(axes, part, Rectangle((place["x"], place["y"]), place["dx"], place["dy"]))
    return axes


def _gathered(parts: list[_Part], whole: int, most: int) -> tuple[list[_Part], _Part]:
    """Return what has a rectangle, the largest first, the small ones as one together the last; and what has none."""
    ordered = sorted(parts, key=lambda part: (-part.attributed, part.name))
    shown = [part for part in ordered[:most] if part.attributed >= _LEAST_SHARE * whole]
    rest = [part for part in ordered[len(shown) :] if part.attributed]
    exclusive, attributed = sum(part.exclusive for part in rest), sum(part.attributed for part in rest)
    together = rest[0] if len(rest) == 1 else _Part(f"{len(rest):,} others", exclusive, attributed, several=True)
    return ([*shown, together], _Part("", 0, 0)) if attributed >= _VISIBLE * whole else (shown, together)


def _draw(axes: Axes, part: _Part, place: Rectangle) -> None:
    """Draw a rectangle, divided along its longer side, with its name where there is room."""
    x, y, width, height = place.get_x(), place.get_y(), place.get_width(), place.get_height()
    pieces = [("exclusive", part.exclusive, EXCLUSIVE), ("shared", part.attributed - part.exclusive, SHARED)]
    pieces.sort(key=lambda piece: -piece[1])  # the name, at the top left, covers the larger one
    left, top = x, y
    for held, size, style in pieces:
        share = size / part.attributed
        across, down = (width * share, height) if width >= height else (width, height * share)
        if size:
            look = {**style, **_GREY[held]} if part.several else style
            axes.add_patch(Rectangle((left, top), across, down, gid=f"{held}: {part.name}", **look))
        left, top = (left + across, top) if width >= height else (left, top + down)
    axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor="white", linewidth=2.2))
    for lines, angle in _labels(part, width, height):
        label = axes.text(
            x + _MARGIN,
            y + _MARGIN,
            lines,
            fontsize=FONT_SIZE,
            va="top",
            rotation=angle,
            linespacing=1.05,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 1.0},
        )
        box = label.get_window_extent().transformed(axes.transData.inverted())
        if box.x1 + _MARGIN <= x + width and max(box.y0, box.y1) + _MARGIN <= y + height:
            return
        label.remove()


def _labels(part: _Part, width: float, height: float) -> Iterator[tuple[str, float]]:
    """Yield what could be written in a rectangle and at what angle, what says most first."""
    size = format_bytes(part.attributed)
    above, slash, last = part.name.rpartition("/")
    yield f"{part.name}\n{size}", 0
    if slash:
        yield f"{above}/\n{last}\n{size}", 0
    if height > width:  # on its side
        yield f"{part.name}  {size}", 90
    letters = int(width / _LETTER)
    for room in range(min(letters, len(part.name) - 1), _LEAST_LETTERS - 1, -1):
        yield f"{shortened(part.name, room)}\n{size}", 0
    for angle, room in ((0, letters), (90, int(height / _LETTER))):
        for most in range(min(room, len(part.name)), _LEAST_LETTERS - 1, -1):
            yield shortened(part.name, most), angle
