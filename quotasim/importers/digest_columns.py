"""Columns of digests: taking rows, joining, comparing and printing them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.model.digests import SHA512, DigestArray, DigestTable, format_digests

__all__ = ["concatenate", "derived", "differs", "same_as_row", "take", "text"]

IntArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]


def take(digests: DigestArray, rows: npt.NDArray[Any]) -> DigestArray:
    """The digests of some rows, by number or by mask."""
    algorithm = digests.algorithm[rows]
    wide_row = np.cumsum(digests.algorithm == SHA512) - 1
    return DigestArray(
        algorithm=algorithm,
        words256=digests.words256[rows],
        words512=digests.words512[wide_row[rows][algorithm == SHA512]],
    )


def concatenate(parts: Sequence[DigestArray]) -> DigestArray:
    """The digests of all parts, one part after the other."""
    return DigestArray(
        algorithm=np.concatenate([part.algorithm for part in parts]),
        words256=np.concatenate([part.words256 for part in parts]),
        words512=np.concatenate([part.words512 for part in parts]),
    )


def derived(label: str, digests: DigestArray) -> DigestArray:
    """The sha256 of the text ``label digest`` for each digest: names for what has none.

    Examples
    --------
    >>> from quotasim.model.digests import digests_from_strings, format_digests
    >>> from quotasim.model.reference import sha256_digest
    >>> known = f"sha256:{'0' * 64}"
    >>> names = format_digests(derived("config of", digests_from_strings([known])))
    >>> names == [sha256_digest(f"config of {known}".encode())]
    True
    """
    raw = b"".join(sha256(f"{label} {name}".encode()).digest() for name in format_digests(digests))
    return DigestArray.sha256(np.frombuffer(raw, np.uint64).reshape(-1, 4))


def text(digests: DigestArray, row: int) -> str:
    """One digest as ``algorithm:hex``."""
    return format_digests(take(digests, np.array([row])))[0]


def differs(digests: DigestArray, rows: npt.NDArray[Any], others: npt.NDArray[Any]) -> BoolArray:
    """bool[k]: the digests of the two rows are not the same."""
    same_as = same_as_row(concatenate([take(digests, rows), take(digests, others)]))
    return np.asarray(same_as[: rows.size] != same_as[rows.size :])


def same_as_row(digests: DigestArray) -> IntArray:
    """int32[n]: the first row with the same digest, the row itself where it is that. O(n).

    Examples
    --------
    >>> from quotasim.model.digests import digests_from_strings
    >>> same_as_row(digests_from_strings([f"sha256:{digit * 64}" for digit in "aba"])).tolist()
    [0, 1, 0]
    """
    first = np.arange(len(digests), dtype=np.int32)
    is_wide = digests.algorithm == SHA512
    for rows, words in (
        (np.flatnonzero(~is_wide), digests.words256),
        (np.flatnonzero(is_wide), digests.words512),
    ):
        if not rows.size:
            continue
        table = DigestTable(words.shape[1])
        found = table.intern(words if words.shape[0] == rows.size else words[rows])
        # Written backwards, so that the first of equal ones is the one that stays.
        first_of = np.zeros(len(table), np.int32)
        first_of[found[::-1]] = rows[::-1]
        first[rows] = first_of[found]
    return first
