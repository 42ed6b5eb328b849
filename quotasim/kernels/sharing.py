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
