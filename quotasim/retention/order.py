"""In which order manifests are deleted that belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.kernels import NULL
from quotasim.kernels.layout import KIND_INDEX
from quotasim.model.content import Content, descriptor_rows
from quotasim.model.names import Names

Array = npt.NDArray[Any]


def deletion_order(
    content: Content, names: Names, links: Array, *, indexes_first: bool, referrers_first: bool
) -> Array:
    """Return links, int32[n] sorted, in an order in which none is refused for the sake of another that goes too.

    Parameters
    ----------
    indexes_first : whether a child is refused as long as an index lists it.
    referrers_first : whether a subject is refused as long as something refers to it.

    Notes
    -----
    Else in the order given. Where an index lists what refers to it, and both are asked for, one is refused whatever
    the order. O(descriptors of the indexes * the longest chain).
    """
    graph = content.graph()
    manifest, repository = names.links.second[links], names.links.first[links]
    above: list[Array] = []
    blobs: list[Array] = []
    if indexes_first:
        parents = np.flatnonzero(graph.kind[manifest] == KIND_INDEX)
        counts = graph.indptr[manifest[parents] + 1] - graph.indptr[manifest[parents]]
        above.append(np.repeat(parents, counts))
        blobs.append(graph.target[descriptor_rows(content, manifest[parents])])
    if referrers_first:
        referring = np.flatnonzero(graph.subject[manifest] != NULL)
        above.append(referring)
        blobs.append(graph.subject[manifest[referring]])
    if not sum(part.size for part in above):
        return links
    upper = np.concatenate(above)
    below = graph.blob_manifest[np.concatenate(blobs)]
    upper, below = upper[below != NULL], below[below != NULL]
    found = names.links.find_all(repository[upper], below)
    lower = np.searchsorted(links, found)
    here = (lower < links.size) & (links[np.minimum(lower, links.size - 1)] == found)
    upper, lower = upper[here], lower[here]
    depth = np.zeros(links.size, np.int64)
    for _ in range(np.unique(upper).size):  # no chain is longer, but in a ring
        deeper = depth.copy()
        np.maximum.at(deeper, lower, depth[upper] + 1)
        if np.array_equal(deeper, depth):
            break
        depth = deeper
    return np.asarray(links[np.argsort(depth, kind="stable")])
