"""Digests to dense rows: an open-addressing hash table over raw digest bytes.

A slot of the table is one uint64: 32 bits of hash, then row + 1; 0 is a hole. A hit is believed only after
all bytes of the digest have been compared. The home of a digest is given by the *upper* bits of its 32 bits
of hash, so that doubling the table neither needs the digests nor jumps about: old slots are read, and new
ones written, from front to back.

Tables outgrow the processor's caches, and then a look-up is two waits for memory: the slot, then the row that
it names. The kernels therefore work in blocks: they ask for all slots of a block, then for all rows, then
look.
"""

import numpy as np

from quotasim.kernels.compile import kernel, part, wrapping
from quotasim.kernels.layout import NULL
from quotasim.kernels.prefetch import prefetch

BLOCK = 64
"""Digests looked up together; :func:`intern` goes on only while there is room for as many new rows."""

_ONE = np.uint64(1)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_ZERO = np.uint64(0)
_HOLE = _ZERO
_FINISH = np.uint64(0xD6E8FEB86659FD93)


@part
@wrapping
def _hash(words, i, multipliers):
    """Hash of digest ``i``, uint64 below 2**32: multilinear in all its words."""
    h = words[i, 0] * multipliers[0] + words[i, 1] * multipliers[1]
    h += words[i, 2] * multipliers[2] + words[i, 3] * multipliers[3]
    for k in range(4, words.shape[1]):
        h += words[i, k] * multipliers[k]
    # The upper bits of the sum depend on all bits of the words, the lower ones do not.
    return ((h ^ (h >> _HALF)) * _FINISH) >> _HALF


@part
def _equal(words, i, rows, row):
    """Whether digest ``i`` of ``words`` is the one of ``row``: all bytes, and one branch for them."""
    other = (words[i, 0] ^ rows[row, 0]) | (words[i, 1] ^ rows[row, 1])
    other |= (words[i, 2] ^ rows[row, 2]) | (words[i, 3] ^ rows[row, 3])
    for k in range(4, words.shape[1]):
        other |= words[i, k] ^ rows[row, k]
    return other == _ZERO


@part
def _approach(words, first, count, slots, shift, mask, rows, multipliers, block):
    """Find where to look for ``count`` digests from ``first`` on, and ask for the rows to compare them with.

    block   uint64[BLOCK, 2]  each one's hash, and the first slot on its way with that or a hole; WRITTEN
    """
    for j in range(count):
        h = _hash(words, first + j, multipliers)
        block[j, 0] = h
        prefetch(slots, h >> shift)
    for j in range(count):
        h = block[j, 0]
        at = h >> shift
        slot = slots[at]
        while slot != _HOLE and slot >> _HALF != h:
            at = (at + _ONE) & mask
            slot = slots[at]
        block[j, 1] = at
        # Whether it is a hole is a coin toss: to ask for row 0 then is cheaper than a branch.
        prefetch(rows, max(slot & _LOW, _ONE) - _ONE)


@kernel
def intern(words, start, slots, bits, rows, used, multipliers, block, out):
    """Give each digest from ``start`` on the row of its first appearance, as long as there is room.

    words        uint64[n, W]    digests; W is 4 or 8
    start        int64
    slots        uint64[2**bits] WRITTEN
    bits         int64           1 to 32
    rows         uint64[R, W]    the digest of each row; WRITTEN from the first unused row on
    used         int64[2]        rows in use, slots in use; WRITTEN
    multipliers  uint64[W]       odd
    block        uint64[BLOCK, 2] scratch; WRITTEN
    out          int32[n]        WRITTEN from ``start`` on
    returns      int64           n, or the digest at which there was no room for a whole block
    cost         O(n)
    """
    n = words.shape[0]
    shift = np.uint64(32 - bits)
    mask = np.uint64(slots.shape[0] - 1)
    row_count, slot_count = used[0], used[1]
    first = start
    while first < n:
        count = min(BLOCK, n - first)
        if row_count + count > rows.shape[0] or 4 * (slot_count + count) > 3 * slots.shape[0]:
            break
        _approach(words, first, count, slots, shift, mask, rows, multipliers, block)
        for j in range(count):
            i = first + j
            h, at = block[j, 0], block[j, 1]
            while True:  # a digest before it in the block may have taken the hole
                slot = slots[at]
                if slot == _HOLE:
                    slots[at] = (h << _HALF) | np.uint64(row_count + 1)
                    for k in range(words.shape[1]):
                        rows[row_count, k] = words[i, k]
                    out[i] = row_count
                    row_count += 1
                    slot_count += 1
                    break
                row = (slot & _LOW) - _ONE
                if slot >> _HALF == h and _equal(words, i, rows, row):
                    out[i] = np.int32(row)
                    break
                at = (at + _ONE) & mask
        first += count
    used[0] = row_count
    used[1] = slot_count
    return first


@kernel
def find(words, slots, bits, rows, multipliers, block, out):
    """Row of each digest, NULL where it has none.

    words        uint64[n, W]    digests; W is 4 or 8
    slots        uint64[2**bits]
    bits         int64           1 to 32
    rows         uint64[R, W]    the digest of each row
    multipliers  uint64[W]       odd
    block        uint64[BLOCK, 2] scratch; WRITTEN
    out          int32[n]        WRITTEN
    cost         O(n)
    """
    n = words.shape[0]
    shift = np.uint64(32 - bits)
    mask = np.uint64(slots.shape[0] - 1)
    for first in range(0, n, BLOCK):
        count = min(BLOCK, n - first)
        _approach(words, first, count, slots, shift, mask, rows, multipliers, block)
        for j in range(count):
            i = first + j
            h, at = block[j, 0], block[j, 1]
            out[i] = NULL
            while slots[at] != _HOLE:
                row = (slots[at] & _LOW) - _ONE
                if slots[at] >> _HALF == h and _equal(words, i, rows, row):
                    out[i] = np.int32(row)
                    break
                at = (at + _ONE) & mask


@kernel
def spread(old, slots, bits):
    """Put the slots of a table into a larger, empty one.

    old      uint64[cap]
    slots    uint64[2**bits]  WRITTEN
    bits     int64            1 to 32
    cost     O(cap), front to back in both
    """
    shift = np.uint64(32 - bits)
    mask = np.uint64(slots.shape[0] - 1)
    for i in range(old.shape[0]):
        slot = old[i]
        if slot != _HOLE:
            at = (slot >> _HALF) >> shift
            while slots[at] != _HOLE:
                at = (at + _ONE) & mask
            slots[at] = slot
