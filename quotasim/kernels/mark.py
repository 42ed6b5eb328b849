"""Mark and sweep over the layer graph: from root links through indexes and subjects to the blobs that must stay."""

from quotasim.kernels.compile import kernel
from quotasim.kernels.layout import KIND_INDEX, NULL
from quotasim.kernels.scopes import find_link, first_at_least


@kernel
def mark_links(graph, names, linked, follow_children, follow_referrers, keep, stack):
    """Extend the links to keep by what they reach in their own repositories.

    linked            uint8[L]
    follow_children   int64  1: children of kept indexes are kept, and theirs
    follow_referrers  int64  1: referrers of kept manifests are kept, and theirs
    keep              uint8[L]  1 at the roots; WRITTEN
    stack             int32[L]  scratch; WRITTEN
    returns           int64  links kept; O(kept + descriptors of kept indexes)
    """
    depth = 0
    kept = 0
    for link in range(keep.shape[0]):
        if not keep[link]:
            continue
        kept += 1
        m = names.link_manifest[link]
        # Most links are images that nothing refers to: they need no place on the stack.
        if graph.kind[m] == KIND_INDEX or graph.referrer.shape[0] > 0:
            stack[depth] = link
            depth += 1
    while depth:
        depth -= 1
        link = stack[depth]
        m, repository = names.link_manifest[link], names.link_repository[link]
        if follow_children and graph.kind[m] == KIND_INDEX:
            for e in range(graph.indptr[m], graph.indptr[m + 1]):
                child = graph.blob_manifest[graph.target[e]]
                if child != NULL:
                    below = find_link(names, repository, child)
                    if below != NULL and linked[below] and not keep[below]:
                        keep[below] = 1
                        kept += 1
                        stack[depth] = below
                        depth += 1
        if follow_referrers:
            k = first_at_least(graph.referrer_subject, graph.own[m])
            while k < graph.referrer_subject.shape[0] and graph.referrer_subject[k] == graph.own[m]:
                below = find_link(names, repository, graph.referrer[k])
                if below != NULL and linked[below] and not keep[below]:
                    keep[below] = 1
                    kept += 1
                    stack[depth] = below
                    depth += 1
                k += 1
    return kept


@kernel
def mark_blobs(graph, live, marked):
    """Mark the own bytes of live manifests and all that they name, children's own bytes included.

    live    uint8[M]
    marked  uint8[B]  WRITTEN
    returns int64  references visited; O(references of live manifests)
    """
    visited = 0
    for m in range(live.shape[0]):
        if live[m]:
            marked[graph.own[m]] = 1
            first, last = graph.indptr[m], graph.indptr[m + 1]
            visited += last - first + 1
            for e in range(first, last):
                marked[graph.target[e]] = 1
    return visited


@kernel
def unmarked(stored, marked, out):
    """List the stored blobs that are not marked; returns their number. ``out`` int32[B] WRITTEN. O(B)."""
    found = 0
    for b in range(stored.shape[0]):
        if stored[b] and not marked[b]:
            out[found] = b
            found += 1
    return found
