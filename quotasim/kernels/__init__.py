"""Numba kernels over plain arrays: no objects, no strings, no exceptions. Nothing here imports the rest of quotasim."""

from typing import Final

NULL: Final = -1
"""No row: the value of an absent id, time or count in every table."""

GROWTH: Final = 1.5
"""Factor by which growable arrays grow: amortised O(1) an appended row, at most a third of the room unused."""
