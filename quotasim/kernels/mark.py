"""Mark and sweep over the layer graph: from root links through indexes and subjects to the blobs that must stay."""

import numpy as np

from quotasim.kernels.compile import kernel, part
from quotasim.kernels.layout import (
    FLAG_FOREIGN,
    FLAG_SHA512,
    KIND_INDEX,
    NULL,
    REFERRERS_FOLLOW,
    REFERRERS_PIN,
)
from quotasim.kernels.prefetch import prefetch
from quotasim.kernels.scopes import find_link, first_at_least
from quotasim.kernels.tables import home_slot

AHEAD = 4  # links by which each stage asks for memory early


@kernel
def repositories_with_blobs(graph, names, link_event, found):
    """Note the repositories to which an image was ever pushed: it brought its config or a layer.

    link_event  int32[L]
    found       uint8[R]  1 where a blob is known to have been; WRITTEN
    cost        O(L)
    """
    for link in range(link_event.shape[0]):
        repository = np.int64(names.link_repository[link])
        if link_event[link] == NULL or found[repository]:
            continue
        m = np.int64(names.link_manifest[link])
        if graph.kind[m] == KIND_INDEX:
            continue
        for e in range(graph.indptr[m], graph.indptr[m + 1]):
            if graph.flags[np.int64(graph.target[e])] & FLAG_FOREIGN == 0:
                found[repository] = 1
                break


@kernel
def readable_links(graph, names, linked, walked, stored, out):
    """The links that a collector comes upon: of repositories that it walks, the manifest's own bytes on disk.

    linked  uint8[L]
    walked  uint8[R]
    stored  uint8[B]
    out     uint8[L]  WRITTEN
    """
    for link in range(linked.shape[0]):
        out[link] = 0
        if linked[link] and walked[names.link_repository[link]]:
            out[link] = stored[np.int64(graph.own[np.int64(names.link_manifest[link])])]


@kernel
def mark_links(graph, names, linked, follow_children, referrers, keep, queue):
    """Extend the links to keep by what they reach in their own repositories.

    linked            uint8[L]
    follow_children   int64  1: children of kept indexes are kept, and theirs
    referrers         int64  REFERRERS_* bits; FOLLOW: referrers of kept manifests are kept, and theirs; PIN: their
                             subjects are, and theirs
    keep              uint8[L]  1 at the roots; WRITTEN
    queue             int32[L]  scratch; WRITTEN
    returns           int64  links kept; O(kept + descriptors of kept indexes)
    """
    count, kept = np.int64(0), np.int64(0)
    for link in range(keep.shape[0]):
        if not keep[link]:
            continue
        m = names.link_manifest[link]
        # Most links are images that nothing refers to: they need no place in the queue.
        if graph.kind[m] == KIND_INDEX or graph.referrer.shape[0] > 0:
            queue[count] = link
            count += 1
        else:
            kept += 1
    head = np.int64(0)
    while head < count:
        if follow_children:
            _approach(graph, names, queue, head, count)
        link = np.int64(queue[head])
        head += 1
        m, repository = np.int64(names.link_manifest[link]), np.int64(names.link_repository[link])
        if follow_children and graph.kind[m] == KIND_INDEX:
            for e in range(graph.indptr[m], graph.indptr[m + 1]):
                child = np.int64(graph.blob_manifest[np.int64(graph.target[e])])
                count = _reach(names, linked, keep, queue, count, repository, child)
        if referrers & REFERRERS_FOLLOW:
            k = first_at_least(graph.referrer_subject, np.int64(graph.own[m]))
            while k < graph.referrer_subject.shape[0] and graph.referrer_subject[k] == graph.own[m]:
                count = _reach(names, linked, keep, queue, count, repository, np.int64(graph.referrer[k]))
                k += 1
        if referrers & REFERRERS_PIN and graph.subject[m] != NULL:
            subject = np.int64(graph.blob_manifest[np.int64(graph.subject[m])])
            count = _reach(names, linked, keep, queue, count, repository, subject)
    return kept + count


@part
def _reach(names, linked, keep, queue, count, repository, manifest):
    """Keep a manifest (NULL: none) where it is linked and not kept yet; returns how many are in the queue then."""
    if manifest == NULL:
        return count
    link = find_link(names, repository, manifest)
    if link == NULL or not linked[link] or keep[link]:
        return count
    keep[link] = 1
    queue[count] = link
    return count + 1


