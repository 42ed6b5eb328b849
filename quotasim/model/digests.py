"""Digests as arrays of raw bytes: read from text, written as text, and interned to dense rows."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from quotasim.errors import InvalidDigest, InvalidValue
from quotasim.kernels import GROWTH, hexadecimal, intern

__all__ = [
    "PROBLEM_REASONS",
    "SHA256",
    "SHA512",
    "DigestArray",
    "DigestProblem",
    "DigestTable",
    "decode_digests",
    "digest_sort_keys",
    "digests_from_strings",
    "encode_digests",
    "format_digest",
    "format_digests",
]

Array = npt.NDArray[Any]
Words = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int32]

SHA256: Final = hexadecimal.SHA256
SHA512: Final = hexadecimal.SHA512

_NAMES: Final = ("sha256:", "sha512:")
_BYTES: Final = (32, 64)
_MOST_ROWS: Final = 2**31 - 2
_FIRST_BITS: Final = 7
_LINE: Final = 64
_LITTLE: Final = sys.byteorder == "little"


class DigestProblem(IntEnum):
    """Why a text is not a digest."""

    LENGTH = hexadecimal.BAD_LENGTH
    ALGORITHM = hexadecimal.BAD_ALGORITHM
    UPPER_CASE = hexadecimal.UPPER_CASE
    DIGIT = hexadecimal.BAD_DIGIT


PROBLEM_REASONS: Final = {
    DigestProblem.LENGTH: "sha256 has 64 digits and sha512 has 128",
    DigestProblem.ALGORITHM: "it must begin with 'sha256:' or 'sha512:'",
    DigestProblem.UPPER_CASE: "its digits must be in lower case",
    DigestProblem.DIGIT: "its digits must be hexadecimal, in lower case",
}
"""Each problem in words, to be read after "is not a digest: "."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DigestArray:
    """A column of n digests, k of which are sha512.

    Words are the digest's bytes in their order, seen as native uint64: good for comparing and for `tobytes`,
    meaningless as numbers.

    Attributes
    ----------
    algorithm : uint8[n], SHA256 or SHA512.
    words256 : uint64[n, 4], the digest; of a sha512 digest the first 32 bytes.
    words512 : uint64[k, 8], the sha512 digests, whole, in their order.

    Raises
    ------
    InvalidValue : the arrays do not fit together.
    """

    algorithm: npt.NDArray[np.uint8]
    words256: Words
    words512: Words

    def __post_init__(self) -> None:
        count, wide = self.algorithm.shape[0], np.count_nonzero(self.algorithm)
        for name, words, shape in (
            ("words256", self.words256, (count, 4)),
            ("words512", self.words512, (wide, 8)),
        ):
            if words.shape != shape:
                raise InvalidValue(name, words.shape, f"of shape {shape} for {count} digests, {wide} of them sha512")

    def __len__(self) -> int:
        return len(self.algorithm)

    @classmethod
    def sha256(cls, words: Words) -> DigestArray:
        """The array of sha256 digests only, from uint64[n, 4]."""
        return cls(algorithm=np.zeros(words.shape[0], np.uint8), words256=words, words512=np.empty((0, 8), np.uint64))


# -- text ----------------------------------------------------------------------------------------------


