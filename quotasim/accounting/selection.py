"""What goes with a set of references: the links that a deletion takes along, the bytes only they hold, and what it
would break.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quotasim.kernels import NULL
from quotasim.kernels.layout import KIND_INDEX, LOCK_DELETE
from quotasim.model.content import Content, descriptor_rows
from quotasim.model.names import Names
from quotasim.model.state import State
from quotasim.model.totals import exact_sum

Array = npt.NDArray[Any]

Severity = Literal["blocking", "informational"]


@dataclass(frozen=True, slots=True)
class Hazard:
    """Something that a clean-up would break or take along.

    Attributes
    ----------
    kind : ``child-of-kept-index``, ``locked``, ``deployed``, ``collateral-tags``, ``referrers-deleted``,
        ``referrers-left``, ``pinned``, ``manifest-left``, ``children-left``, ``children-deleted``; where the kind
        would refuse it, ``refused-by-tag``, ``refused-child``, ``refused-tags``, ``refused-immutable``;
        ``resolved-tag``.
    severity : ``blocking`` or ``informational``.
    reference : what would be deleted, as ``repository@digest``.
    affected : references or tags that it concerns.
    message : a sentence for people.
    """

    kind: str
    severity: Severity
    reference: str
    affected: tuple[str, ...]
    message: str


def tags_of(names: Names, state: State, link: int) -> list[int]:
    """Return the tag rows on a link, unordered. O(tags on it)."""
    found = []
    follow = state.read("tag_next")
    tag = int(state.read("first_tag")[link])
    while tag != NULL:
        found.append(tag)
        tag = int(follow[tag])
    return found


def children_of(content: Content, names: Names, state: State, link: int) -> list[int]:
    """Return the linked children of an index in its repository, as link rows."""
    graph = content.graph()
    manifest = int(names.links.second[link])
    if graph.kind[manifest] != KIND_INDEX:
        return []
    rows = graph.blob_manifest[content.targets(manifest)]
    return _linked_here(names, state, link, rows[rows != NULL])


def referrers_of(content: Content, names: Names, state: State, link: int) -> list[int]:
    """Return the linked referrers of a manifest in its repository, as link rows."""
    graph = content.graph()
    own = graph.own[names.links.second[link]]
    start, stop = np.searchsorted(graph.referrer_subject, [own, own + 1])
    return _linked_here(names, state, link, graph.referrer[start:stop])


def _linked_here(names: Names, state: State, link: int, manifests: Array) -> list[int]:
    """Return the links of some manifests in the repository of ``link``, where they are linked."""
    if manifests.size == 0:
        return []
    found = names.links.find_all(np.full(manifests.size, names.links.first[link]), manifests)
    found = found[found != NULL]
    return [int(row) for row in np.unique(found[state.read("linked")[found] != 0])]


def going_along(content: Content, names: Names, state: State, links: Iterable[int], tags: Iterable[int]) -> set[int]:
    """Return the links that go if exactly these links and tags go.

    A link goes with its last tag. With what goes, go its linked children that have no tag left and no linked
    parent left in the
    repository, and its untagged referrers, until nothing more goes.
    """
    gone_tags = set(tags)
    gone: set[int] = set()
    pending = set(links)
    targets = state.read("tag_link")
    for tag in gone_tags:
        link = int(targets[tag])
        if all(other in gone_tags for other in tags_of(names, state, link)):
            pending.add(link)
    parents = state.read("parent_count")
    lost_parents: dict[int, int] = {}
    while pending:
        link = pending.pop()
        if link in gone:
            continue
        gone.add(link)
        for child in children_of(content, names, state, link):
            lost_parents[child] = lost_parents.get(child, 0) + 1
            if lost_parents[child] == parents[child] and _is_untagged(names, state, child, gone_tags):
                pending.add(child)
        for referrer in referrers_of(content, names, state, link):
            if _is_untagged(names, state, referrer, gone_tags):
                pending.add(referrer)
    return gone


def _is_untagged(names: Names, state: State, link: int, gone_tags: set[int]) -> bool:
    """Return whether no tag is left on a link."""
    return all(tag in gone_tags for tag in tags_of(names, state, link))


def exclusive_bytes_of(content: Content, names: Names, state: State, links: set[int]) -> int:
    """Return by how much the registry's unique bytes fall if exactly these links go. O(descriptors of them)."""
    if not links:
        return 0
    graph = content.graph()
    manifests, removed = np.unique(names.links.second[np.array(sorted(links))], return_counts=True)
    gone = manifests[state.read("link_count")[manifests] == removed]
    images = gone[graph.kind[gone] != KIND_INDEX]
    named = np.concatenate((graph.own[gone], graph.target[descriptor_rows(content, images)]))
    blobs, times = np.unique(named, return_counts=True)
    return exact_sum(graph.size[blobs[state.read("holders")[blobs] == times]])


