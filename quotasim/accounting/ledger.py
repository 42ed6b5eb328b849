"""The ledger: charged bytes per scope, kept by deltas. What it says must equal a recount from scratch, after every
step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import ALL_ROLES, Basis, Scope, scope_names, scope_of_repositories
from quotasim.accounting.charge_rows import ChargeRows
from quotasim.errors import InvalidValue
from quotasim.kernels import NULL, layout, pairs
from quotasim.kernels.layout import Graph
from quotasim.kernels.layout import Ledger as LedgerArrays
from quotasim.model.columns import Column
from quotasim.model.content import Content
from quotasim.model.names import Names, empty_table
from quotasim.model.state import State
from quotasim.model.totals import int_to_words, words_to_ints

Array = npt.NDArray[Any]

_COLUMNS = ("_links", "_supports", "_held", "_count", "_used", "_limit", "_drift", "_uncounted")
_NO_TABLE = empty_table(0)


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
        self._rows = ChargeRows()  # shared by all branches
        self._links = Column(np.int32, fill=0)
        self._supports = Column(np.int32, fill=0)
        self._held = Column(np.uint8, fill=0)
        self._count = Column(np.int32, fill=0)
        self._used = Column(np.int64, fill=0, width=2)
        self._limit = Column(np.int64, fill=0, width=2)
        self._drift = Column(np.int64, fill=0, width=2)
        self._uncounted = Column(np.uint8, fill=0)
        self._stack = np.zeros(0, np.int32)  # scratch, shared by all branches

    @property
    def nbytes(self) -> int:
        """Bytes held by the counts, and by the rows that all branches share."""
        return sum(int(getattr(self, name).nbytes) for name in _COLUMNS) + self._rows.nbytes + int(self._stack.nbytes)

    def branch(self) -> Ledger:
        """Return a ledger that shares every column until either side writes it."""
        other = Ledger.__new__(Ledger)
        other.__dict__.update(self.__dict__)
        for name in _COLUMNS:
            setattr(other, name, getattr(self, name).share())
        return other

    def sync(self, content: Content, names: Names) -> None:
        """Give every scope row its place, with the default limit, and every link what it is counted by."""
        known, count = len(self._used), len(scope_names(names, self.scope))
        if count > known:
            self._used.grow(count)
            self._limit.grow(count)
            self._drift.grow(count)
            self._uncounted.grow(count)
            self._limit.write()[known:] = int_to_words(self._default_limit)
        if self.mode == layout.MODE_COUNTS:
            first = self._rows.link_count
            scope = scope_of_repositories(names, self.scope, names.links.first[first:])
            self.add_links(content.graph(), scope, names.links.second[first:])

    def add_links(self, graph: Graph, scope: Array, manifest: Array) -> None:
        """Give links without rows theirs, int[n] each, and every row and pair its count."""
        if scope.size:
            self._rows.add_links(graph, scope, manifest)
        known, rows = len(self._links), len(self._rows.rows)
        for column in (self._links, self._supports, self._held):
            column.grow(rows)
        self._count.grow(self._rows.pair_count)
        if self.basis is not Basis.TAGGED or rows == known:
            return
        if graph.late_child.size:
            pairs.support_late(
                graph,
                self._rows.rows.first,
                self._rows.rows.second,
                self._rows.rows.table,
                self._held.read(),
                known,
                self._supports.write(),
            )
        if self._stack.size < rows:
            self._stack = np.zeros(rows + rows // 2, np.int32)

    def add_blobs(self, graph: Graph, scope: Array, blob: Array) -> None:
        """Give blobs their counts in scopes, int[n] each, whatever manifests name them: explicit links need them."""
        self._rows.add_blobs(graph, scope, blob)
        self._count.grow(self._rows.pair_count)

    @property
    def counts_blob_links(self) -> bool:
        """Whether a blob is charged for an explicit link alone."""
        return self.mode == layout.MODE_COUNTS and self.basis is Basis.LINKED

    def arrays(self, graph: Graph) -> LedgerArrays:
        """Return the arrays as kernels write them."""
        rows = self._rows
        return LedgerArrays(
            rows.row_of_link,
            rows.rows.table if self.basis is Basis.TAGGED else _NO_TABLE,
            rows.rows.second,
            rows.indptr,
            rows.pair,
            rows.index(graph).table if self.counts_blob_links else _NO_TABLE,
            self._links.write(),
            self._supports.write(),
            self._held.write(),
            self._count.write(),
            self._used.write(),
            self._limit.write(),
            self._drift.write(),
            self._uncounted.write(),
            self._stack,
        )

    def used(self) -> list[int]:
        """Return the charged bytes of every scope row, exact."""
        return words_to_ints(self._used.read())

    def charges(self, graph: Graph, state: State, scope: Array, blob: Array, *, counts_foreign: bool) -> Array:
        """Return which blobs are charged in which scopes now: bool[n] of int64[n] each.

        O(n); where the rule has counts of its own, O(pairs) once after a bulk load.
        """
        if self.mode == layout.MODE_COUNTS:
            pair = self._rows.index(graph).find_all(scope, blob)
            count = self._count.read()
            known = (pair != NULL) & (pair < count.shape[0])  # another branch's pairs have no count here
            return np.asarray(known & (count[np.where(known, pair, 0)] > 0) if count.size else known)
        charged = state.read("stored" if self.mode == layout.MODE_STORED else "holders")[blob] > 0
        return np.asarray(charged & (counts_foreign | ((graph.flags[blob] & layout.FLAG_FOREIGN) == 0)))

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

    def limit_all(self, limit: int | None) -> None:
        """Give every scope this limit, those to come too."""
        self._default_limit = limit
        self._limit.write()[:] = int_to_words(limit)

    @property
    def is_limited(self) -> bool:
        """Whether any scope has a limit."""
        return bool(np.any(self._limit.read()[:, 0] != NULL))

    def counts(self, graph: Graph) -> tuple[Array, Array]:
        """Return what is counted, by key: int64[m, 4] rows (scope << 32 | manifest, links, supports, held) and
        int64[n, 2] (scope << 32 | blob, count), without what is all zero.

        O(references of the rows + rows log rows); empty where the rule keeps no counts of its own.
        """
        rows = self._rows.rows
        kept = np.flatnonzero(self._links.read() | self._supports.read() | self._held.read())
        manifests = np.empty((kept.size, 4), np.int64)
        manifests[:, 0] = (rows.first[kept].astype(np.int64) << layout.WORD) | rows.second[kept]
        for place, column in enumerate((self._links, self._supports, self._held), 1):
            manifests[:, place] = column.read()[kept]
        kept = np.flatnonzero(self._count.read())
        scope, blob = self._rows.keys(graph)
        blobs = np.empty((kept.size, 2), np.int64)
        blobs[:, 0] = (scope[kept].astype(np.int64) << layout.WORD) | blob[kept]
        blobs[:, 1] = self._count.read()[kept]
        return manifests[np.argsort(manifests[:, 0])], blobs[np.argsort(blobs[:, 0])]  # no key occurs twice

    def restore(
        self,
        graph: Graph,
        counts: tuple[Array, Array],
        used: list[int],
        limits: list[int | None],
        drifts: list[int],
        uncounted: Array,
    ) -> None:
        """Become the ledger with these :meth:`counts`, :meth:`used`, :meth:`limits`, :meth:`drifts` and
        :attr:`uncounted` (a snapshot); :meth:`sync` comes before it.

        Raises
        ------
        InvalidValue : something is counted that no link can bring.
        """
        manifests, blobs = counts
        row = self._rows.rows.find_all(manifests[:, 0] >> layout.WORD, manifests[:, 0] & layout.WORD_MASK)
        # Without a link only supports can be there, and they are found again when it comes.
        if np.any((row == NULL) & ((manifests[:, 1] != 0) | (manifests[:, 3] != 0))):
            raise InvalidValue("counts", "a manifest without a link", "counts of linked manifests")
        for place, column in enumerate((self._links, self._supports, self._held), 1):
            column.write()[row[row != NULL]] = manifests[row != NULL, place]
        if blobs.size:
            pair = self._rows.add_blobs(graph, blobs[:, 0] >> layout.WORD, blobs[:, 0] & layout.WORD_MASK)
            self._count.grow(self._rows.pair_count)
            self._count.write()[pair] = blobs[:, 1]
        self._used.replace(np.array([int_to_words(value) for value in used], np.int64).reshape(-1, 2))
        self._limit.replace(np.array([int_to_words(value) for value in limits], np.int64).reshape(-1, 2))
        self._drift.replace(np.array([int_to_words(value) for value in drifts], np.int64).reshape(-1, 2))
        self._uncounted.replace(uncounted)
