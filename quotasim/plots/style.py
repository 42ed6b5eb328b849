"""What all pictures have in common: colours and line styles, units, figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]
Style = Mapping[str, Any]

# Of the palette of Okabe and Ito; in grey they differ by lightness, and by form in any case.
CHARGED: Style = {"color": "#0072B2", "linewidth": 2.4, "linestyle": "-"}
REPORTED: Style = {"color": "#D55E00", "linewidth": 2.0, "linestyle": (0, (4, 2))}
STORED: Style = {"facecolor": "#E3E3E3", "edgecolor": "#8A8A8A", "linewidth": 0.8}
LOGICAL: Style = {"color": "#000000", "linewidth": 1.2, "linestyle": (0, (1, 1.2))}
LIMIT: Style = {"color": "#000000", "linewidth": 1.0, "linestyle": "-."}

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
