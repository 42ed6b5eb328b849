"""Who has which bytes: rows by image, repository or namespace, with logical, unique, exclusive, shared and
attributed bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import Scope, contains, pair_keys, scope_names, scope_of_repositories, sorted_once
from quotasim.kernels import NULL, sharing
from quotasim.kernels.layout import KIND_INDEX
from quotasim.model.content import Content, descriptor_rows
from quotasim.model.digests import format_digests
from quotasim.model.names import Names
from quotasim.model.state import State
from quotasim.model.totals import words_to_ints

Array = npt.NDArray[Any]

By = Literal["registry", "namespace", "repository", "image"]
BY: tuple[By, ...] = ("registry", "namespace", "repository", "image")


@dataclass(frozen=True, slots=True)
class ImageRows:
    """One row a (repository, root manifest), and which links belong to it.

    Attributes
    ----------
    root : int32[N], link rows.
    indptr : int64[N + 1]; row i has the links ``links[indptr[i]:indptr[i + 1]]``, its root among them.
    links : int32[K], link rows.
    """

    root: Array
    indptr: Array
    links: Array


@dataclass(frozen=True, slots=True)
class SharingRow:
    """Bytes of one row of ``df --by``; all exact ints.

    ``shared_bytes`` is ``unique_bytes - exclusive_bytes``; attributed rows add up to the registry's unique bytes.
    """

    name: str
    logical_bytes: int
    unique_bytes: int
    exclusive_bytes: int
    shared_bytes: int
    attributed_bytes: int


def image_rows(content: Content, names: Names, state: State) -> ImageRows:
    """Find the root manifests of every repository and what belongs to each.

    A root is linked, and tagged or neither a child nor a referrer of a manifest linked in its repository. To it belongs
    what is linked there and reached through children and referrers. O(links log links + descriptors of indexes).
    """
    linked = state.read("linked")
    links = np.flatnonzero(linked).astype(np.int32)
    tagged = state.read("tag_count")[links] > 0
    is_child = state.read("parent_count")[links] > 0
    is_referrer = _has_linked_subject(content, names, state, links)
    roots = links[tagged | ~(is_child | is_referrer)]
    rows, members = _close(content, names, state, np.arange(roots.size, dtype=np.int64), roots)
    covered = np.zeros(linked.shape[0], bool)
    covered[members] = True
    # Manifests that are children and referrers of each other in a ring have no root outside: those that are no
    # child serve.
    left = links[~covered[links] & ~is_child]
    if left.size:
        more_rows, more = _close(content, names, state, roots.size + np.arange(left.size, dtype=np.int64), left)
        roots = np.concatenate((roots, left))
        rows, members = np.concatenate((rows, more_rows)), np.concatenate((members, more))
    indptr = np.searchsorted(rows, np.arange(roots.size + 1)).astype(np.int64)
    return ImageRows(roots.astype(np.int32), indptr, members.astype(np.int32))


def _has_linked_subject(content: Content, names: Names, state: State, links: Array) -> Array:
    """Return which links refer to a subject that is linked in the same repository."""
    graph = content.graph()
    out = np.zeros(links.shape[0], bool)
    if graph.referrer.size == 0:
        return out
    subject = graph.subject[names.links.second[links]]
    has = np.flatnonzero(subject != NULL)
    manifest = graph.blob_manifest[subject[has]]
    has, manifest = has[manifest != NULL], manifest[manifest != NULL]
    above = names.links.find_all(names.links.first[links[has]], manifest)
    out[has] = (above != NULL) & (state.read("linked")[above] != 0)
    return out


def _close(content: Content, names: Names, state: State, rows: Array, links: Array) -> tuple[Array, Array]:
    """Extend (row, link) pairs by what is linked in the same repository and reached through children and referrers.

    Returns the pairs sorted by row, each once.
    """
    linked = state.read("linked")
    pairs = np.sort(pair_keys(rows, links))
    frontier = pairs
    while frontier.size:
        found_row, below = _below(content, names, frontier >> 32, frontier & 0xFFFFFFFF)
        here = (below != NULL) & (linked[below] != 0)
        keys = sorted_once(pair_keys(found_row[here], below[here]))
        frontier = keys[~contains(pairs, keys)]
        pairs = np.union1d(pairs, frontier)
    return pairs >> 32, pairs & 0xFFFFFFFF


def _below(content: Content, names: Names, row: Array, link: Array) -> tuple[Array, Array]:
    """Return (row, link) pairs of the children and the referrers of each link, in its repository.

    NULL where a manifest was never linked there. O(descriptors of the indexes among them).
    """
    graph = content.graph()
    manifest, repository = names.links.second[link], names.links.first[link]
    is_index = graph.kind[manifest] == KIND_INDEX
    parents = manifest[is_index]
    counts = graph.indptr[parents + 1].astype(np.int64) - graph.indptr[parents]
    child = graph.blob_manifest[graph.target[descriptor_rows(content, parents)]]
    found_row, found_repository = np.repeat(row[is_index], counts), np.repeat(repository[is_index], counts)
    if graph.referrer.size:
        start = np.searchsorted(graph.referrer_subject, graph.own[manifest], side="left")
        stop = np.searchsorted(graph.referrer_subject, graph.own[manifest], side="right")
        counts = stop - start
        at = np.repeat(start - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))
        child = np.concatenate((child, graph.referrer[at]))
        found_row = np.concatenate((found_row, np.repeat(row, counts)))
        found_repository = np.concatenate((found_repository, np.repeat(repository, counts)))
    known = child != NULL
    return found_row[known], names.links.find_all(found_repository[known], child[known])


def reached(content: Content, names: Names, state: State, links: Array) -> Array:
    """Return which links are among these or linked in their repositories and reached through children and referrers.

    bool[L], of every link. O(links + what is reached and its descriptors).
    """
    graph, linked = content.graph(), state.read("linked")
    mask = np.zeros(linked.shape[0], bool)
    mask[links] = True
    subjects = np.zeros(content.blob_count, bool)
    subjects[graph.referrer_subject] = True
    frontier = links
    while True:
        # Only an index and a subject reach anything.
        manifest = names.links.second[frontier]
        frontier = frontier[(graph.kind[manifest] == KIND_INDEX) | subjects[graph.own[manifest]]]
        if not frontier.size:
            return mask
        _, found = _below(content, names, np.zeros(frontier.size, np.int64), frontier)
        found = found[(found != NULL) & (linked[found] != 0)]
        frontier = np.unique(found[~mask[found]])
        mask[frontier] = True


def members_of(content: Content, names: Names, state: State, rows: ImageRows, link: int) -> Array:
    """Return the links that belong to the image rooted at ``link``; of a link that is no root, what it reaches."""
    mine = np.flatnonzero(rows.root == link)
    if mine.size:
        return rows.links[rows.indptr[mine[0]] : rows.indptr[mine[0] + 1]]
    return np.flatnonzero(reached(content, names, state, np.array([link])))


def first_tags(names: Names, state: State) -> dict[int, list[str]]:
    """Return the sorted tag labels of every tagged link. O(tags)."""
    labels: dict[int, list[str]] = {}
    targets = state.read("tag_link")
    for tag in np.flatnonzero(targets != NULL).tolist():
        labels.setdefault(int(targets[tag]), []).append(names.tag_label(tag))
    for of_link in labels.values():
        of_link.sort()
    return labels


def link_names(content: Content, names: Names, labels: dict[int, list[str]], links: Array) -> list[str]:
    """Return how links are called: ``repository:first-tag``, else ``repository@digest``. O(links)."""
    values = names.repositories.values
    repositories = [values[row] for row in names.links.first[links].tolist()]
    tags = [labels.get(link) for link in links.tolist()]
    untagged = np.array([row for row, found in enumerate(tags) if not found], np.int64)
    own = content.graph().own[names.links.second[links[untagged]]]
    digests = iter(format_digests(content.digest_array(own)))
    return [
        f"{repository}:{found[0]}" if found else f"{repository}@{next(digests)}"
        for repository, found in zip(repositories, tags, strict=True)
    ]


def owned_links(content: Content, names: Names, state: State, by: By) -> tuple[list[str], Array, Array]:
    """Return (names, owner int64[n], links int32[n]): the rows of a grouping in name order, and the links of each.

    A link may belong to several images, and to one row of any other grouping. Rows of names that hold nothing now are
    left out; the registry's one row is there always. O(links), for images O(links log links + descriptors of indexes).
    """
    if by == "image":
        rows = image_rows(content, names, state)
        labels = first_tags(names, state)
        titles = link_names(content, names, labels, rows.root)
        owner = np.repeat(np.arange(rows.root.size), np.diff(rows.indptr))
        links = rows.links
    else:
        scope = {"registry": Scope.REGISTRY, "namespace": Scope.NAMESPACE, "repository": Scope.REPOSITORY}[by]
        titles = list(scope_names(names, scope))
        links = np.flatnonzero(state.read("linked")).astype(np.int32)
        owner = scope_of_repositories(names, scope, names.links.first[links])
    held = np.bincount(owner, minlength=len(titles)) > 0
    if by == "registry":
        held[:] = True
    order = sorted(np.flatnonzero(held).tolist(), key=titles.__getitem__)
    place = np.zeros(len(titles), np.int64)
    place[order] = np.arange(len(order))
    return [titles[k] for k in order], place[owner], links


def _groups(content: Content, names: Names, state: State, by: By) -> tuple[list[str], Array, Array]:
    """Return (names, indptr, manifests) of the rows of a grouping, in name order, manifests once a row."""
    titles, owner, links = owned_links(content, names, state, by)
    keys = sorted_once(pair_keys(owner, names.links.second[links]))
    indptr = np.searchsorted(keys >> 32, np.arange(len(titles) + 1)).astype(np.int64)
    return titles, indptr, (keys & 0xFFFFFFFF).astype(np.int32)


def sharing_rows(content: Content, names: Names, state: State, by: By) -> list[SharingRow]:
    """Return the rows of ``df --by``, in name order.

    Parameters
    ----------
    by : ``"registry"`` (one row named ``""``), ``"namespace"``, ``"repository"`` or ``"image"``.

    Notes
    -----
    O(references of the rows): a manifest that several images share counts in each.
    """
    titles, indptr, manifest = _groups(content, names, state, by)
    figures = [np.zeros((len(titles), 2), np.int64) for _ in range(sharing.FIGURES)]
    blobs = content.blob_count
    sharing.share_groups(
        content.graph(),
        indptr,
        manifest,
        np.full(blobs, -1, np.int32),
        np.zeros(blobs, np.int32),
        np.zeros(blobs, np.int32),
        *figures,
    )
    columns = [words_to_ints(words) for words in figures]
    return [
        SharingRow(name, logical, unique, exclusive, unique - exclusive, attributed)
        for name, logical, unique, exclusive, attributed in zip(titles, *columns, strict=True)
    ]