def find_hazards(
    content: Content,
    names: Names,
    state: State,
    links: Sequence[int],
    *,
    cascades: bool,
    keeps_children: bool = False,
    children_go: bool = False,
    expires: bool = False,
    deployed: Iterable[str] = (),
) -> list[Hazard]:
    """List what deleting exactly these links would break or take along.

    Parameters
    ----------
    cascades : whether the kind deletes referrers with their subject.
    keeps_children : whether the kind refuses to delete a child of an index that stays: then nothing is broken.
    children_go : whether the kind deletes the children of an index that nothing else needs.
    expires : whether the kind only ends tags and leaves the manifest, with what belongs to it, to its collector.
    deployed : digests that run somewhere; each protects its manifest, all that it belongs to and all that belongs
        to it.
    """
    going = set(links)
    graph = content.graph()
    parents = parents_of(content, names, state, going)
    running = _protected(content, names, state, deployed)
    hazards: list[Hazard] = []

    def name(link: int) -> str:
        digest = content.digest(int(graph.own[names.links.second[link]]))
        return f"{names.repositories.values[names.links.first[link]]}@{digest}"

    def add(kind: str, severity: Severity, link: int, affected: Iterable[str], message: str) -> None:
        hazards.append(Hazard(kind, severity, name(link), tuple(sorted(affected)), message))

    for link in sorted(going, key=name):
        tags = tags_of(names, state, link)
        repository = names.repositories.values[names.links.first[link]]
        kept = [name(parent) for parent in parents.get(link, ()) if parent not in going]
        if kept and not (keeps_children or expires):
            add(
                "child-of-kept-index",
                "blocking",
                link,
                kept,
                "an index that stays lists it: pulling that platform would fail",
            )
        locks = int(state.read("link_lock")[link]) | int(state.read("repository_lock")[names.links.first[link]])
        for tag in tags:
            locks |= int(state.read("tag_lock")[tag])
        if locks & LOCK_DELETE:
            add("locked", "blocking", link, (), "it is locked against deletion")
        if link in running:
            add("deployed", "blocking", link, running[link], "it runs, or belongs to what runs")
        if len(tags) > 1:
            labels = [f"{repository}:{names.tag_label(tag)}" for tag in tags]
            add("collateral-tags", "informational", link, labels, f"all {len(tags)} tags of the manifest go with it")
        referrers = [name(other) for other in referrers_of(content, names, state, link) if other not in going]
        if referrers and expires:
            add("pinned", "informational", link, referrers, "its referrers keep it from collection: its bytes stay")
        elif referrers and cascades:
            add("referrers-deleted", "informational", link, referrers, "its referrers (signatures, SBOMs) go with it")
        elif referrers:
            add("referrers-left", "informational", link, referrers, "its referrers stay and refer to nothing")
        left = [
            name(child)
            for child in children_of(content, names, state, link)
            if child not in going
            and not tags_of(names, state, child)
            and all(parent in going for parent in parents_of(content, names, state, {child}).get(child, ()))
        ]
        if left and children_go:
            add("children-deleted", "informational", link, left, "its children go with it: nothing else needs them")
        elif left and not expires:
            add(
                "children-left",
                "informational",
                link,
                left,
                "its children stay, untagged, and hold their bytes until deleted",
            )
    return hazards


def parents_of(content: Content, names: Names, state: State, links: set[int]) -> dict[int, list[int]]:
    """Return the linked parent indexes of some links in their repositories. O(descriptors of indexes naming them)."""
    graph = content.graph()
    indptr, by_blob = content.manifests_by_blob()
    found: dict[int, list[int]] = {}
    for link in links:
        if state.read("parent_count")[link] == 0:
            continue
        own = graph.own[names.links.second[link]]
        above = by_blob[indptr[own] : indptr[own + 1]]
        found[link] = _linked_here(names, state, link, above[graph.kind[above] == KIND_INDEX])
    return found


def _protected(content: Content, names: Names, state: State, deployed: Iterable[str]) -> dict[int, list[str]]:
    """Return the links that deployed digests protect, each with those digests: ancestors, descendants and referrers."""
    protected: dict[int, list[str]] = {}
    for digest in deployed:
        manifest = content.find_manifest(digest)
        if manifest == NULL:
            continue
        start = [int(row) for row in np.flatnonzero((names.links.second == manifest) & (state.read("linked") != 0))]

        def above(link: int) -> list[int]:
            return parents_of(content, names, state, {link}).get(link, [])

        def below(link: int) -> list[int]:
            return children_of(content, names, state, link) + referrers_of(content, names, state, link)

        for link in _reached(start, above) | _reached(start, below):
            protected.setdefault(link, []).append(digest)
    return protected


def _reached(start: Iterable[int], step: Callable[[int], list[int]]) -> set[int]:
    """Return the links that repeated steps reach from ``start``, which is among them."""
    seen = set(start)
    pending = list(seen)
    while pending:
        fresh = [link for link in step(pending.pop()) if link not in seen]
        seen.update(fresh)
        pending.extend(fresh)
    return seen
