"""Planning a garbage collection: pure, a value that can be read, kept, compared and applied once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.errors import CollectionAborted
from quotasim.gc.policy import REFERRER_BITS, GcPolicy
from quotasim.kernels import NULL, layout, mark
from quotasim.model.content import Content
from quotasim.model.log import EventLog
from quotasim.model.names import Names
from quotasim.model.state import State
from quotasim.model.totals import exact_sum

Array = npt.NDArray[Any]

BEFORE_ALL_TIME = np.iinfo(np.int64).min // 2


@dataclass(frozen=True, slots=True)
class GcPlan:
    """What one run of a collector would do, decided but not done.

    Attributes
    ----------
    version, stamp : of the state that it was made for; ``apply`` refuses it for any other.
    policy, at : the policy, and the time in microseconds since the epoch.
    links : int32[K], link rows to be removed, in repository and digest order.
    blob_links : int32[J, 2], explicit blob links to be taken away, as rows (repository, blob), in order of names.
    blobs : int32[N], blob rows to be swept, in digest order.
    removed : the links as (repository, digest).
    unlinked : the explicit blob links as (repository, digest).
    swept : the blobs' digests.
    reclaimable_bytes : what the sweep takes off the disk.
    visited_references : references that marking looked at.
    """

    version: int
    policy: GcPolicy
    at: int
    links: Array
    blob_links: Array
    blobs: Array
    reclaimable_bytes: int
    visited_references: int
    removed: tuple[tuple[str, str], ...]
    unlinked: tuple[tuple[str, str], ...]
    swept: tuple[str, ...]
    stamp: object = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Garbage:
    """Rows that a policy calls garbage: the plan before names are looked up."""

    links: Array
    blob_links: Array
    blobs: Array
    visited_references: int


def find_garbage(content: Content, names: Names, state: State, log: EventLog, policy: GcPolicy, at: int) -> Garbage:
    """Mark from the policy's roots and list what is left.

    Parameters
    ----------
    at : microseconds since the epoch; grace is counted back from here.

    Returns
    -------
    Rows in ascending order. Nothing is changed.

    Raises
    ------
    CollectionAborted : a run would fail (``needs_blobs``, ``needs_tags`` of the policy).

    Notes
    -----
    O(references of kept manifests + links + blobs). With ``roots="ALL"`` no link goes.
    """
    graph, arrays = content.graph(), names.arrays()
    if policy.needs_blobs and not np.any(state.read("stored_event") != NULL):
        raise CollectionAborted
    linked = readable_links(content, names, state, log, policy)
    if policy.needs_tags and policy.roots == "TAGS":
        _refuse_without_tags(names, state, linked)
    if policy.roots == "ALL":
        keep = linked.copy()
    else:
        keep = ((state.read("tag_count") > 0) & (linked != 0)).astype(np.uint8)
        if policy.grace:
            pushed = log.times_of(state.read("link_event"), absent=BEFORE_ALL_TIME)
            untagged = log.times_of(state.read("untagged_event"), absent=BEFORE_ALL_TIME)
            used = np.maximum(pushed, untagged)
            pulled = state.read("pulled_at")
            if policy.counts_pulls and pulled.size:
                used = np.maximum(used, np.where(pulled == NULL, BEFORE_ALL_TIME, pulled))
            keep |= ((linked != 0) & (used > at - policy.grace)).astype(np.uint8)
        referrers = REFERRER_BITS[policy.referrers]
        if referrers & layout.REFERRERS_STAY:
            keep |= ((linked != 0) & (graph.subject[names.links.second] != NULL)).astype(np.uint8)
        mark.mark_links(
            graph,
            arrays,
            linked,
            int(policy.index_children == "recursive"),
            referrers,
            keep,
            np.empty(linked.shape[0], np.int32),
        )
    live = np.zeros(content.manifest_count, np.uint8)
    mark.live_manifests(arrays.link_manifest, keep, live)
    marked = np.zeros(content.blob_count, np.uint8)
    visited = mark.mark_blobs(graph, live, marked)
    repositories, linked_blobs = state.explicit_blob_links()
    if not policy.honour_sha512:
        mark.unmark_sha512(graph.flags, marked)
    if policy.honour_blob_links:
        marked[linked_blobs] = 1
    stored = state.read("stored")
    dropped = np.zeros(linked_blobs.shape[0], bool)
    if policy.drops_blob_links != "never":
        placed = log.times_of(state.read("stored_event")[linked_blobs], absent=BEFORE_ALL_TIME)
        dropped = (placed <= at - policy.grace) | (stored[linked_blobs] == 0)
        if policy.drops_blob_links == "unmarked":
            dropped &= marked[linked_blobs] == 0
    blob_links = np.column_stack((repositories, linked_blobs))[dropped].astype(np.int32)
    found = np.empty(content.blob_count, np.int32)
    garbage = found[: mark.unmarked(stored, marked, found)]
    if policy.grace and garbage.size:
        placed = log.times_of(state.read("stored_event")[garbage], absent=BEFORE_ALL_TIME)
        if policy.blob_grace == "stored or released":
            released = log.times_of(state.read("released_event")[garbage], absent=BEFORE_ALL_TIME)
            placed = np.maximum(placed, released)
        garbage = garbage[placed <= at - policy.grace]
    links = np.flatnonzero((linked != 0) & (keep == 0)).astype(np.int32)
    return Garbage(links, blob_links, garbage.copy(), int(visited))


def readable_links(content: Content, names: Names, state: State, log: EventLog, policy: GcPolicy) -> Array:
    """Return the links that a collector comes upon, uint8[L]: of the repositories that it walks, those whose manifest
    is on disk to be read. The others are no roots, and stay.
    """
    linked = state.read("linked")
    walked = np.ones(len(names.repositories), np.uint8)
    if policy.repositories == "WITH_BLOBS":
        walked[:] = 0
        uploaded = log.column("repository")[log.column("kind") == layout.OP_UPLOAD]
        walked[uploaded] = 1
        mark.repositories_with_blobs(content.graph(), names.arrays(), state.read("link_event"), walked)
    if walked.all() and not state.cursor[layout.CURSOR_LOST]:
        return linked
    readable = np.empty_like(linked)
    mark.readable_links(content.graph(), names.arrays(), linked, walked, state.read("stored"), readable)
    return readable


def _refuse_without_tags(names: Names, state: State, linked: Array) -> None:
    """Raise CollectionAborted at the first repository, in the order of a walk, with links and never a tag."""
    tagged = np.zeros(len(names.repositories), bool)
    tagged[names.tag_repository[state.read("tag_event") != NULL]] = True
    found = np.unique(names.links.first[linked != 0])
    never = [names.repositories.values[row] for row in found[~tagged[found]].tolist()]
    if never:
        raise CollectionAborted(min(never, key=lambda name: name.split("/")))


def reclaimable_bytes(content: Content, names: Names, state: State, log: EventLog, policy: GcPolicy, at: int) -> int:
    """Return the bytes that a run of ``policy`` at ``at`` would take off the disk; 0 where it would fail. Cost of
    :func:`find_garbage`.
    """
    try:
        garbage = find_garbage(content, names, state, log, policy, at)
    except CollectionAborted:
        return 0
    return exact_sum(content.graph().size[garbage.blobs])


def plan(content: Content, names: Names, state: State, log: EventLog, policy: GcPolicy, at: int) -> GcPlan:
    """Return the plan of a run of ``policy`` at ``at``. Pure; cost and errors of :func:`find_garbage`, and a sort of
    what goes.
    """
    garbage = find_garbage(content, names, state, log, policy, at)
    own = content.graph().own
    manifest_digests = content.digests(own[names.links.second[garbage.links]])
    repositories = [names.repositories.values[row] for row in names.links.first[garbage.links]]
    by_name = sorted(zip(repositories, manifest_digests, garbage.links.tolist(), strict=True))
    pairs = garbage.blob_links.tolist()
    unlinked = sorted(
        (names.repositories.values[repository], digest, repository, blob)
        for (repository, blob), digest in zip(pairs, content.digests(garbage.blob_links[:, 1]), strict=True)
    )
    by_digest = sorted(zip(content.digests(garbage.blobs), garbage.blobs.tolist(), strict=True))
    return GcPlan(
        version=state.version,
        policy=policy,
        at=at,
        links=np.array([link for _, _, link in by_name], np.int32),
        blob_links=np.array([row[2:] for row in unlinked], np.int32).reshape(-1, 2),
        blobs=np.array([blob for _, blob in by_digest], np.int32),
        reclaimable_bytes=exact_sum(content.graph().size[garbage.blobs]),
        visited_references=garbage.visited_references,
        removed=tuple((repository, digest) for repository, digest, _ in by_name),
        unlinked=tuple((repository, digest) for repository, digest, _, _ in unlinked),
        swept=tuple(digest for digest, _ in by_digest),
        stamp=state.stamp,
    )
