"""The ledger: charged bytes per scope, kept by deltas. What it says must equal a recount from scratch, after every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import ALL_ROLES, Basis, Scope, scope_names
from quotasim.kernels import layout, tables
from quotasim.kernels.layout import CURSOR_SCOPE_BLOBS, CURSOR_SCOPE_MANIFESTS
from quotasim.kernels.layout import Ledger as LedgerArrays
from quotasim.model.columns import Column
from quotasim.model.content import Content
from quotasim.model.names import Names, empty_table
from quotasim.model.totals import int_to_words, words_to_ints

Array = npt.NDArray[Any]


def charging_mode(scope: Scope, basis: Basis, role_mask: int) -> int:
    """Return how a rule is charged (MODE_* of the kernels' layout).

    At registry scope, with every role counted, the blobs' holder counts are the rule's counts already; on the basis STORED the
    stored flags are. Every other rule keeps counts of its own.
    """
    if basis is Basis.STORED:
        return layout.MODE_STORED
    if scope is Scope.REGISTRY and basis is Basis.REFERENCED and role_mask == ALL_ROLES:
        return layout.MODE_HOLDERS
    return layout.MODE_COUNTS


class Ledger:
    """Charged bytes of every scope row, their limits, and the counts behind them. Copied on first write after a branch.

    Parameters
    ----------
    scope, basis, role_mask : the charging rule.
    limit : bytes that each scope may be charged, or None.
    """

    def __init__(self, scope: Scope, basis: Basis, role_mask: int, limit: int | None) -> None:
        self.scope = scope
        self.basis = basis
        self.role_mask = role_mask
        self.mode = charging_mode(scope, basis, role_mask)
        self._default_limit = limit
        self._manifests = Column(np.int64, fill=0, width=4)
        self._manifests.replace(empty_table(4, 4))
        self._blobs = Column(np.int64, fill=0, width=2)
        self._blobs.replace(empty_table(4))
        self._used = Column(np.int64, fill=0, width=2)
        self._limit = Column(np.int64, fill=0, width=2)
        # Scratch, shared by all branches: zero between calls.
        self._seen = np.zeros(0, np.uint8)
        self._stack = np.zeros(0, np.int32)

    @property
    def nbytes(self) -> int:
        """Bytes held by the counts."""
        columns = (self._manifests, self._blobs, self._used, self._limit)
        return sum(column.nbytes for column in columns) + int(self._seen.nbytes + self._stack.nbytes)

    def branch(self) -> Ledger:
        """Return a ledger that shares every column until either side writes it."""
        other = Ledger.__new__(Ledger)
        other.__dict__.update(self.__dict__)
        for name in ("_manifests", "_blobs", "_used", "_limit"):
            setattr(other, name, getattr(self, name).share())
        return other

    def sync(self, content: Content, names: Names) -> None:
        """Give every scope row its place, with the default limit."""
        known, count = len(self._used), len(scope_names(names, self.scope))
        if count > known:
            self._used.grow(count)
            self._limit.grow(count)
            self._limit.write()[known:] = int_to_words(self._default_limit)
        if self.mode == layout.MODE_COUNTS and self.basis is Basis.TAGGED and self._seen.size < content.manifest_count:
            self._seen = np.zeros(content.manifest_count, np.uint8)
            self._stack = np.zeros(content.manifest_count + 1, np.int32)

    def arrays(self) -> LedgerArrays:
        """Return the arrays as kernels write them."""
        return LedgerArrays(
            self._manifests.write(),
            self._blobs.write(),
            self._used.write(),
            self._limit.write(),
            self._seen,
            self._stack,
        )

    def reserve(self, pairs: int) -> None:
        """Make room for ``pairs`` (scope, blob) counts, so that a bulk load never rehashes."""
        if self.mode == layout.MODE_COUNTS:
            self._enlarge(self._blobs, pairs)

    def widen(self, cursor: Array, *, manifests: int = 0, blobs: int = 0) -> None:
        """Make room for more rows in the tables of counts, dropping rows that have fallen to zero."""
        if manifests:
            cursor[CURSOR_SCOPE_MANIFESTS] = self._enlarge(self._manifests, manifests)
        if blobs:
            cursor[CURSOR_SCOPE_BLOBS] = self._enlarge(self._blobs, blobs)

    def _enlarge(self, column: Column, more: int) -> int:
        """Rehash a table into one with room for ``more`` rows and a half over; returns the rows in use."""
        old = column.read()
        alive = np.ascontiguousarray(old[(old[:, 0] != layout.EMPTY) & (old[:, 1:] != 0).any(axis=1)])
        grown = empty_table((alive.shape[0] + more) * 3 // 2, old.shape[1])
        tables.rehash(alive, grown)
        column.replace(grown)
        return int(alive.shape[0])

    def used(self) -> list[int]:
        """Return the charged bytes of every scope row, exact."""
        return words_to_ints(self._used.read())

    def limits(self) -> list[int | None]:
        """Return the limit of every scope row."""
        return [
            None if high == layout.NULL else (high << layout.WORD) + low for high, low in self._limit.read().tolist()
        ]

    def set_limit(self, row: int, limit: int | None) -> None:
        """Change one scope's limit."""
        self._limit.write()[row] = int_to_words(limit)

    @property
    def is_limited(self) -> bool:
        """Whether any scope has a limit."""
        return bool((self._limit.read()[:, 0] != layout.NULL).any())

    def columns(self) -> dict[str, Array]:
        """Return the columns that a snapshot holds."""
        return {"limit": self._limit.read()}
