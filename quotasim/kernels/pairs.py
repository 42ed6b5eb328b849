"""Numbers for what a scope counts: a row for each (scope, manifest), a pair for each (scope, blob).

Counts are then plain columns: a replay asks no hash table where a blob is counted in a namespace. A bulk load numbers
its pairs scope by scope with one stamp a blob, which costs a fifth of a hash table of them.
"""

import numpy as np

from quotasim.kernels.compile import kernel, part
from quotasim.kernels.layout import KIND_INDEX, NULL
from quotasim.kernels.prefetch import prefetch
from quotasim.kernels.scopes import first_at_least
from quotasim.kernels.tables import find_slot

AHEAD = 4  # rows by which each stage asks for memory early


@kernel
def number_rows(scope, manifest, start, order, last, row_of_link, new_scope, new_manifest):
    """Give links the rows of their (scope, manifest), in order of first appearance.

    scope, manifest  int32[L]
    start            int64[S+1]  scope s has the links order[start[s]:start[s + 1]], ascending
    order            int32[L]
    last             int32[M]    NULL; WRITTEN (scratch)
    row_of_link      int32[L]    WRITTEN
    new_scope, new_manifest  int32[L]  WRITTEN: of each row
    returns          int64       how many rows there are; O(L)
    """
    for s in range(start.shape[0] - 1):
        for i in range(start[s], start[s + 1]):
            link = np.int64(order[i])
            if i + 4 * AHEAD < order.shape[0]:
                prefetch(manifest, np.int64(order[i + 4 * AHEAD]))
                prefetch(row_of_link, np.int64(order[i + 4 * AHEAD]))
            if i + 2 * AHEAD < order.shape[0]:
                prefetch(last, np.int64(manifest[np.int64(order[i + 2 * AHEAD])]))
            m = np.int64(manifest[link])
            before = np.int64(last[m])
            # For now the link that has the row, or its own.
            row_of_link[link] = before if before != NULL and scope[before] == s else link
            last[m] = row_of_link[link]
    rows = np.int64(0)
    for link in range(row_of_link.shape[0]):
        leader = np.int64(row_of_link[link])
        if leader != link:
            row_of_link[link] = row_of_link[leader]
        else:
            row_of_link[link] = rows
            new_scope[rows] = scope[link]
            new_manifest[rows] = manifest[link]
            rows += 1
    return rows


@kernel
def measure_rows(graph, manifest, first, indptr):
    """Where the pairs of new rows begin: an image has one for its own bytes and one a descriptor, an index one.

    manifest  int32[n]
    first     int64       where those of the first one begin
    indptr    int64[n]    WRITTEN: where those of each end
    O(n)
    """
    at = first
    for i in range(manifest.shape[0]):
        m = np.int64(manifest[i])
        at += 1
        if graph.kind[m] != KIND_INDEX:
            at += graph.indptr[m + 1] - graph.indptr[m]
        indptr[i] = at


@part
def _blob(graph, m, k):
    """The blob of a manifest's ``k``-th pair."""
    return np.uint64(graph.own[np.uint64(m)] if k == 0 else graph.target[np.uint64(graph.indptr[np.uint64(m)] + k - 1)])


@part
def _approach(graph, manifest, indptr, order, i, stamp, pair):
    """Ask for the memory that the rows after the ``i``-th lead to, in stages: each reads what the one before asked
    for.
    """
    if i + 4 * AHEAD < order.shape[0]:
        row = np.int64(order[i + 4 * AHEAD])
        prefetch(manifest, row)
        prefetch(indptr, row)
    if i + 3 * AHEAD < order.shape[0]:
        m = np.int64(manifest[np.int64(order[i + 3 * AHEAD])])
        prefetch(graph.indptr, m)
        prefetch(graph.own, m)
    if i + 2 * AHEAD < order.shape[0]:
        row = np.int64(order[i + 2 * AHEAD])
        prefetch(graph.target, graph.indptr[np.int64(manifest[row])])
        prefetch(pair, indptr[row])
    if i + AHEAD < order.shape[0]:
        row = np.int64(order[i + AHEAD])
        for k in range(indptr[row + 1] - indptr[row]):
            prefetch(stamp, _blob(graph, np.int64(manifest[row]), k))


@kernel
def number_pairs(graph, manifest, indptr, start, order, stamp, pair):
    """Number the pairs of all rows, scope by scope, in order of first appearance.

    manifest  int32[R]    of each row
    indptr    int64[R+1]  row r has pair[indptr[r]:indptr[r + 1]], its own bytes first
    start     int64[S+1]  scope s has the rows order[start[s]:start[s + 1]]
    order     int32[R]
    stamp     int32[B]    -1 everywhere; WRITTEN (scratch)
    pair      int32[K]    WRITTEN
    returns   int64       how many pairs there are; O(K)
    """
    found = np.int64(0)
    for s in range(start.shape[0] - 1):
        base = found
        for i in range(start[s], start[s + 1]):
            _approach(graph, manifest, indptr, order, i, stamp, pair)
            row = np.int64(order[i])
            first = indptr[row]
            for k in range(indptr[row + 1] - first):
                blob = _blob(graph, np.int64(manifest[row]), k)
                number = np.int64(stamp[blob])
                # Whether the scope has it is a coin toss: what is written does not depend on a branch.
                new = np.int64(number < base)
                number = found if new else number
                found += new
                stamp[blob] = number
                pair[np.uint64(first + k)] = number
    return found


@kernel
def list_blobs(graph, scope, manifest, indptr, scopes, blobs):
    """Scope and blob of every pair of some rows.

    scope   int32[n], manifest int32[n]
    indptr  int64[n+1]  row i's go to scopes[indptr[i] - indptr[0]] and so on
    scopes  int32[k], blobs int32[k]  WRITTEN; O(k)
    """
    at = 0
    for i in range(manifest.shape[0]):
        for k in range(indptr[i + 1] - indptr[i]):
            scopes[at] = scope[i]
            blobs[at] = _blob(graph, np.int64(manifest[i]), k)
            at += 1


@kernel
def name_pairs(graph, scope, manifest, indptr, pair, scopes, blobs):
    """Scope and blob of every pair that a row has.

    scope, manifest  int32[>= R]
    indptr           int64[R+1], pair int32[K]
    scopes, blobs    int32[P]  WRITTEN where a row has the pair; O(K)
    """
    for row in range(indptr.shape[0] - 1):
        first = indptr[row]
        for k in range(indptr[row + 1] - first):
            number = np.int64(pair[first + k])
            scopes[number] = scope[row]
            blobs[number] = _blob(graph, np.int64(manifest[row]), k)


@kernel
def support_late(graph, scope, manifest, table, held, first, supports):
    """Count, for rows from ``first`` on, the indexes held in their scope that listed their manifests before these
    were known.

    scope, manifest  int32[R]
    table            int64[cap, 2]  (scope << 32 | manifest, row)
    held             uint8[R]
    supports         int32[R]  WRITTEN; O(rows + what is late)
    """
    for row in range(first, manifest.shape[0]):
        k = first_at_least(graph.late_child, np.int64(manifest[row]))
        while k < graph.late_child.shape[0] and graph.late_child[k] == manifest[row]:
            slot = find_slot(table, (np.int64(scope[row]) << 32) | np.int64(graph.late_index[k]))
            above = np.int64(table[slot, 1]) if table[slot, 0] >= 0 else np.int64(NULL)
            if above != NULL and held[above]:
                supports[row] += 1
            k += 1
