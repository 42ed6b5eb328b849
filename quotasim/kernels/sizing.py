"""Sizes for the blobs of a made history: each is used once, and each push brings the share of new bytes asked for."""

import numpy as np

from quotasim.kernels.compile import kernel, part

SIZE_WEIGHT = 8.0  # pushes by which a part must be behind to make up for bytes that are wrong by a factor of e


@part
def _below(tree, row, place):
    """How many sizes are left in the first ``place`` bins of a class."""
    total = np.int64(0)
    while place > 0:
        total += tree[row, place]
        place -= place & -place
    return total


@part
def _bin_of(tree, row, rank):
    """The bin that holds the size of rank ``rank``, counted from 0 among those that are left."""
    place, step = np.int64(0), np.int64(tree.shape[1] - 1)
    while step > 0:
        if place + step < tree.shape[1] and tree[row, place + step] <= rank:
            place += step
            rank -= tree[row, place]
        step //= 2
    return place


@part
def _take(tree, row, place):
    """Take one size out of a bin."""
    k = place + 1
    while k < tree.shape[1]:
        tree[row, k] -= 1
        k += k & -k


@kernel
def sort_rows(indptr, target):
    """Sort ``target[indptr[m]:indptr[m + 1]]`` of every row m, WRITTEN. Rows are short. O(references * row)."""
    for m in range(indptr.shape[0] - 1):
        for e in range(indptr[m] + 1, indptr[m + 1]):
            value = target[e]
            k = e
            while k > indptr[m] and target[k - 1] > value:
                target[k] = target[k - 1]
                k -= 1
            target[k] = value


@kernel
def assign_sizes(indptr, target, group, share, total, luck, missing, tree, free, pool, least_log, bins_per_log, size):
    """Give every blob a size from the pool of its group, so that new bytes have the wanted shares of pushes.

    indptr, target  int64[M+1], int32[E]; manifests in the order of their pushes, blobs numbered by their first push,
                    ascending within a manifest
    group           uint8[B]      pool of each blob
    share           float64[Q+1]  quantiles, evenly spread, of new bytes to all bytes of a push that has new blobs
    total           float64[M]    bytes that an image should have: has, if it shares nothing, else leans to
    luck            float64[B]    random numbers in [0, 1)
    missing         float64[Q], WRITTEN, 0 at first: pushes that each part of ``share`` ought to have had, less those it
                    had
    tree            int64[G, 2**k + 1], WRITTEN: sizes left by bin, as a Fenwick tree
    pool            int64[B]      the sizes, by group and bin
    free            int64[G, 2**k, 2], WRITTEN: where the sizes of a bin begin in ``pool``, and how many are left
    least_log, bins_per_log  bin of a size: (log(size) - least_log) * bins_per_log
    size            int64[B], WRITTEN
    cost            O(E + B * k + M * Q)

    All new blobs of a push but one are drawn from what fits; the one is what comes nearest to the rest. What cannot be
    had, since the sizes left do not allow it, is made up for by later pushes.
    """
    bins, parts = tree.shape[1] - 1, missing.shape[0]
    known = np.int64(0)  # blobs below this one have a size
    for m in range(indptr.shape[0] - 1):
        old, first = np.float64(0), indptr[m + 1]
        for e in range(indptr[m], indptr[m + 1]):
            if target[e] >= known:
                first = e
                break
            old += size[target[e]]
        count = indptr[m + 1] - first
        if count == 0:
            continue
        rest = total[m]
        if old > 0:
            # Of one in sixteen parts, one that is far behind and leaves the image with about the bytes it should have.
            chance = luck[known]
            offset = np.int64(chance * 16)
            wanted = offset
            best = np.float64(-np.inf)
            for q in range(offset, parts, 16):
                bytes_then = old / max(1 - share[q], 1e-9)
                merit = missing[q] - SIZE_WEIGHT * abs(np.log(bytes_then / total[m]))
                if merit > best:
                    best, wanted = merit, q
            chance = chance * 16 - offset
            want = share[wanted] + chance * (share[wanted + 1] - share[wanted])
            rest = old * want / max(1 - want, 1e-9)
        main = first + np.int64(luck[known + count - 1] * count)
        new = np.float64(0)
        for step in range(count):
            # The main one comes last.
            e = first + step
            if step == count - 1:
                e = main
            elif e >= main:
                e += 1
            blob = np.int64(target[e])
            g = np.int64(group[blob])
            left = _below(tree, g, np.int64(bins))
            place = np.int64((np.log(max(rest - new, 1.0)) - least_log) * bins_per_log)
            place = min(max(place, 0), bins - 1)
            if step < count - 1:
                fitting = _below(tree, g, place)
                rank = np.int64(luck[blob] * fitting)
            else:
                # The nearest bin below or above that has a size.
                under = _below(tree, g, place + 1)
                if free[g, place, 1] > 0 or under == left:
                    rank = under - 1
                elif under == 0:
                    rank = under
                else:
                    lower, upper = _bin_of(tree, g, under - 1), _bin_of(tree, g, under)
                    rank = under - 1 if place - lower <= upper - place else under
            b = _bin_of(tree, g, rank)
            free[g, b, 1] -= 1
            size[blob] = pool[free[g, b, 0] + free[g, b, 1]]
            new += size[blob]
            _take(tree, g, b)
        got = new / (new + old)
        for q in range(parts):
            missing[q] += 1.0 / parts
        q = np.int64(np.searchsorted(share, got)) - 1
        missing[min(max(q, 0), parts - 1)] -= 1
        known += count
