"""Bytes of groups of manifests, and marking from roots: each blob looked at as often as it is named, never sorted."""

import numpy as np

from quotasim.kernels.compile import kernel, part
from quotasim.kernels.layout import FLAG_FOREIGN, KIND_INDEX, ROLE_LAYER, ROLE_OWN, ROLES_NAMED, WORD, WORD_MASK
from quotasim.kernels.prefetch import prefetch
from quotasim.kernels.tables import add_words

FIGURES = 4  # logical, unique, exclusive, attributed
AHEAD = 3  # manifests by which memory is asked for early


@part
def _last(graph, manifest):
    """End of the descriptors that count in a manifest's bytes: of an index none, but that before its first."""
    return graph.indptr[manifest + 1] if graph.kind[manifest] != KIND_INDEX else graph.indptr[manifest]


@part
def _approach(graph, manifest, stamp, count):
    """Ask for what a manifest's blobs are counted in. Their sizes lie in the same order as their counts."""
    for e in range(graph.indptr[manifest], _last(graph, manifest)):
        blob = graph.target[e]
        prefetch(stamp, blob)
        prefetch(count, blob)
        prefetch(graph.size, blob)


@kernel
def recount(graph, live, holders):
    """Count holders from scratch.

    live     uint8[M]  1 where some repository links the manifest
    holders  int32[B]  zero; WRITTEN
    O(descriptors of live manifests)
    """
    for m in range(live.shape[0]):
        if live[m]:
            holders[graph.own[m]] += 1
            if graph.kind[m] != KIND_INDEX:
                for e in range(graph.indptr[m], graph.indptr[m + 1]):
                    holders[graph.target[e]] += 1


@part
def _approach_records(graph, manifest, k, record):
    """Ask for the records of the blobs that the manifests after the ``k``-th name, in stages."""
    if k + 4 * AHEAD < manifest.shape[0]:
        m = np.int64(manifest[k + 4 * AHEAD])
        prefetch(graph.indptr, m)
        prefetch(graph.kind, m)
        prefetch(graph.own, m)
    if k + 2 * AHEAD < manifest.shape[0]:
        m = np.int64(manifest[k + 2 * AHEAD])
        prefetch(graph.target, graph.indptr[m])
        prefetch(record, np.int64(graph.own[m]))
    if k + AHEAD < manifest.shape[0]:
        m = np.int64(manifest[k + AHEAD])
        for e in range(np.uint64(graph.indptr[m]), np.uint64(_last(graph, m))):
            prefetch(record, np.uint64(graph.target[e]))


@part
def _first_bytes(record, blob, g):
    """Bytes of a blob where group ``g`` had it not yet, and else 0. Whether it had is a coin toss: no branch."""
    new = np.int64(record[blob, 0] != g)
    record[blob, 0] = g
    return record[blob, 1] * new


@kernel
def group_bytes(graph, indptr, manifest, extra_indptr, extra, role_mask, counts_foreign, record, out):
    """Bytes of the distinct counted blobs of each group of manifests: the charge of a scope, from scratch.

    indptr          int64[G+1]  group g has manifest[indptr[g]:indptr[g+1]], some perhaps twice
    manifest        int32[n]
    extra_indptr    int64[G+1], extra int32[k]: further blobs of each group, counted as layers (explicit blob links)
    role_mask       int64, counts_foreign int64: as in the charging rule
    record          int64[B, 2] scratch; WRITTEN: the last group that has a blob, and its bytes, in one line of memory
    out             int64[G, 2] zero; WRITTEN, two-word totals
    O(blobs + references of the groups)
    """
    for blob in range(record.shape[0]):
        record[blob, 0] = -1
        counts = counts_foreign or graph.flags[blob] & FLAG_FOREIGN == 0
        record[blob, 1] = graph.size[blob] if counts else 0
    named = role_mask & ROLES_NAMED == ROLES_NAMED
    for g in range(indptr.shape[0] - 1):
        for k in range(indptr[g], indptr[g + 1]):
            _approach_records(graph, manifest, k, record)
            m = np.int64(manifest[k])
            found = np.int64(0)
            if role_mask & ROLE_OWN:
                found += _first_bytes(record, np.uint64(graph.own[m]), g)
            for e in range(np.uint64(graph.indptr[m]), np.uint64(_last(graph, m))):
                if named or graph.role[e] & role_mask:
                    found += _first_bytes(record, np.uint64(graph.target[e]), g)
            add_words(out, g, found)  # one manifest lists no more than int64 holds
        if role_mask & ROLE_LAYER:
            for k in range(extra_indptr[g], extra_indptr[g + 1]):
                add_words(out, g, _first_bytes(record, np.uint64(extra[k]), g))