@part
def _approach(graph, names, queue, head, count):
    """Ask for the memory that the links after ``head`` lead to, in stages: each reads what the one before asked for."""
    if head + 4 * AHEAD < count:
        m = np.int64(names.link_manifest[np.int64(queue[head + 4 * AHEAD])])
        prefetch(graph.indptr, m)
    if head + 3 * AHEAD < count:
        m = np.int64(names.link_manifest[np.int64(queue[head + 3 * AHEAD])])
        prefetch(graph.target, graph.indptr[m])
    if head + 2 * AHEAD < count:
        m = np.int64(names.link_manifest[np.int64(queue[head + 2 * AHEAD])])
        if graph.kind[m] == KIND_INDEX:
            for e in range(graph.indptr[m], graph.indptr[m + 1]):
                prefetch(graph.blob_manifest, np.int64(graph.target[e]))
    if head + AHEAD < count:
        link = np.int64(queue[head + AHEAD])
        m, prefix = np.int64(names.link_manifest[link]), np.int64(names.link_repository[link]) << 32
        if graph.kind[m] == KIND_INDEX:
            for e in range(graph.indptr[m], graph.indptr[m + 1]):
                child = np.int64(graph.blob_manifest[np.int64(graph.target[e])])
                if child != NULL:
                    prefetch(names.link_table, home_slot(names.link_table, prefix | child))


@kernel
def live_manifests(link_manifest, keep, live):
    """Set ``live`` (uint8[M], WRITTEN) to 1 for the manifests of the links to keep. O(L)."""
    for link in range(keep.shape[0]):
        live[np.uint64(link_manifest[link])] |= keep[link]


@kernel
def mark_blobs(graph, live, first_manifest, last_manifest, marked):
    """Mark the own bytes of live manifests and all that they name, children's own bytes included.

    live    uint8[M]
    first_manifest, last_manifest  int64  which to look at: several threads may, each at its own
    marked  uint8[B]  WRITTEN, with nothing but 1: whoever comes first
    returns int64  references visited; O(references of live manifests)
    """
    visited = 0
    for m in range(first_manifest, last_manifest):
        if live[m]:
            marked[np.uint64(graph.own[m])] = 1
            first, last = graph.indptr[m], graph.indptr[m + 1]
            visited += last - first + 1
            for e in range(np.uint64(first), np.uint64(last)):
                marked[np.uint64(graph.target[e])] = 1
    return visited


@kernel
def mark_in_turn(graph, names, roots, turn_of_repository, linked, turn, stack):
    """Mark from root links, one repository after another, into one set of marks for all of them. What is marked by then
    is not followed again, whichever repository marked it.

    roots               int32[K]  links, by the turns of their repositories
    turn_of_repository  int32[R]  from 1 on
    linked              uint8[L]  the links that can be followed to
    turn                int32[B]  the turn in which a blob was marked, 0 where it is not; WRITTEN
    stack               int32[M + 1]  scratch; WRITTEN
    returns             int64  references visited; O(references of what is reached)
    """
    visited = np.int64(0)
    for k in range(roots.shape[0]):
        root = np.int64(roots[k])
        repository = np.int64(names.link_repository[root])
        now = turn_of_repository[repository]
        stack[0] = names.link_manifest[root]
        count = 1
        own = np.int64(graph.own[np.int64(stack[0])])
        if turn[own] == 0:
            turn[own] = now
        while count > 0:
            count -= 1
            m = np.int64(stack[count])
            visited += graph.indptr[m + 1] - graph.indptr[m] + 1
            for e in range(graph.indptr[m], graph.indptr[m + 1]):
                target = np.int64(graph.target[e])
                if turn[target] != 0:
                    continue
                turn[target] = now
                child = np.int64(graph.blob_manifest[target])
                if child == NULL:
                    continue
                link = find_link(names, repository, child)
                if link != NULL and linked[link]:
                    stack[count] = child
                    count += 1
    return visited


@kernel
def unmark_sha512(flags, marked):
    """Clear the marks of blobs that are named by their sha512. O(B)."""
    for b in range(flags.shape[0]):
        if flags[b] & FLAG_SHA512:
            marked[b] = 0


@kernel
def unmarked(stored, marked, first, last, out):
    """List the stored blobs from ``first`` up to ``last`` that are not marked; returns their number.

    out  int32[B]  WRITTEN from ``first`` on. O(last - first)
    """
    found = first
    for b in range(first, last):
        # Whether a blob goes is anybody's guess: it is always written, and kept by moving on.
        out[found] = b
        found += stored[b] & ~marked[b] & 1
    return found - first
