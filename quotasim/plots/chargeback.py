"""Who pays for what: three ways to split a charge, and which of them adds up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.patches import Rectangle

from quotasim.errors import InvalidValue
from quotasim.plots.style import (
    EXCLUSIVE,
    FONT_SIZE,
    LIMIT,
    NOTEBOOK_WIDTH,
    SHARED,
    Style,
    byte_axis,
    legend,
    new_figure,
    say_nothing_is_there,
    shortened,
    signed_bytes,
)
from quotasim.units import format_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

UNATTRIBUTED = "(unattributed)"
"""The name of what nobody holds; its row stays the last."""

_SPLITS: dict[str, tuple[str, Style]] = {
    "logical_bytes": (
        "logical: as if nothing were shared",
        {"facecolor": "#FFFFFF", "edgecolor": "#000000", "linewidth": 0.8},
    ),
    "attributed_bytes": ("attributed: shared bytes split equally", {**SHARED, "facecolor": "#8CC7EA"}),
    "exclusive_bytes": ("exclusive: nobody else holds it", EXCLUSIVE),
}
"""What is drawn, from above to below."""

_BAR, _ROW_HEIGHT, _NAME_LENGTH = 0.28, 0.52, 30
"""The height of a bar, of which a name has three; inches of a name's row; letters of a name."""

_SUMS, _SUMS_AND_SCALE = 1.6, 3.1
"""Rows that the bars of the sums take above the names, and with their scale and its text."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A name with its bytes by split, or several names together."""

    name: str
    sizes: dict[str, int]
    several: bool = False


def chargeback(frame: pd.DataFrame, ax: Axes | None = None, *, charged: int | None = None, most: int = 12) -> Axes:
    """Draw three ways to split a charge between names, and above them whether their sums come to it.

    Parameters
    ----------
    frame : ``name``, ``logical_bytes``, ``attributed_bytes`` and ``exclusive_bytes``, a row a name; such as of
        :func:`quotasim.frames.sharing`. A row ``(unattributed)``, of what nobody holds, stays the last.
    ax : to draw on; by default one of a new figure, of a notebook's width and as high as the names need.
    charged : bytes that are to be split, drawn as a line beside the sums.
    most : names that have bars, the largest attributed bytes first; of the others together there are numbers only. One
        other alone has bars too, since it takes a row in any case.

    Returns
    -------
    The Axes of the names; that of the sums is an inset above it, on a scale of its own.

    Raises
    ------
    InvalidValue : ``most`` is below 1.
    """
    if most < 1:
        raise InvalidValue("most", most, "at least 1")
    rows = _gathered(frame, most)
    height = _ROW_HEIGHT * (len(rows) + _SUMS_AND_SCALE) + 1.2
    axes = new_figure(width=NOTEBOOK_WIDTH, height=height)[1][0] if ax is None else ax
    if not rows:
        return say_nothing_is_there(axes, "nobody to split a charge between")
    largest = max(max(row.sizes.values()) for row in rows if not row.several)
    unit = byte_axis(axes.xaxis, float(largest), "bytes of each")
    _draw_bars(axes, rows, unit)
    axes.set_xlim(0, 1.3 * largest / unit if largest else 1)
    handles = [axes.containers[place] for place in range(len(_SPLITS))]
    _draw_sums(axes, {name: sum(map(int, frame[name])) for name in _SPLITS}, charged)
    legend(axes, handles)
    return axes


def _gathered(frame: pd.DataFrame, most: int) -> list[_Row]:
    """Return (name, its bytes) of what has bars: the largest first, the small ones as one, then what nobody holds."""
    columns = [map(int, frame[column]) for column in _SPLITS]
    parts = list(zip(map(str, frame["name"]), zip(*columns, strict=True), strict=True))
    rows = [_Row(name, dict(zip(_SPLITS, values, strict=True))) for name, values in parts]
    nobody = [row for row in rows if row.name == UNATTRIBUTED]
    named = [row for row in rows if row.name != UNATTRIBUTED]
    named.sort(key=lambda row: (-row.sizes["attributed_bytes"], -row.sizes["logical_bytes"], row.name))
    shown, rest = (named, []) if len(named) <= most + 1 else (named[:most], named[most:])
    if rest:
        sums = {column: sum(row.sizes[column] for row in rest) for column in _SPLITS}
        shown.append(_Row(f"{len(rest):,} others", sums, several=True))
    return shown + nobody


def _draw_bars(axes: Axes, rows: list[_Row], unit: int) -> None:
    """Draw three bars a name, with the attributed bytes as a number."""
    for split, (column, (label, style)) in enumerate(_SPLITS.items()):
        places = [place + (split - 1) * _BAR for place, row in enumerate(rows) if not row.several]
        axes.barh(places, [row.sizes[column] / unit for row in rows if not row.several], _BAR, label=label, **style)
    for place, row in enumerate(rows):
        axes.annotate(
            _numbers(row.sizes) if row.several else f"{format_bytes(row.sizes['attributed_bytes'])} attributed",
            (0 if row.several else max(row.sizes.values()) / unit, place),  # where no bar lies under it
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_SIZE,
        )
    axes.set_yticks(range(len(rows)), [shortened(row.name, _NAME_LENGTH) for row in rows], fontsize=FONT_SIZE)
    axes.set_ylim(len(rows) - 0.45, -0.55 - _SUMS_AND_SCALE)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)


def _numbers(sizes: dict[str, int]) -> str:
    """Return the bytes of every split in words."""
    return ", ".join(f"{column.removesuffix('_bytes')} {format_bytes(size)}" for column, size in sizes.items())


def _draw_sums(axes: Axes, sums: dict[str, int], charged: int | None) -> None:
    """Draw what each split comes to, beside what is to be split, in the place above the names."""
    rows = abs(axes.get_ylim()[0] - axes.get_ylim()[1])
    behind = (0.0, 1.0 - _SUMS_AND_SCALE / rows), 1.0, _SUMS_AND_SCALE / rows
    axes.add_patch(Rectangle(*behind, transform=axes.transAxes, color="white", linewidth=0, zorder=1.0))
    above = axes.inset_axes((0.0, 1.0 - (_SUMS + 0.4) / rows, 1.0, _SUMS / rows))
    largest = max(*sums.values(), charged or 0)
    unit = byte_axis(above.xaxis, float(largest), "all together")
    for place, (column, (_, style)) in enumerate(_SPLITS.items()):
        above.barh(place, sums[column] / unit, 0.7, **style)
        above.annotate(
            _sum(sums[column], charged),
            (sums[column] / unit, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_SIZE,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    if charged is not None:
        above.axvline(charged / unit, **{**LIMIT, "linewidth": 1.4})
        above.annotate(
            f"charged {format_bytes(charged)}",
            (charged / unit, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=FONT_SIZE,
        )
    above.set_yticks(range(len(sums)), [column.removesuffix("_bytes") for column in sums], fontsize=FONT_SIZE)
    above.set_ylim(len(sums) - 0.5, -0.5)
    above.set_xlim(0, 1.45 * largest / unit if largest else 1)
    above.tick_params(axis="y", length=0)
    above.spines[["top", "right", "left"]].set_visible(False)


def _sum(size: int, charged: int | None) -> str:
    """Return a sum, and how far it is from the charge."""
    if charged is None:
        return format_bytes(size)
    if size == charged:
        return f"{format_bytes(size)}: the charge"
    return f"{format_bytes(size)} ({signed_bytes(size - charged)})"
