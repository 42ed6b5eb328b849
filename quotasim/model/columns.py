"""Columns of state: arrays that branches share until one of them writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.kernels import GROWTH

Array = npt.NDArray[Any]


class Column:
    """A growable array of one dtype, shared with branches until first write.

    ``read()`` and ``write()`` hand out views of the rows in use. A view obtained from ``write()`` must not be kept
    across a ``share()``: it would write into rows that a branch reads. Kernels borrow it for one call.

    Parameters
    ----------
    dtype : element type.
    fill : value of rows that nobody wrote yet.
    width : number of values a row, for two-dimensional columns; 0 for a plain column.

    Examples
    --------
    >>> a = Column(np.int32, fill=-1)
    >>> a.grow(2)
    >>> b = a.share()
    >>> b.write()[0] = 7
    >>> a.read().tolist(), b.read().tolist()
    ([-1, -1], [7, -1])
    """

    __slots__ = ("_array", "_length", "_shared", "fill")

    def __init__(self, dtype: npt.DTypeLike, *, fill: int, width: int = 0) -> None:
        self.fill = fill
        self._array: Array = np.empty((0, width) if width else 0, dtype=dtype)
        self._length = 0
        self._shared = False

    def __len__(self) -> int:
        return self._length

    @property
    def nbytes(self) -> int:
        """Bytes held, spare capacity included; a shared array is counted by every sharer."""
        return self._array.nbytes

    def read(self) -> Array:
        """Return the rows in use. Not to be written: the array may be another branch's too."""
        return self._array[: self._length]

    def write(self) -> Array:
        """Return the rows in use for writing; copies the array once if a branch shares it."""
        if self._shared:
            self._array = self._array[: self._length].copy()
            self._shared = False
        return self._array[: self._length]

    def grow(self, length: int) -> None:
        """Lengthen to ``length`` rows, the new ones holding ``fill``; never shortens. Amortised O(new rows)."""
        if length <= self._length:
            return
        if length > self._array.shape[0]:
            # A first sizing is exact: bulk loads know their size, and half of a large column would stay unused.
            room = length if self._length == 0 else max(length, int(self._array.shape[0] * GROWTH) + 16)
            grown = np.empty((room, *self._array.shape[1:]), dtype=self._array.dtype)
            grown[: self._length] = self._array[: self._length]
            self._array = grown
            self._shared = False
        elif self._shared:
            self.write()
            self.grow(length)
            return
        self._array[self._length : length] = self.fill
        self._length = length

    def replace(self, array: Array) -> None:
        """Take ``array`` over as the new contents (a table that was rehashed, a snapshot that was read)."""
        self._array = np.ascontiguousarray(array, dtype=self._array.dtype)
        self._length = self._array.shape[0]
        self._shared = False

    def share(self) -> Column:
        """Return a column that shares this one's array. O(1)."""
        other = Column.__new__(Column)
        other.fill = self.fill
        other._array = self._array
        other._length = self._length
        other._shared = self._shared = True
        return other


class Appendable:
    """An append-only array, for the catalogue: rows are never changed, so no branch needs a copy."""

    __slots__ = ("_array", "_length")

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._array: Array = np.empty(0, dtype=dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def nbytes(self) -> int:
        """Bytes held, spare capacity included."""
        return self._array.nbytes

    @property
    def rows(self) -> Array:
        """The rows in use (a view)."""
        return self._array[: self._length]

    def reserve(self, length: int) -> None:
        """Make room for ``length`` rows in all."""
        if length > self._array.shape[0]:
            grown = np.empty(length, dtype=self._array.dtype)
            grown[: self._length] = self._array[: self._length]
            self._array = grown

    def extend(self, values: npt.ArrayLike) -> None:
        """Append ``values``. Amortised O(len(values))."""
        new = np.asarray(values, dtype=self._array.dtype)
        length = self._length + new.shape[0]
        if length > self._array.shape[0]:
            self.reserve(length if self._length == 0 else max(length, int(self._array.shape[0] * GROWTH) + 16))
        self._array[self._length : length] = new
        self._length = length

    def adopt(self, values: Array) -> None:
        """Take ``values`` over as the rows of an array that has none."""
        assert self._length == 0
        self._array = np.ascontiguousarray(values, dtype=self._array.dtype)
        self._length = self._array.shape[0]
