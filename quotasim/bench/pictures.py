"""Pictures of a result: throughput against size, and ours beside its peers and limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from quotasim.bench.results import Result, Row
from quotasim.bench.tables import largest_rows, rate
from quotasim.importers.traces import whole_file
from quotasim.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "speedups", "throughput"]

# Of the palette of Okabe and Ito; ours is black, and each has a mark of its own, so that grey is enough.
_OURS: dict[str, Any] = {"color": "#000000", "marker": "o", "linewidth": 2.4, "linestyle": "-"}
_PEERS: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "marker": "s", "linewidth": 1.4, "linestyle": (0, (4, 2))},
    {"color": "#D55E00", "marker": "^", "linewidth": 1.4, "linestyle": (0, (4, 2))},
    {"color": "#009E73", "marker": "v", "linewidth": 1.4, "linestyle": (0, (4, 2))},
    {"color": "#CC79A7", "marker": "D", "linewidth": 1.4, "linestyle": (0, (4, 2))},
    {"color": "#56B4E9", "marker": "P", "linewidth": 1.4, "linestyle": (0, (4, 2))},
    {"color": "#E69F00", "marker": "X", "linewidth": 1.4, "linestyle": (0, (4, 2))},
)
_LIMIT: dict[str, Any] = {"color": "#8A8A8A", "marker": "x", "linewidth": 1.2, "linestyle": (0, (1, 1.5))}
_BAR = {"peer": "#56B4E9", "limit": "#BBBBBB"}


def throughput(rows: Sequence[Row], axes: Axes) -> None:
    """Draw the throughput of each contender of one case against size, on log axes.

    Parameters
    ----------
    rows : of one case, at one size or more.
    """
    peers = 0
    for name in dict.fromkeys(row.contender for row in rows):
        mine = [row for row in rows if row.contender == name and row.seconds]
        if not mine:
            continue
        style = _OURS if mine[0].role == "ours" else _LIMIT
        if mine[0].role == "peer":
            style = _PEERS[peers % len(_PEERS)]
            peers += 1
        label = f"{name} (limit)" if mine[0].role == "limit" else name
        axes.plot([row.references for row in mine], [row.items_per_second or 0.0 for row in mine], label=label, **style)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(LogLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: rate(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    axes.set_ylim(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)))  # whole decades have labels
    axes.set_xlabel("references in the registry")
    axes.set_ylabel(f"{rows[0].unit} a second")
    axes.set_title(f"{rows[0].title}: best rounds", loc="left")
    axes.grid(visible=True, which="major", color="#DDDDDD", linewidth=0.6)
    axes.legend(fontsize="small", frameon=False, loc="best")


def speedups(result: Result, axes: Axes) -> None:
    """Draw how many times as long as ours each peer and limit took, at the largest size of each case, as bars on a log
    axis; a line stands at ours, and a notch at the target.
    """
    rows = [row for row in largest_rows(result) if row.slower_by_best is not None]
    for place, row in enumerate(rows):
        ratio = row.slower_by_best or 1.0
        axes.barh(place, ratio - 1, left=1, height=0.62, color=_BAR[row.role], edgecolor="#444444", linewidth=0.6)
        axes.annotate(
            f"{ratio:.3g} x",
            (max(ratio, 1, row.target or 0), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
        if row.target is not None:
            axes.plot([row.target] * 2, [place - 0.4, place + 0.4], color="#D55E00", linewidth=2)
    axes.axvline(1, color="#000000", linewidth=1.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    left, right = axes.get_xlim()
    axes.set_xlim(min(left, 0.5), right * 2)
    axes.set_yticks(range(len(rows)), [f"{row.title}: {row.contender}" for row in rows], fontsize="small")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("times as long as quotasim takes; red: aimed for")
    axes.grid(visible=True, which="major", axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def draw(result: Result, directory: Path) -> list[Path]:
    """Write one PNG a case that was run at several sizes, and one of all ratios; returns their paths."""
    written = []
    for case in dict.fromkeys(row.case for row in result.rows):
        rows = [row for row in result.rows if row.case == case]
        if len({row.references for row in rows}) < 2:
            continue
        figure, (axes,) = new_figure(height=3.6)
        throughput(rows, axes)
        written.append(_save(figure, directory / f"{case}.png"))
    ratios = [row for row in largest_rows(result) if row.slower_by_best is not None]
    if ratios:
        figure, (axes,) = new_figure(height=1.2 + 0.32 * len(ratios))
        speedups(result, axes)
        written.append(_save(figure, directory / "ratios.png"))
    return written


def _save(figure: Figure, path: Path) -> Path:
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=120)
    return path
