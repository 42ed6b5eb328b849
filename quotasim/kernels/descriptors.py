"""Descriptors of manifests as they are interned: repeats folded, sizes added up, rows compared."""

from quotasim.kernels.compile import kernel
from quotasim.kernels.layout import KIND_INDEX

LARGEST = 2**63 - 1


@kernel
def fold_repeats(indptr, target, role, place, new_indptr, new_target, new_role, new_times):
    """Fold repeated targets of each manifest into one descriptor, in order of first appearance.

    indptr      int64[n+1]  manifest i lists target[indptr[i]:indptr[i+1]]
    target      int32[E]    blob rows; role uint8[E] ROLE_* bits, joined where a target repeats
    place       int64[B]    scratch, zero; WRITTEN
    new_indptr  int64[n+1], new_target int32[E], new_role uint8[E], new_times int32[E]  WRITTEN
    returns     int64       descriptors kept; O(E)
    """
    kept = 0
    new_indptr[0] = 0
    for i in range(indptr.shape[0] - 1):
        start = kept
        for e in range(indptr[i], indptr[i + 1]):
            blob = target[e]
            at = place[blob] - 1
            if at >= start:
                new_role[at] |= role[e]
                new_times[at] += 1
            else:
                place[blob] = kept + 1
                new_target[kept] = blob
                new_role[kept] = role[e]
                new_times[kept] = 1
                kept += 1
        new_indptr[i + 1] = kept
    return kept


@kernel
def logical_sizes(indptr, target, own, kind, size, out):
    """Bytes of each manifest's distinct blobs; an index adds its own bytes only.

    indptr  int64[n+1], target int32[E], own int32[n], kind uint8[n], size int64[B]
    out     int64[n]  WRITTEN; -1 where the sum passes 2**63 - 1
    O(E)
    """
    for i in range(own.shape[0]):
        total = size[own[i]]
        if kind[i] != KIND_INDEX:
            for e in range(indptr[i], indptr[i + 1]):
                if target[e] == own[i]:
                    continue
                more = size[target[e]]
                if total > LARGEST - more:
                    total = -1
                    break
                total += more
        out[i] = total


@kernel
def first_difference(indptr, target, rows, other_indptr, other_target):
    """Position of the first i whose descriptors differ from those of manifest rows[i]; -1 if all are the same.

    indptr int64[M+1], target int32[E]; rows int32[n]; other_indptr int64[n+1], other_target int32[F]. O(F)
    """
    for i in range(rows.shape[0]):
        start, stop = indptr[rows[i]], indptr[rows[i] + 1]
        other = other_indptr[i]
        if stop - start != other_indptr[i + 1] - other:
            return i
        for e in range(start, stop):
            if target[e] != other_target[other + e - start]:
                return i
    return -1


@kernel
def transpose(indptr, target, by_blob, manifests):
    """CSR of descriptors turned round: which manifests name each blob, in ascending order.

    indptr     int64[M+1], target int32[E]
    by_blob    int64[B+1]  zero; WRITTEN: blob b is named by manifests[by_blob[b]:by_blob[b+1]]
    manifests  int32[E]    WRITTEN
    O(B + E)
    """
    blobs = by_blob.shape[0] - 1
    for e in range(target.shape[0]):
        by_blob[target[e]] += 1
    total = 0
    for b in range(blobs):
        count = by_blob[b]
        by_blob[b] = total
        total += count
    by_blob[blobs] = total
    for m in range(indptr.shape[0] - 1):
        for e in range(indptr[m], indptr[m + 1]):
            b = target[e]
            manifests[by_blob[b]] = m
            by_blob[b] += 1
    # Every start has moved to its end, which is the next one's start.
    for b in range(blobs - 1, 0, -1):
        by_blob[b] = by_blob[b - 1]
    if blobs:
        by_blob[0] = 0
