"""Marking: from a policy's roots to what must stay, one repository after another; what is left is garbage."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.errors import CollectionAborted
from quotasim.gc.policy import REFERRER_BITS, GcPolicy, walk_key
from quotasim.kernels import NULL, layout, mark
from quotasim.model.content import Content
from quotasim.model.log import EventLog
from quotasim.model.names import Names
from quotasim.model.state import State

Array = npt.NDArray[Any]

BEFORE_ALL_TIME = np.iinfo(np.int64).min // 2


@dataclass(frozen=True, slots=True)
class Garbage:
    """Rows that a policy calls garbage: the plan before names are looked up."""

    links: Array
    blob_links: Array
    blobs: Array
    visited_references: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a collector looks at: content and names, and one registry's state and log."""

    content: Content
    names: Names
    state: State
    log: EventLog


class Marking:
    """The marks of one run, filled walk by walk. The registry may change between two walks, and before the listing.

    Attributes
    ----------
    policy : what counts as garbage.
    since : an event; manifests that were pushed in it or later are roots like tagged ones. None: no event is.
    threads : threads that mark blobs, and list what is unmarked; what comes out is the same for any number.
    visited_references : references that marking has looked at so far.
    """

    def __init__(self, policy: GcPolicy, since: int | None = None, threads: int = 1) -> None:
        self.policy = policy
        self.since = since
        self.threads = threads
        self.visited_references = 0
        self._marked = np.zeros(0, np.uint8)  # [B]
        self._turns = 0
        self._turn = np.zeros(0, np.int32)  # [B] the turn in which a blob was marked; 0: it is not
        self._links: list[Array] = []  # what the walks found untagged
        self._blob_links: list[Array] = []  # what they found unmarked

    def walk(self, inventory: Inventory, at: int, repositories: Array | None = None) -> None:
        """Mark what must stay because of some repositories.

        Parameters
        ----------
        at : microseconds since the epoch; grace is counted back from here.
        repositories : int rows in the order of the walk; None: all.

        Raises
        ------
        CollectionAborted : the run fails at one of them (``needs_blobs``, ``tagless`` of the policy).

        Notes
        -----
        O(references of kept manifests + links + blobs), however few the repositories are.
        """
        policy, state = self.policy, inventory.state
        if policy.needs_blobs and not np.any(state.read("stored_event") != NULL):
            raise CollectionAborted
        walked = np.ones(len(inventory.names.repositories), np.uint8)
        if repositories is not None:
            walked[:] = 0
            walked[repositories] = 1
        _leave_out(inventory, policy, walked)
        linked = _readable_links(inventory, walked)
        roots = self._roots(inventory, linked, at)
        if policy.marks == "in turn":
            self._turn = _grown(self._turn, inventory.content.blob_count)
            self._mark_in_turn(inventory, linked, roots, repositories)
        else:
            self._marked = _grown(self._marked, inventory.content.blob_count)
            self._mark(inventory, linked, roots)

    def _roots(self, inventory: Inventory, linked: Array, at: int) -> Array:
        """Return the links to mark from, uint8[L]; those that are skipped are not among them, and not in ``linked``
        any more.
        """
        policy, names, state = self.policy, inventory.names, inventory.state
        if policy.roots == "ALL":
            return linked.copy()
        if policy.tagless != "walk":
            tagged = np.zeros(len(names.repositories), bool)
            tagged[names.tag_repository[state.read("tag_event") != NULL]] = True
            never = (linked != 0) & ~tagged[names.links.first]
            if policy.tagless == "fail" and never.any():
                rows = np.unique(names.links.first[never]).tolist()
                raise CollectionAborted(min((names.repositories.values[row] for row in rows), key=walk_key))
            linked[never] = 0
        keep = (state.read("tag_count") > 0) & (linked != 0)
        stays = bool(REFERRER_BITS[policy.referrers] & layout.REFERRERS_STAY)
        refers = np.zeros(0, bool)
        if stays or policy.referrers == "depend":
            refers = inventory.content.graph().subject[names.links.second] != NULL
        if policy.referrers == "depend":
            keep &= ~refers
        if policy.grace:
            pushed = inventory.log.times_of(state.read("link_event"), absent=BEFORE_ALL_TIME)
            untagged = inventory.log.times_of(state.read("untagged_event"), absent=BEFORE_ALL_TIME)
            used = np.maximum(pushed, untagged)
            pulled = state.read("pulled_at")
            if policy.counts_pulls and pulled.size:
                used = np.maximum(used, np.where(pulled == NULL, BEFORE_ALL_TIME, pulled))
            keep |= (linked != 0) & (used > at - policy.grace)
        if self.since is not None:
            keep |= (linked != 0) & (state.read("link_event") >= self.since)
        if stays:
            keep |= (linked != 0) & refers
        return np.asarray(keep, np.uint8)

    def _mark(self, inventory: Inventory, linked: Array, keep: Array) -> None:
        """Mark what the roots reach in their own repositories."""
        policy, graph, arrays = self.policy, inventory.content.graph(), inventory.names.arrays()
        if policy.roots == "TAGS":
            scratch = np.empty(linked.shape[0], np.int32)
            recursive = int(policy.index_children == "recursive")
            mark.mark_links(graph, arrays, linked, recursive, REFERRER_BITS[policy.referrers], keep, scratch)
        live = np.zeros(inventory.content.manifest_count, np.uint8)
        mark.live_manifests(arrays.link_manifest, keep, live)
        parts = in_parts(lambda *part: mark.mark_blobs(graph, live, *part, self._marked), live.size, self.threads)
        self.visited_references += sum(int(visited) for _, visited in parts)
        self._links.append(np.flatnonzero((linked != 0) & (keep == 0)).astype(np.int32))

    def _mark_in_turn(self, inventory: Inventory, linked: Array, roots: Array, repositories: Array | None) -> None:
        """Mark what the roots reach, repository by repository; and note the blob links that are unmarked by then."""
        names, graph = inventory.names, inventory.content.graph()
        if repositories is None:
            values = names.repositories.values
            repositories = np.array(sorted(range(len(values)), key=lambda row: walk_key(values[row])), np.int64)
        turns = np.zeros(len(names.repositories), np.int32)
        turns[repositories] = np.arange(self._turns + 1, self._turns + 1 + len(repositories))
        self._turns += len(repositories)
        chosen = np.flatnonzero(roots).astype(np.int32)
        chosen = chosen[np.argsort(turns[names.links.first[chosen]], kind="stable")]
        stack = np.empty(inventory.content.manifest_count + 1, np.int32)
        self.visited_references += int(
            mark.mark_in_turn(graph, names.arrays(), chosen, turns, linked, self._turn, stack)
        )
        self._links.append(np.flatnonzero((linked != 0) & (roots == 0)).astype(np.int32))
        if self.policy.drops_blob_links == "unmarked":
            # Whatever a root names is marked in its turn at the latest.
            pairs = _blob_links(inventory, np.flatnonzero((inventory.state.read("linked") != 0) & (roots == 0)))
            pairs = pairs[(turns[pairs[:, 0]] > 0) & (inventory.state.read("stored")[pairs[:, 1]] != 0)]
            marked = self._turn[pairs[:, 1]]
            if not self.policy.honour_sha512:
                marked[(graph.flags[pairs[:, 1]] & layout.FLAG_SHA512) != 0] = 0
            self._blob_links.append(pairs[(marked == 0) | (marked > turns[pairs[:, 0]])])

    def garbage(self, inventory: Inventory, at: int) -> Garbage:
        """List what is not marked now that all repositories are walked; rows in ascending order. O(blobs)."""
        policy, state = self.policy, inventory.state
        # One walk has listed links in order, each once.
        one = len(self._links) == 1
        links = self._links[0] if one else np.unique(np.concatenate([np.empty(0, np.int32), *self._links]))
        marked = _grown(self._marked, inventory.content.blob_count)
        if policy.marks == "in turn":
            marked[: self._turn.size] = self._turn != 0
            links = links[marked[inventory.content.graph().own[inventory.names.links.second[links]]] == 0]
        linked_blobs = state.explicit_blob_links()[1]
        if not policy.honour_sha512:
            mark.unmark_sha512(inventory.content.graph().flags, marked)
        if policy.honour_blob_links:
            marked[linked_blobs] = 1
        stored, out = state.read("stored"), np.empty(inventory.content.blob_count, np.int32)
        parts = in_parts(lambda *part: mark.unmarked(stored, marked, *part, out), out.size, self.threads)
        blobs = np.concatenate([out[first : first + found] for first, found in parts])
        if policy.grace and blobs.size:
            blobs = blobs[self._placed(inventory, blobs) <= at - policy.grace]
        return Garbage(links, self._dropped(inventory, links, marked, at), blobs, self.visited_references)

    def _placed(self, inventory: Inventory, blobs: Array) -> Array:
        """Return from when on grace is counted for some blobs, int64."""
        placed = inventory.log.times_of(inventory.state.read("stored_event")[blobs], absent=BEFORE_ALL_TIME)
        if self.policy.blob_grace == "stored or released":
            released = inventory.log.times_of(inventory.state.read("released_event")[blobs], absent=BEFORE_ALL_TIME)
            placed = np.maximum(placed, released)
        return np.asarray(placed)

    def _dropped(self, inventory: Inventory, links: Array, marked: Array, at: int) -> Array:
        """Return the blob links that are taken away, int32[n, 2], sorted."""
        policy, state = self.policy, inventory.state
        if policy.drops_blob_links == "never":
            return np.empty((0, 2), np.int32)
        if policy.drops_blob_links == "idle":
            pairs = _blob_links(inventory, links[:0])
            placed = inventory.log.times_of(state.read("stored_event")[pairs[:, 1]], absent=BEFORE_ALL_TIME)
            return np.asarray(pairs[(placed <= at - policy.grace) | (state.read("stored")[pairs[:, 1]] == 0)])
        if policy.marks == "in turn":
            pairs = np.concatenate([np.empty((0, 2), np.int32), *self._blob_links])
        else:
            pairs = _blob_links(inventory, links)
            pairs = pairs[(marked[pairs[:, 1]] == 0) & (state.read("stored")[pairs[:, 1]] != 0)]
        placed = inventory.log.times_of(state.read("stored_event")[pairs[:, 1]], absent=BEFORE_ALL_TIME)
        return np.asarray(pairs[placed <= at - policy.grace])


