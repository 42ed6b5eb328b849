"""Interning digests with Arrow, pandas and a dict."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow

pa: Any = pyarrow  # its stubs do not know that arrays of numbers are numpy's


def intern_with_arrow(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """Rows of digests, uint64[n, 4], in order of first appearance; Arrow compares all 32 bytes too."""
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), words.shape[0], [None, pa.py_buffer(words)])
    rows: npt.NDArray[np.int32] = column.dictionary_encode().indices.to_numpy()
    return rows


def intern_with_dict(digests: list[bytes]) -> list[int]:
    """Rows of digests in order of first appearance."""
    rows: dict[bytes, int] = {}
    row_of = rows.setdefault
    return [row_of(digest, len(rows)) for digest in digests]


def intern_with_pandas(digests: Any) -> npt.NDArray[np.int64]:
    """Rows of digests, a Series of texts, in order of first appearance."""
    pandas: Any = import_module("pandas")
    rows: npt.NDArray[np.int64] = pandas.factorize(digests)[0]
    return rows


def series_of(texts: list[str]) -> Any:
    """Texts as pandas keeps them."""
    pandas: Any = import_module("pandas")
    return pandas.Series(texts)