@kernel
def share_groups(graph, indptr, manifest, stamp, count, rank, logical, unique, exclusive, attributed):
    """Logical, unique, exclusive and attributed bytes of groups of manifests.

    indptr      int64[G+1], manifest int32[n], each manifest at most once in a group; groups in name order
    stamp       int32[B]  -1 everywhere; count int32[B], rank int32[B] zero; WRITTEN (scratch)
    logical, unique, exclusive, attributed  int64[G, 2] zero; WRITTEN, two-word totals
    O(references of the groups)

    A blob of ``size`` that ``n`` groups have is split into ``size // n`` each, and one byte more for the first
    ``size % n``.
    """
    groups = indptr.shape[0] - 1
    for g in range(groups):
        for k in range(indptr[g], indptr[g + 1]):
            if k + AHEAD < manifest.shape[0]:
                _approach(graph, manifest[k + AHEAD], stamp, count)
            m = manifest[k]
            add_words(logical, g, graph.logical[m])
            first, found = graph.indptr[m] - 1, np.int64(0)
            for e in range(first, _last(graph, m)):
                blob = graph.own[m] if e == first else graph.target[e]
                if stamp[blob] != g:
                    stamp[blob] = g
                    count[blob] += 1
                    found += graph.size[blob]
            add_words(unique, g, found)  # one manifest lists no more than int64 holds
    stamp[:] = -1
    for g in range(groups):
        for k in range(indptr[g], indptr[g + 1]):
            if k + AHEAD < manifest.shape[0]:
                _approach(graph, manifest[k + AHEAD], stamp, count)
            m = manifest[k]
            first, alone, part_of = graph.indptr[m] - 1, np.int64(0), np.int64(0)
            for e in range(first, _last(graph, m)):
                blob = graph.own[m] if e == first else graph.target[e]
                if stamp[blob] == g:
                    continue
                stamp[blob] = g
                size = graph.size[blob]
                if count[blob] == 1:
                    alone += size
                else:
                    share = size // count[blob]
                    if rank[blob] < size - share * count[blob]:
                        share += 1
                    rank[blob] += 1
                    part_of += share
            add_words(exclusive, g, alone)
            add_words(attributed, g, alone + part_of)


@kernel
def share_charge(
    graph, scope, indptr, manifest, row, extra_indptr, extra, role_mask, record, logical, exclusive, attributed, loose
):
    """Split the charge of every scope between the players in it: the rows of a grouping that hold something there.

    scope           int64[S+1]  scope s has the players scope[s] to scope[s + 1], in name order of their rows
    indptr          int64[P+1]  player p holds manifest[indptr[p]:indptr[p + 1]], each once
    manifest        int32[n]
    row             int32[P]    the row that a player's bytes are added to
    extra_indptr    int64[S+1], extra int32[k]: blobs that are charged in each scope whoever holds them, some perhaps
                    held
    role_mask       int64       the roles in which a manifest makes a blob count
    record          int64[B, 4] -1, 0, 0 and the bytes for which a blob is charged, 0 where it is not; WRITTEN (scratch)
    logical, exclusive, attributed  int64[R, 2] zero; WRITTEN, two-word totals of rows
    loose           int64[1, 2] zero; WRITTEN, what no player holds
    O(references of the players + extra)

    A blob of ``size`` that ``n`` players of a scope hold is split as :func:`share_groups` splits it.
    """
    named = role_mask & ROLES_NAMED == ROLES_NAMED
    skip = np.int64(0 if role_mask & ROLE_OWN else 1)
    tick = np.int64(0)  # rises with every player and pass: what is in record[:, 0] says who was there last
    for s in range(scope.shape[0] - 1):
        begin = tick
        for p in range(scope[s], scope[s + 1]):
            for k in range(indptr[p], indptr[p + 1]):
                _approach_records(graph, manifest, k, record)
                m = np.int64(manifest[k])
                first, listed = graph.indptr[m] - 1, np.int64(0)
                for e in range(first + skip, _last(graph, m)):
                    if e != first and not (named or graph.role[e] & role_mask):
                        continue
                    blob = np.int64(graph.own[m] if e == first else graph.target[e])
                    listed += record[blob, 3]
                    if record[blob, 0] != tick:
                        # The first player of the scope finds what the scope before has left.
                        record[blob, 1] = record[blob, 1] + 1 if record[blob, 0] >= begin else 1
                        record[blob, 0] = tick
                add_words(logical, row[p], listed)  # one manifest lists no more than int64 holds
            tick += 1
        second = tick
        for p in range(scope[s], scope[s + 1]):
            for k in range(indptr[p], indptr[p + 1]):
                _approach_records(graph, manifest, k, record)
                m = np.int64(manifest[k])
                first, alone, part_of = graph.indptr[m] - 1, np.int64(0), np.int64(0)
                for e in range(first + skip, _last(graph, m)):
                    if e != first and not (named or graph.role[e] & role_mask):
                        continue
                    blob = np.int64(graph.own[m] if e == first else graph.target[e])
                    if record[blob, 0] == tick:
                        continue
                    rank = record[blob, 2] if record[blob, 0] >= second else 0
                    record[blob, 0] = tick
                    record[blob, 2] = rank + 1
                    size, holders = record[blob, 3], record[blob, 1]
                    if holders == 1:
                        alone += size
                    else:
                        share = size // holders
                        part_of += share + np.int64(rank < size - share * holders)
                add_words(exclusive, row[p], alone)
                add_words(attributed, row[p], alone + part_of)
            tick += 1
        for k in range(extra_indptr[s], extra_indptr[s + 1]):
            blob = np.int64(extra[k])
            if record[blob, 0] < begin:
                record[blob, 0] = tick
                add_words(loose, 0, record[blob, 3])
        tick += 1


@kernel
def sum_words(values, out):
    """Add int64 ``values`` up into the two-word total ``out`` (int64[1, 2], WRITTEN). O(n)."""
    for i in range(values.shape[0]):
        add_words(out, 0, values[i])


@kernel
def cumulative_words(deltas, start_high, start_low, high, low):
    """Running two-word totals after each delta.

    deltas  int64[n]; start_high, start_low: the total before them
    high, low  int64[n], WRITTEN. O(n)
    """
    above, below = start_high, start_low
    for i in range(deltas.shape[0]):
        below += deltas[i] & WORD_MASK
        above += (deltas[i] >> WORD) + (below >> WORD)
        below &= WORD_MASK
        high[i] = above
        low[i] = below
