"""Rows of the charging rule's own counts: one for each (scope, manifest), and a number for each (scope, blob)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.kernels import NULL, descriptors, pairs
from quotasim.kernels.layout import Graph
from quotasim.model.columns import Appendable
from quotasim.model.names import PairIndex

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int32]

BULK = 100
"""Pairs from which on the first rows are numbered scope by scope, if the catalogue has not many more blobs; of links a
tenth as many."""

SLICE = 1_000_000
"""Pairs that are looked up in one go: their scopes and blobs are written down for it."""


class ChargeRows:
    """Numbers of what is counted, append-only and shared by the branches of one engine, like names.

    A link's (scope, manifest) is a row; each blob that its manifest charges in that scope is a pair, numbered once
    for all manifests that name it there. What is counted lies in columns over rows and pairs
    (:class:`quotasim.accounting.ledger.Ledger`), and the kernel finds a count without asking a hash table.

    The hash table of pairs exists only where somebody must find a pair by its blob: after a bulk load, from the first
    link that comes later on (which pays O(pairs) for it, once), and where explicit blob links are charged.

    Attributes
    ----------
    rows : (scope, manifest) of every row.
    pair_count : pairs numbered so far.
    """

    def __init__(self) -> None:
        self.rows = PairIndex()
        self.pair_count = 0
        self._row_of_link = Appendable(np.int32)
        self._indptr = Appendable(np.int64)
        self._indptr.extend([0])
        self._pair = Appendable(np.int32)
        self._index: PairIndex | None = PairIndex()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        held = self.rows.nbytes + self._row_of_link.nbytes + self._indptr.nbytes + self._pair.nbytes
        return held + (0 if self._index is None else self._index.nbytes)

    @property
    def link_count(self) -> int:
        """Links that have their rows."""
        return len(self._row_of_link)

    @property
    def row_of_link(self) -> Ids:
        """Row of every link, int32[L]."""
        return self._row_of_link.rows

    @property
    def indptr(self) -> Array:
        """int64[R + 1]: row r has the pairs ``pair[indptr[r]:indptr[r + 1]]``, that of its own bytes first."""
        return self._indptr.rows

    @property
    def pair(self) -> Ids:
        """int32[K], pairs of the rows."""
        return self._pair.rows

    def add_links(self, graph: Graph, scope: Array, manifest: Array) -> None:
        """Give the next links, int32[n] each, their rows, and new rows their pairs. O(n + their references)."""
        if scope.size == 0:
            return
        known = len(self.rows)
        if known == 0 and scope.size >= BULK // 10:
            self._take_rows(graph, np.ascontiguousarray(scope, np.int32), np.ascontiguousarray(manifest, np.int32))
        else:
            self._row_of_link.extend(self.rows.add_all(scope, manifest))
        new = np.ascontiguousarray(self.rows.second[known:])
        if new.size == 0:
            return
        ends = np.empty(new.size, np.int64)
        pairs.measure_rows(graph, new, len(self._pair), ends)
        if self.pair_count == 0 and int(ends[-1]) >= max(BULK, graph.size.shape[0] // 8):
            self._indptr.extend(ends)
            self._number_all(graph)
        else:
            index = self.index(graph)  # of the rows that have their pairs
            self._indptr.extend(ends)
            self._number_new(graph, known, index)

    def _take_rows(self, graph: Graph, scope: Ids, manifest: Ids) -> None:
        """Give the first links their rows, all at once."""
        count = scope.shape[0]
        start, order = _by_scope(scope)
        row_of_link, new_scope, new_manifest = (np.empty(count, np.int32) for _ in range(3))
        last = np.full(graph.own.shape[0], NULL, np.int32)
        rows = pairs.number_rows(scope, manifest, start, order, last, row_of_link, new_scope, new_manifest)
        self._row_of_link.adopt(row_of_link)
        self.rows.take(new_scope[:rows], new_manifest[:rows])

    def _number_all(self, graph: Graph) -> None:
        """Number the pairs of all rows, none of which has any yet."""
        start, order = _by_scope(self.rows.first)
        pair = np.empty(int(self.indptr[-1]), np.int32)
        stamp = np.full(graph.size.shape[0], NULL, np.int32)
        self.pair_count = pairs.number_pairs(graph, self.rows.second, self.indptr, start, order, stamp, pair)
        self._pair.adopt(pair)
        self._index = None

    def _number_new(self, graph: Graph, known: int, index: PairIndex) -> None:
        """Number the pairs of the rows from ``known`` on by looking each of them up."""
        first = known
        while first < len(self.rows):
            last = max(first + 1, int(np.searchsorted(self.indptr, self.indptr[first] + SLICE, side="right")) - 1)
            ends = self.indptr[first : last + 1]
            scope, blob = (np.empty(int(ends[-1] - ends[0]), np.int32) for _ in range(2))
            pairs.list_blobs(graph, self.rows.first[first:last], self.rows.second[first:last], ends, scope, blob)
            self._pair.extend(index.add_all(scope, blob))
            first = last
        self.pair_count = len(index)

    def index(self, graph: Graph) -> PairIndex:
        """Return the hash table of (scope, blob), made where there is none. O(pairs) once after a bulk load."""
        if self._index is None:
            index = PairIndex()
            index.add_all(*self.keys(graph))
            self._index = index
        return self._index

    def add_blobs(self, graph: Graph, scope: Array, blob: Array) -> Ids:
        """Return the pairs of (scope, blob), int32[n], whatever manifests name them; new ones on first mention."""
        found = self.index(graph).add_all(scope, blob)
        self.pair_count = len(self.index(graph))
        return found

    def keys(self, graph: Graph) -> tuple[Ids, Ids]:
        """Return (scope int32[P], blob int32[P]) of every pair. O(references of the rows) where there is no table."""
        if self._index is not None:
            return self._index.first, self._index.second
        scope, blob = (np.empty(self.pair_count, np.int32) for _ in range(2))
        pairs.name_pairs(graph, self.rows.first, self.rows.second, self.indptr, self.pair, scope, blob)
        return scope, blob


def _by_scope(scope: Ids) -> tuple[Array, Ids]:
    """Return (start int64[S + 1], order int32[n]): scope s has the rows ``order[start[s]:start[s + 1]]``. O(n)."""
    start, order = np.zeros(int(scope.max()) + 2, np.int64), np.empty(scope.shape[0], np.int32)
    descriptors.transpose(np.arange(scope.shape[0] + 1), scope, start, order)
    return start, order
