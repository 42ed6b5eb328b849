"""Exact totals beyond 2**63: two int64 words in arrays, Python ints outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.kernels import NULL, sharing
from quotasim.kernels.layout import WORD, WORD_MASK

Array = npt.NDArray[Any]


def words_to_ints(words: Array) -> list[int]:
    """Return two-word totals, int64[n, 2], as exact Python ints."""
    return [(high << WORD) + low for high, low in words.tolist()]


def int_to_words(value: int | None) -> tuple[int, int]:
    """Return an int as two words; None (no limit) as a first word of NULL.

    Examples
    --------
    >>> int_to_words(2**40 + 5), int_to_words(None)
    ((256, 5), (-1, 0))
    """
    return (NULL, 0) if value is None else (value >> WORD, value & WORD_MASK)


def exact_sum(values: Array) -> int:
    """Return the sum of int64 values as an exact Python int. O(n).

    Examples
    --------
    >>> exact_sum(np.array([2**62, 2**62, 2**62])) == 3 * 2**62
    True
    """
    words = np.zeros((1, 2), np.int64)
    sharing.sum_words(np.ascontiguousarray(values, np.int64), words)
    return words_to_ints(words)[0]


def exact_dot(values: Array, weights: Array) -> int:
    """Return the sum of the products of two arrays of numbers that are not negative, as an exact Python int. O(n).

    Parameters
    ----------
    values : int64[n], or Python ints (dtype object) below 2**95, as of :func:`cumulative`.
    weights : int64[n]; fewer than 2**31 of them.

    Examples
    --------
    >>> exact_dot(np.array([2**62, 3]), np.array([2**50, 1])) == 2**112 + 3
    True
    """
    # In halves of 32 bits no product is above 2**64, and none of the sums of their halves can wrap.
    halves = [(np.asarray(part >> 32, np.int64), np.asarray(part & 0xFFFFFFFF, np.int64)) for part in (values, weights)]
    whole = 0
    for high, value in zip((32, 0), halves[0], strict=True):
        for low, weight in zip((32, 0), halves[1], strict=True):
            product = value.astype(np.uint64) * weight.astype(np.uint64)
            sums = int((product >> np.uint64(32)).sum()), int((product & np.uint64(0xFFFFFFFF)).sum())
            whole += ((sums[0] << 32) + sums[1]) << (high + low)
    return whole


def cumulative(deltas: Array, start: int = 0) -> Array:
    """Return the running total after each delta: int64[n], or Python ints (dtype object) where one passes 2**63 -
    1. O(n).

    Examples
    --------
    >>> cumulative(np.array([5, -2])).tolist()
    [5, 3]
    """
    high = np.empty(deltas.shape[0], np.int64)
    low = np.empty(deltas.shape[0], np.int64)
    sharing.cumulative_words(np.ascontiguousarray(deltas, np.int64), *int_to_words(start), high, low)
    if high.size == 0 or int(high.max()) < 1 << 31:
        return np.asarray((high << WORD) + low)
    return np.asarray((high.astype(object) << WORD) + low.astype(object))
