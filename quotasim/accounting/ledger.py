"""The ledger: charged bytes per scope, kept by deltas. What it says must equal a recount from scratch, after every
step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import ALL_ROLES, Basis, Scope, scope_names
from quotasim.kernels import NULL, layout, tables
from quotasim.kernels.layout import CURSOR_SCOPE_BLOBS, CURSOR_SCOPE_MANIFESTS
from quotasim.kernels.layout import Ledger as LedgerArrays
from quotasim.model.columns import Column
from quotasim.model.content import Content
from quotasim.model.names import Names, empty_table
from quotasim.model.totals import int_to_words, words_to_ints

Array = npt.NDArray[Any]


def charging_mode(scope: Scope, basis: Basis, role_mask: int) -> int:
    """Return how a rule is charged (MODE_* of the kernels' layout).

    At registry scope, with every role counted, the blobs' holder counts are the rule's counts already; on the
    basis STORED the
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
        self._drift = Column(np.int64, fill=0, width=2)
        self._uncounted = Column(np.uint8, fill=0)
        # Scratch, shared by all branches: zero between calls.
        self._seen = np.zeros(0, np.uint8)
        self._stack = np.zeros(0, np.int32)

    @property
    def nbytes(self) -> int:
        """Bytes held by the counts."""
        columns = (self._manifests, self._blobs, self._used, self._limit, self._drift, self._uncounted)
        return sum(column.nbytes for column in columns) + int(self._seen.nbytes + self._stack.nbytes)

    def branch(self) -> Ledger:
        """Return a ledger that shares every column until either side writes it."""
        other = Ledger.__new__(Ledger)
        other.__dict__.update(self.__dict__)
        for name in ("_manifests", "_blobs", "_used", "_limit", "_drift", "_uncounted"):
            setattr(other, name, getattr(self, name).share())
        return other

    def sync(self, content: Content, names: Names) -> None:
        """Give every scope row its place, with the default limit."""
        known, count = len(self._used), len(scope_names(names, self.scope))
        if count > known:
            self._used.grow(count)
            self._limit.grow(count)
            self._drift.grow(count)
            self._uncounted.grow(count)
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
            self._drift.write(),
            self._uncounted.write(),
            self._seen,
            self._stack,
        )

    def reserve(self, cursor: Array, manifests: int, blobs: int) -> None:
        """Make room for so many more counts at once: growing step by step would insert each of them several times."""
        if self.mode != layout.MODE_COUNTS:
            return
        if 4 * (int(cursor[CURSOR_SCOPE_MANIFESTS]) + manifests) > 3 * len(self._manifests):
            self.widen(cursor, manifests=manifests)
        if 4 * (int(cursor[CURSOR_SCOPE_BLOBS]) + blobs) > 3 * len(self._blobs):
            self.widen(cursor, blobs=blobs)

    def widen(self, cursor: Array, *, manifests: int = 0, blobs: int = 0) -> None:
        """Make room for more rows in the tables of counts, dropping rows that have fallen to zero."""
        if manifests:
            cursor[CURSOR_SCOPE_MANIFESTS] = self._enlarge(self._manifests, manifests)
        if blobs:
            cursor[CURSOR_SCOPE_BLOBS] = self._enlarge(self._blobs, blobs)

    def _enlarge(self, column: Column, more: int) -> int:
        """Rehash a table into one with room for ``more`` rows and a half over; returns the rows in use."""
        old = column.read()
        # Half as much again, so that a registry that grows by single pushes is not rehashed at each of them.
        rows = int(np.count_nonzero(old[:, 0] != layout.EMPTY))
        grown = empty_table(rows + max(more, rows // 2), old.shape[1])
        alive = tables.rehash(old, grown, 0)
        column.replace(grown)
        return int(alive)

    def used(self) -> list[int]:
        """Return the charged bytes of every scope row, exact."""
        return words_to_ints(self._used.read())

    def drifts(self) -> list[int]:
        """Return by how much the vendor's own counter differs from the charge in every scope row, exact."""
        return words_to_ints(self._drift.read())

    def counted(self) -> list[int]:
        """Return what the vendor counts in every scope row, exact: what its limits see."""
        return [used + drift for used, drift in zip(self.used(), self.drifts(), strict=True)]

    @property
    def uncounted(self) -> Array:
        """Which scopes' counters stand still, uint8[S]."""
        return self._uncounted.read()

    def limits(self) -> list[int | None]:
        """Return the limit of every scope row."""
        return [None if high == NULL else (high << layout.WORD) + low for high, low in self._limit.read().tolist()]

    def set_limit(self, row: int, limit: int | None) -> None:
        """Change one scope's limit."""
        self._limit.write()[row] = int_to_words(limit)

    @property
    def is_limited(self) -> bool:
        """Whether any scope has a limit."""
        return bool(np.any(self._limit.read()[:, 0] != NULL))

    def counts(self) -> tuple[Array, Array]:
        """Return what the two tables of counts hold, by key: int64[m, 4] and int64[n, 2] of the kernels' layout.

        O(rows log rows); empty where the rule keeps no counts of its own.
        """
        found = []
        for column in (self._manifests, self._blobs):
            table = column.read()
            used = table[table[:, 0] != layout.EMPTY]
            used = used[np.bitwise_or.reduce(used[:, 1:], axis=1) != 0]
            found.append(used[np.argsort(used[:, 0])])  # no key occurs twice
        return found[0], found[1]

    def restore(
        self,
        cursor: Array,
        counts: tuple[Array, Array],
        used: list[int],
        limits: list[int | None],
        drifts: list[int],
        uncounted: Array,
    ) -> None:
        """Become the ledger with these :meth:`counts`, :meth:`used`, :meth:`limits`, :meth:`drifts` and
        :attr:`uncounted` (a snapshot).
        """
        rows = []
        for column, alive in zip((self._manifests, self._blobs), counts, strict=True):
            table = empty_table(alive.shape[0] * 3 // 2, alive.shape[1])
            rows.append(int(tables.rehash(np.ascontiguousarray(alive, np.int64), table, 0)))
            column.replace(table)
        cursor[CURSOR_SCOPE_MANIFESTS], cursor[CURSOR_SCOPE_BLOBS] = rows
        self._used.replace(np.array([int_to_words(value) for value in used], np.int64).reshape(-1, 2))
        self._limit.replace(np.array([int_to_words(value) for value in limits], np.int64).reshape(-1, 2))
        self._drift.replace(np.array([int_to_words(value) for value in drifts], np.int64).reshape(-1, 2))
        self._uncounted.replace(uncounted)