def in_parts(part: Callable[[int, int], int], count: int, threads: int) -> list[tuple[int, int]]:
    """Call ``part(first, last)`` for as many ranges of ``count`` rows as there are threads, one in each; kernels let
    the others run. Returns (first, what came back) in order.
    """
    cuts = [count * k // threads for k in range(threads + 1)]
    if threads == 1:
        return [(0, part(0, count))]
    return list(zip(cuts[:-1], _pool(threads).map(part, cuts[:-1], cuts[1:]), strict=True))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay: to start them takes as long as they save."""
    return ThreadPoolExecutor(threads)


def _grown(column: Array, size: int) -> Array:
    """Return a column with room for what has come since, all 0."""
    if column.size == size:
        return column
    grown = np.zeros(size, column.dtype)
    grown[: column.size] = column
    return grown


def _leave_out(inventory: Inventory, policy: GcPolicy, walked: Array) -> None:
    """Clear, in uint8[R], the repositories that a walk over those with blobs does not come upon."""
    if policy.repositories == "ALL":
        return
    found = np.zeros_like(walked)
    log = inventory.log
    found[log.column("repository")[log.column("kind") == layout.OP_UPLOAD]] = 1
    mark.repositories_with_blobs(
        inventory.content.graph(), inventory.names.arrays(), inventory.state.read("link_event"), found
    )
    walked &= found


def _readable_links(inventory: Inventory, walked: Array) -> Array:
    """Return the links that a collector comes upon, uint8[L]: of the repositories that it walks, those whose manifest
    is on disk to be read. The others are no roots, and stay.
    """
    linked = inventory.state.read("linked")
    if walked.all() and not inventory.state.cursor[layout.CURSOR_LOST]:
        return linked.copy()
    readable = np.empty_like(linked)
    mark.readable_links(
        inventory.content.graph(), inventory.names.arrays(), linked, walked, inventory.state.read("stored"), readable
    )
    return readable


def _blob_links(inventory: Inventory, links: Array) -> Array:
    """Return explicit blob links, and those to the content of some links' manifests unless deleted there, int32[n, 2],
    sorted.
    """
    explicit = np.column_stack(inventory.state.explicit_blob_links()).astype(np.int32)
    if not links.size:
        return explicit
    graph, names = inventory.content.graph(), inventory.names
    images = links[graph.kind[names.links.second[links]] != layout.KIND_INDEX]
    manifests = names.links.second[images].astype(np.int64)
    first, count = graph.indptr[manifests], graph.indptr[manifests + 1] - graph.indptr[manifests]
    ends = np.cumsum(count)
    rows = np.arange(int(count.sum())) + np.repeat(first - (ends - count), count)
    blobs = graph.target[rows].astype(np.int64)
    keys = (np.repeat(names.links.first[images].astype(np.int64), count) << layout.WORD) | blobs
    gone_from, gone = (part.astype(np.int64) for part in inventory.state.removed_blob_links())
    keys = keys[~np.isin(keys, (gone_from << layout.WORD) | gone)]
    keys = np.union1d(keys, (explicit[:, 0].astype(np.int64) << layout.WORD) | explicit[:, 1])
    return np.column_stack((keys >> layout.WORD, keys & layout.WORD_MASK)).astype(np.int32)


def find_garbage(
    inventory: Inventory, policy: GcPolicy, at: int, since: int | None = None, threads: int = 1
) -> Garbage:
    """Mark from the policy's roots and list what is left.

    Parameters
    ----------
    at : microseconds since the epoch; grace is counted back from here.
    since, threads : as of :class:`Marking`.

    Returns
    -------
    Rows in ascending order. Nothing is changed.

    Raises
    ------
    CollectionAborted : a run would fail (``needs_blobs``, ``tagless`` of the policy).

    Notes
    -----
    O(references of kept manifests + links + blobs). With ``roots="ALL"`` no link goes.
    """
    marking = Marking(policy, since, threads)
    marking.walk(inventory, at)
    return marking.garbage(inventory, at)
