"""Two-word totals, and hash tables from pairs of ids to rows or counts: open addressing over plain arrays."""

import numpy as np

from quotasim.kernels.compile import kernel, part
from quotasim.kernels.layout import EMPTY, NULL, WORD, WORD_MASK

_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@part
def add_words(words, row, delta):
    """Add int64 ``delta`` to the two-word total ``words[row]`` (WRITTEN)."""
    low = words[row, 1] + (delta & WORD_MASK)
    words[row, 0] += (delta >> WORD) + (low >> WORD)
    words[row, 1] = low & WORD_MASK


@part
def find_slot(table, key):
    """Slot of int64 ``key`` >= 0 in an open-addressing ``table`` (int64[cap, >=2], cap a power of two), or of the hole where it belongs."""
    mask = table.shape[0] - 1
    slot = np.int64((np.uint64(key) * _MIX) >> _HALF) & mask
    while table[slot, 0] != key and table[slot, 0] != EMPTY:
        slot = (slot + 1) & mask
    return slot


@kernel
def rehash(old, new):
    """Insert every row of table ``old`` into the larger, empty table ``new`` (WRITTEN). O(len(old))."""
    for i in range(old.shape[0]):
        if old[i, 0] != EMPTY:
            slot = find_slot(new, old[i, 0])
            for j in range(old.shape[1]):
                new[slot, j] = old[i, j]


@kernel
def intern_pairs(table, first, second, next_row, new_first, new_second, out):
    """Give every pair (first, second) the row of its first appearance.

    table       int64[cap, 2]  (first << 32 | second, row), WRITTEN; must have room for n new pairs at half load
    first       int32[n], second int32[n]
    next_row    int64          row of the next new pair
    new_first   int32[n], new_second int32[n], WRITTEN: the new pairs in order
    out         int32[n]       WRITTEN
    returns     int64          number of new pairs; O(n)
    """
    new = 0
    for i in range(first.shape[0]):
        key = (np.int64(first[i]) << 32) | np.int64(second[i])
        slot = find_slot(table, key)
        if table[slot, 0] == EMPTY:
            table[slot, 0] = key
            table[slot, 1] = next_row + new
            new_first[new] = first[i]
            new_second[new] = second[i]
            new += 1
        out[i] = table[slot, 1]
    return new


@kernel
def find_pairs(table, first, second, out):
    """Rows of the pairs, NULL where absent. Like :func:`intern_pairs`, but adds nothing; ``out`` int32[n] WRITTEN."""
    for i in range(first.shape[0]):
        slot = find_slot(table, (np.int64(first[i]) << 32) | np.int64(second[i]))
        out[i] = NULL if table[slot, 0] == EMPTY else table[slot, 1]