def decode_digests(
    data: npt.NDArray[np.uint8], offsets: Array
) -> tuple[DigestArray, npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Read a column of digests from text, such as the two buffers of an Arrow string array.

    Parameters
    ----------
    data : uint8[T], ASCII; may be read only.
    offsets : int32[n + 1] or int64[n + 1], not decreasing; text i is ``data[offsets[i]:offsets[i + 1]]``.

    Returns
    -------
    n digests, with a sha256 digest of zeros where the text is wrong; the rows where it is, int64[p],
    ascending; and the `DigestProblem` of each, uint8[p].

    Raises
    ------
    InvalidValue : the offsets leave ``data`` or decrease.

    Notes
    -----
    O(T), without a Python object per digest.

    Examples
    --------
    >>> text = b"sha256:" + b"0a" * 32 + b"sha1:77"
    >>> digests, rows, problems = decode_digests(np.frombuffer(text, np.uint8), np.array([0, 71, 78]))
    >>> digests.words256[0].tobytes() == bytes([10] * 32), rows.tolist(), DigestProblem(problems[0]).name
    (True, [1], 'ALGORITHM')
    """
    data, ends = _readable(data, np.uint8), _readable(offsets, np.int64)
    count = ends.shape[0] - 1
    if count < 0 or ends[0] < 0 or ends[-1] > data.shape[0] or np.any(ends[1:] < ends[:-1]):
        raise InvalidValue("offsets", offsets, f"n + 1 numbers from 0 to {data.shape[0]} that do not decrease")
    algorithm, status = np.empty(count, np.uint8), np.empty(count, np.uint8)
    words256 = np.empty((count, 4), np.uint64)
    wide = hexadecimal.decode(data, ends, algorithm, _bytes(words256), np.empty(32, np.uint8), status)
    words512 = np.empty((int(wide), 8), np.uint64)
    if wide:
        hexadecimal.decode_wide(data, ends, algorithm, _bytes(words512))
    problems = np.flatnonzero(status)
    digests = DigestArray(algorithm=algorithm, words256=words256, words512=words512)
    return digests, problems, status[problems]


def digests_from_strings(digests: Sequence[str]) -> DigestArray:
    """Read digests from Python strings.

    Raises
    ------
    InvalidDigest : for the first that is none.

    Examples
    --------
    >>> digests_from_strings(["sha256:" + "0" * 64, "sha512:" + "f" * 128]).algorithm.tolist()
    [0, 1]
    """
    try:
        text = "".join(digests)
    except TypeError:
        given: Sequence[object] = digests
        stranger = next(digest for digest in given if not isinstance(digest, str))
        raise InvalidDigest(stranger, "it is no string") from None
    offsets = np.zeros(len(digests) + 1, np.int64)
    np.cumsum([len(digest) for digest in digests], out=offsets[1:])
    # A character beyond ASCII becomes one question mark, which is no digit either: offsets stay right.
    data = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    found, rows, problems = decode_digests(data, offsets)
    if rows.size:
        raise InvalidDigest(digests[int(rows[0])], PROBLEM_REASONS[DigestProblem(problems[0])])
    return found


def encode_digests(digests: DigestArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Write digests as text, in the layout of the two buffers of an Arrow large_string array.

    Returns
    -------
    data uint8[T], ASCII, and offsets int64[n + 1]: what `decode_digests` reads. O(T), without a Python object
    per digest.

    Examples
    --------
    >>> data, offsets = encode_digests(digests_from_strings(["sha256:" + "0" * 64, "sha512:" + "f" * 128]))
    >>> data[:10].tobytes(), offsets.tolist()
    (b'sha256:000', [0, 71, 206])
    """
    algorithm = _readable(digests.algorithm, np.uint8)
    offsets = np.zeros(algorithm.shape[0] + 1, np.int64)
    lengths = hexadecimal.PREFIX + 2 * np.array(_BYTES)
    np.cumsum(lengths[algorithm], out=offsets[1:])
    data = np.empty(int(offsets[-1]), np.uint8)
    narrow, wide = (_bytes(_readable(words, np.uint64)) for words in (digests.words256, digests.words512))
    hexadecimal.encode(algorithm, narrow, wide, offsets, data)
    return data, offsets


def format_digests(digests: DigestArray) -> list[str]:
    """Each digest as ``algorithm:hex``.

    Examples
    --------
    >>> format_digests(digests_from_strings(["sha256:" + "0a" * 32]))[0][:12]
    'sha256:0a0a0'
    """
    data, offsets = encode_digests(digests)
    text, ends = data.tobytes().decode("ascii"), offsets.tolist()
    return [text[start:stop] for start, stop in itertools.pairwise(ends)]


def digest_sort_keys(digests: DigestArray) -> list[Array]:
    """Columns by which `numpy.lexsort` puts digests into the order of their texts; the last one weighs most.

    Examples
    --------
    >>> column = digests_from_strings([f"sha256:{digit * 64}" for digit in "b0a"])
    >>> np.lexsort(digest_sort_keys(column)).tolist()
    [1, 2, 0]
    """
    keys = [digests.words256[:, word].byteswap() if _LITTLE else digests.words256[:, word] for word in (3, 2, 1, 0)]
    if digests.words512.size:
        rest = np.zeros((len(digests), 4), np.uint64)
        rest[digests.algorithm == SHA512] = digests.words512[:, 4:]
        keys = [rest[:, word].byteswap() if _LITTLE else rest[:, word] for word in (3, 2, 1, 0)] + keys
    return [*keys, digests.algorithm]


def format_digest(algorithm: int, raw: bytes) -> str:
    """One digest as ``algorithm:hex``.

    Parameters
    ----------
    algorithm : SHA256 or SHA512.
    raw : its 32 or 64 bytes.

    Raises
    ------
    InvalidDigest : another number of bytes.

    Examples
    --------
    >>> format_digest(SHA256, bytes(32))[:12]
    'sha256:00000'
    """
    if len(raw) != _BYTES[algorithm]:
        raise InvalidDigest(raw, f"{_NAMES[algorithm]} has {_BYTES[algorithm]} bytes, and this has {len(raw)}")
    return _NAMES[algorithm] + raw.hex()


# -- the table -----------------------------------------------------------------------------------------


class DigestTable:
    """Digests of one length and their rows, 0, 1, 2, ... in order of first appearance. Append-only.

    Parameters
    ----------
    width : words a digest: 4 for sha256, 8 for sha512.

    Notes
    -----
    Open addressing at a load of at most 3/4, 8 bytes a slot. A hit is believed after all bytes were
    compared. The hash is multilinear with multipliers drawn anew for each table, so that nobody can prepare
    digests that all fall into one place; rows do not depend on them. Not to be changed by two threads at
    once.

    Examples
    --------
    >>> table = DigestTable(4)
    >>> digests = digests_from_strings([f"sha256:{digit * 64}" for digit in "aba"])
    >>> table.intern(digests.words256).tolist(), len(table)
    ([0, 1, 0], 2)
    >>> format_digest(SHA256, table.raw_bytes(1))[:12]
    'sha256:bbbbb'
    """

    __slots__ = ("_bits", "_multipliers", "_rows", "_slots", "_used", "width")

    def __init__(self, width: int) -> None:
        if width not in (4, 8):
            raise InvalidValue("width", width, "4 or 8")
        self.width = width
        self._bits = _FIRST_BITS
        self._slots = np.zeros(1 << self._bits, np.uint64)
        self._rows = _aligned(0, width)
        self._used = np.zeros(2, np.int64)
        drawn = np.frombuffer(os.urandom(8 * width), np.uint64)
        self._multipliers = drawn | np.uint64(1)

    def __len__(self) -> int:
        return int(self._used[0])

    @property
    def words(self) -> Words:
        """The digests by row, uint64[n, width]: a view, not to be written."""
        view = self._rows[: len(self)]
        view.flags.writeable = False
        return view

    @property
    def nbytes(self) -> int:
        """Bytes held: the slots, and the rows in use; pages reserved for more rows have no memory yet."""
        return self._slots.nbytes + len(self) * self.width * 8

    def raw_bytes(self, row: int) -> bytes:
        """Bytes of the digest of a row, 32 or 64 of them.

        Raises
        ------
        InvalidValue : there is no such row.
        """
        if not 0 <= row < len(self):
            raise InvalidValue("row", row, f"a row from 0 to {len(self) - 1}")
        return bytes(self._rows[row].tobytes())

    def intern(self, words: Words) -> Rows:
        """The row of each digest; new ones are appended.

        Parameters
        ----------
        words : uint64[n, width], repeats allowed; may be read only.

        Returns
        -------
        int32[n]. O(n), amortised.

        Raises
        ------
        InvalidValue : another width, or more rows than int32 can number.
        """
        words = self._checked(words)
        count = words.shape[0]
        found, block = np.empty(count, np.int32), np.empty((intern.BLOCK, 2), np.uint64)
        # Room for the case that all are new. Pages of it that stay unused stay without memory.
        self._make_room(count)
        done = 0
        while True:
            done = intern.intern(
                words, done, self._slots, self._bits, self._rows, self._used, self._multipliers, block, found
            )
            if done == count:
                return found
            self._make_slots(int(self._used[1]) + min(intern.BLOCK, count - done))

    def find(self, words: Words) -> Rows:
        """The row of each digest, NULL where it has none.

        Parameters
        ----------
        words : uint64[n, width], repeats allowed; may be read only.

        Returns
        -------
        int32[n]. O(n).

        Raises
        ------
        InvalidValue : another width.
        """
        words = self._checked(words)
        found, block = np.empty(words.shape[0], np.int32), np.empty((intern.BLOCK, 2), np.uint64)
        intern.find(words, self._slots, self._bits, self._rows, self._multipliers, block, found)
        return found

    def append_unhashed(self, words: Words) -> int:
        """Append rows that no look-up finds, repeats or not; for rows that something else gives a meaning.

        Parameters
        ----------
        words : uint64[n, width], n >= 0; may be read only.

        Returns
        -------
        The first of the n new rows.

        Raises
        ------
        InvalidValue : another width, or more rows than int32 can number.
        """
        words = self._checked(words)
        first, last = len(self), len(self) + words.shape[0]
        self._make_room(words.shape[0])
        self._rows[first:last] = words
        self._used[0] = last
        return first

    def reserve(self, rows: int) -> None:
        """Make room for ``rows`` rows in all, so that the slots are sized once. Never shrinks.

        Raises
        ------
        InvalidValue : more rows than int32 can number.
        """
        self._make_room(rows - len(self))
        self._make_slots(rows)

    def _checked(self, words: Words) -> Words:
        if words.ndim != 2 or words.shape[1] != self.width or words.dtype != np.uint64:
            raise InvalidValue("words", f"{words.dtype}{list(words.shape)}", f"uint64[n, {self.width}]")
        return _readable(words, np.uint64)

    def _make_room(self, more: int) -> None:
        """Room for ``more`` rows beyond those in use."""
        rows = len(self) + more
        if rows > _MOST_ROWS:
            raise InvalidValue("rows", rows, f"at most {_MOST_ROWS}")
        room = self._rows.shape[0]
        if rows > room:
            grown = _aligned(max(rows, int(room * GROWTH)), self.width)
            grown[: len(self)] = self._rows[: len(self)]
            self._rows = grown

    def _make_slots(self, count: int) -> None:
        """Room for ``count`` slots in use at a load of 3/4."""
        bits = self._bits
        while 4 * count > 3 << bits:
            bits += 1
        if bits > self._bits:
            slots = np.zeros(1 << bits, np.uint64)
            intern.spread(self._slots, slots, bits)
            self._slots, self._bits = slots, bits


def _readable(array: npt.ArrayLike, dtype: npt.DTypeLike) -> Array:
    """The array as kernels take what they only read: contiguous, of that dtype, and marked read only.

    Arrow's buffers are read only, which to numba is another type. One type for all saves a second
    compilation, and a copy.
    """
    view = np.ascontiguousarray(array, dtype).view()
    view.flags.writeable = False
    return view


def _bytes(words: Words) -> npt.NDArray[np.uint8]:
    """The bytes of contiguous words, uint8[n, 8 W]: a view."""
    return words.view(np.uint8).reshape(words.shape[0], 8 * words.shape[1])


def _aligned(rows: int, width: int) -> Words:
    """Unset uint64[rows, width] of which no row crosses a cache line that it need not."""
    room = np.empty(rows * width + _LINE // 8, np.uint64)
    first = -room.ctypes.data % _LINE // 8
    return room[first : first + rows * width].reshape(rows, width)
