"""Two-word totals, and hash tables from pairs of ids to rows or counts: open addressing over plain arrays."""

import numpy as np

from quotasim.kernels.compile import kernel, part, wrapping
from quotasim.kernels.layout import EMPTY, NULL, WORD, WORD_MASK
from quotasim.kernels.prefetch import prefetch

_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_ONE = np.uint64(1)

AHEAD = 16  # rows by which memory is asked for early


@part
def add_words(words, row, delta):
    """Add int64 ``delta`` to the two-word total ``words[row]`` (WRITTEN)."""
    low = words[row, 1] + (delta & WORD_MASK)
    words[row, 0] += (delta >> WORD) + (low >> WORD)
    words[row, 1] = low & WORD_MASK


@part
@wrapping
def home_slot(table, key):
    """Slot at which the search for int64 ``key`` >= 0 begins in an open-addressing ``table`` (int64[cap, >=2], cap
    < 2**32).

    The upper half of the product is spread over the slots by a second one, so that any capacity will do: powers of
    two would leave up
    to half of the memory unused.
    """
    spread = (np.uint64(key) * _MIX) >> _HALF
    return (spread * np.uint64(table.shape[0])) >> _HALF


@part
def find_slot(table, key):
    """Slot of ``key`` in ``table``, or of the hole where it belongs."""
    slot = home_slot(table, key)
    while table[slot, 0] != key and table[slot, 0] != EMPTY:
        slot += _ONE
        if slot == np.uint64(table.shape[0]):
            slot = np.uint64(0)
    return slot


@part
def has_room(table, used, more):
    """Whether ``more`` keys fit beside ``used`` at three quarters' load: beyond it linear probing gets long."""
    return 4 * (used + more) <= 3 * table.shape[0]


@kernel
def rehash(old, new, keep_zero):
    """Insert the rows of table ``old`` into the empty table ``new`` (WRITTEN); returns how many. O(len(old)).

    keep_zero  int64  0: keys whose values have all fallen to zero are left behind
    """
    kept = 0
    for i in range(old.shape[0]):
        ahead = i + AHEAD
        if ahead < old.shape[0] and old[ahead, 0] != EMPTY:
            prefetch(new, home_slot(new, old[ahead, 0]))
        counted = keep_zero != 0 and old[i, 0] != EMPTY
        if old[i, 0] != EMPTY:
            for j in range(1, old.shape[1]):
                counted = counted or old[i, j] != 0
        if counted:
            kept += 1
            slot = find_slot(new, old[i, 0])
            for j in range(old.shape[1]):
                new[slot, j] = old[i, j]
    return kept


@part
def _approach_pair(table, first, second, i):
    """Ask for the slot where the search for pair ``i`` will begin, if there is such a pair."""
    if i < first.shape[0]:
        prefetch(table, home_slot(table, (np.int64(first[i]) << 32) | np.int64(second[i])))


@kernel
def intern_pairs(table, first, second, next_row, new_first, new_second, out):
    """Give every pair (first, second) the row of its first appearance.

    table       int64[cap, 2]  (first << 32 | second, row), WRITTEN; must have room for n new pairs
    first       int32[n], second int32[n]
    next_row    int64          row of the next new pair
    new_first   int32[n], new_second int32[n], WRITTEN: the new pairs in order
    out         int32[n]       WRITTEN
    returns     int64          number of new pairs; O(n)
    """
    new = 0
    for i in range(first.shape[0]):
        _approach_pair(table, first, second, i + AHEAD)
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
        _approach_pair(table, first, second, i + AHEAD)
        slot = find_slot(table, (np.int64(first[i]) << 32) | np.int64(second[i]))
        out[i] = NULL if table[slot, 0] == EMPTY else table[slot, 1]
