"""The engine of one branch: catalogue, state, ledger and log, and the one way in which any of them changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import basis_bytes, scope_of_repositories
from quotasim.accounting.ledger import Ledger
from quotasim.accounting.reporting import reported_bytes, shown_at
from quotasim.errors import TimeReversed
from quotasim.gc.marking import Inventory
from quotasim.gc.policy import REFERRER_BITS
from quotasim.gc.schedule import GcSchedule
from quotasim.kernels import NULL, due, layout, replay, sharing
from quotasim.kernels.layout import Operations, Rules
from quotasim.model.content import Content, descriptor_rows
from quotasim.model.log import EventLog
from quotasim.model.names import Names
from quotasim.model.oci import Kind
from quotasim.model.state import State
from quotasim.model.totals import exact_sum
from quotasim.profiles.base import RegistryProfile

Array = npt.NDArray[Any]

_REFERRERS = {**REFERRER_BITS, "cascade": layout.REFERRERS_CASCADE}  # a collector never cascades
CHECKS = {
    "none": layout.CHECK_NONE,
    "used": layout.CHECK_USED,
    "missing": layout.CHECK_MISSING,
    "uploading": layout.CHECK_UPLOADING,
    "afterwards": layout.CHECK_AFTERWARDS,
}
"""What a profile says of a check point, as the kernels know it."""

_IMMUTABLE = {"off": layout.IMMUTABLE_OFF, "move": layout.IMMUTABLE_MOVE, "keep": layout.IMMUTABLE_KEEP}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call of :meth:`Engine.apply` did: its events are ``first_event`` up to ``next_event``."""

    first_event: int
    next_event: int
    refused: int
    needed_bytes: int


def operations(
    code: Array,
    time: Array,
    *,
    batch: Array | None = None,
    link: Array | None = None,
    tag: Array | None = None,
    blob: Array | None = None,
    repository: Array | None = None,
    upload: Array | None = None,
    amount: Array | None = None,
) -> Operations:
    """Return operations as columns in the order in which they apply: by batch, adds before drops, else as given.

    Parameters
    ----------
    code : int[n], OP_* of the kernels' layout.
    time : int64[n] microseconds, not decreasing.
    batch : int[n], equal and adjacent within a batch; None: all are one batch.
    link, tag, blob, repository, upload : int[n] rows; None: all NULL.
    amount : int64[n]; None: all 0.
    """
    count = code.shape[0]
    batches = np.zeros(count, np.int32) if batch is None else batch.astype(np.int32)
    drops = code >= layout.FIRST_DROP
    order = np.lexsort((drops, np.cumsum(np.diff(batches, prepend=batches[:1]) != 0))) if drops.any() else None

    def column(values: Array | None, dtype: Any) -> Array:
        if values is None:
            return np.full(count, NULL, dtype)
        return np.ascontiguousarray(values if order is None else values[order], dtype)

    return Operations(
        column(code, np.uint8),
        column(time, np.int64),
        column(batches, np.int32),
        column(link, np.int32),
        column(tag, np.int32),
        column(blob, np.int32),
        column(repository, np.int32),
        column(upload, np.int32),
        column(np.zeros(count, np.int64) if amount is None else amount, np.int64),
    )


_QUEUES = {
    layout.NEED_COLLECT: "collect",
    layout.NEED_SWEEP: "sweep",
    layout.NEED_CASCADE: "cascade",
    layout.NEED_PURGE: "purge",
    layout.NEED_LOOSE: "loose",
    layout.NEED_AGENDA: "agenda",
}

NO_OPERATIONS = operations(np.empty(0, np.uint8), np.empty(0, np.int64))


class Engine:
    """One branch. Content and names are shared with the other branches, the rest is its own.

    Parameters
    ----------
    profile : the rules.
    now : microseconds since the epoch, UTC.
    content, names : the catalogue; new ones by default.
    """

    def __init__(
        self, profile: RegistryProfile, now: int, content: Content | None = None, names: Names | None = None
    ) -> None:
        self.profile = profile
        self.content = content if content is not None else Content()
        self.names = names if names is not None else Names()
        self.state = State(now)
        self.ledger = Ledger(profile.scope, profile.basis, profile.role_mask, profile.limit)
        self.log = EventLog()
        self.next_batch = 0
        self.settled_events = 0
        self.replicas = 1
        self.seed: int | None = None
        self.read_only_runs = 0
        self.schedule: GcSchedule | None = None

    def branch(self) -> Engine:
        """Return an independent engine with the same past. O(columns); arrays are copied when first written."""
        other = Engine.__new__(Engine)
        other.__dict__.update(self.__dict__)
        other.state = self.state.branch()
        other.ledger = self.ledger.branch()
        other.log = self.log.branch()
        other.read_only_runs = 0  # the runs are not the branch's
        return other

    def sync(self) -> None:
        """Give every catalogue row its place in the columns."""
        self.state.sync(self.content, self.names)
        self.ledger.sync(self.content, self.names)

    def inventory(self) -> Inventory:
        """What a collector looks at; :meth:`sync` comes before it."""
        return Inventory(self.content, self.names, self.state, self.log)

    def add_links(self, repository: Array, manifest: Array) -> Array:
        """Return the link rows of (repository, manifest) pairs, int32[n], adding new ones. O(n + children of indexes).

        An index brings rows for its children too: the kernel counts parents there and cannot make rows.
        """
        graph = self.content.graph()
        is_index = graph.kind[manifest] == Kind.INDEX
        links = self.names.links.add_all(repository, manifest)
        if is_index.any():
            parents = manifest[is_index]
            counts = graph.indptr[parents + 1] - graph.indptr[parents]
            child = graph.blob_manifest[graph.target[descriptor_rows(self.content, parents)]]
            known = child != NULL
            self.names.links.add_all(np.repeat(repository[is_index], counts)[known], child[known])
        return links

    def blobs_of(self, manifest: int) -> Array:
        """Return the distinct blobs of a manifest, its own bytes first; an index has only those."""
        graph = self.content.graph()
        own = graph.own[manifest : manifest + 1]
        if graph.kind[manifest] == Kind.INDEX:
            return own
        return np.concatenate((own, self.content.targets(manifest)))

    def rules(self, until: int, *, importing: bool = False, unconditional: bool = False) -> Rules:
        """Return the profile as numbers for the kernels."""
        profile = self.profile
        refuses = not (importing or unconditional)
        expires = profile.delete_by_tag == "expire"
        keeps_deleted = profile.restorable_for is not None and not expires and not importing
        waits = profile.restorable_for if keeps_deleted else profile.untagged_after
        loose_after = None if importing else profile.loose_blobs_after
        return Rules(
            mode=self.ledger.mode,
            scope=int(profile.scope),
            basis=int(profile.basis),
            role_mask=profile.role_mask,
            counts_foreign=int(profile.counts_foreign),
            reject_at_limit=int(profile.reject_at_limit),
            limited=int(self.ledger.is_limited and not importing),
            automatic=int(profile.collection == "automatic" and not importing),
            untagged_after=NULL if waits is None else waits,
            sweep_after=profile.sweep_after,
            referrers=_REFERRERS[profile.referrers],
            stale_blob_links=int(profile.stale_blob_links),
            untagged_pushes=int(profile.collects_untagged_pushes and not importing),
            children_go=int(profile.children_go),
            keeps_children=int(profile.child_refusal is not None and refuses),
            keeps_subjects=int(profile.referrer_refusal is not None and refuses),
            last_tag=int(profile.delete_by_tag == "last tag"),
            expires=int(expires and not unconditional),
            most_tags=NULL if profile.most_tags_on_delete is None or not refuses else profile.most_tags_on_delete,
            immutable_tags=_IMMUTABLE[profile.immutable_tags] if refuses else layout.IMMUTABLE_OFF,
            origin=self.state.origin,
            collect_batch=profile.collect_batch or 0,
            jitter=0 if self.seed is None else profile.review_jitter,
            seed=self.seed or 0,
            collect_every=profile.collect_every,
            purges=int(profile.uploads_purged_after is not None and not importing),
            purge_after=profile.uploads_purged_after or 0,
            purge_every=profile.uploads_purged_every,
            loose_after=NULL if loose_after is None else loose_after,
            keeps_deleted=int(keeps_deleted),
            quarantines=int(profile.quarantine and not importing),
            recounts=int(profile.recounts),
            read_only=int(self.read_only_runs > 0),
            uncounting=int(self.ledger.uncounted.any()),
            reserves=int(profile.reserves),
            check_post=CHECKS[profile.check_post],
            check_patch=CHECKS[profile.check_patch],
            check_put_blob=CHECKS[profile.check_put_blob],
            check_put_manifest=CHECKS[profile.check_put_manifest],
            check_mount=CHECKS[profile.check_mount],
            check_copy=CHECKS[profile.check_copy],
            patch_cancels=int(profile.patch_refusal_cancels),
            refused_after=profile.refused_after,
            special=int(self.content.has_special_blobs),
            until=until,
        )

    def apply(
        self,
        ops: Operations = NO_OPERATIONS,
        until: int | None = None,
        *,
        importing: bool = False,
        unconditional: bool = False,
        unlimited: bool = False,
        cause: int = NULL,
    ) -> Outcome:
        """Apply operations and let time pass to ``until``; the only way in which state changes.

        Parameters
        ----------
        ops : made by :func:`operations`; batches are numbered from 0 within the call.
        until : microseconds; by default the last operation's time. What falls due by then happens.
        importing : what is loaded was accepted and kept elsewhere: nothing is refused at a limit, nothing falls due.
        unlimited : nothing is refused at a limit.
        cause : the event that made these operations happen, or NULL.
        unconditional : what is deleted goes at once, whatever the kind would answer to a client who deletes it alone.

        Raises
        ------
        TimeReversed : an operation or ``until`` lies before the registry's time. Nothing is changed.

        Notes
        -----
        O(references touched + operations + what falls due).
        """
        count = ops.code.shape[0]
        end = until if until is not None else (int(ops.time[-1]) if count else self.state.now)
        first_time = int(ops.time[0]) if count else end
        if min(first_time, end) < self.state.now:
            raise TimeReversed(self.state.now, min(first_time, end))
        if count and end < int(ops.time[-1]):
            raise TimeReversed(int(ops.time[-1]), end)
        if count and np.any(np.diff(ops.time) < 0):
            at = int(np.flatnonzero(np.diff(ops.time) < 0)[0])
            raise TimeReversed(int(ops.time[at]), int(ops.time[at + 1]))
        self.sync()
        state, log, cursor = self.state, self.log, self.state.cursor
        if np.any(ops.code == layout.OP_PULL):
            state.materialise_pulls()
        if count:
            ops = ops._replace(batch=ops.batch + np.int32(self.next_batch - int(ops.batch[0])))
        cursor[layout.CURSOR_OPERATION] = 0
        cursor[layout.CURSOR_PHASE] = layout.PHASE_BEFORE
        cursor[layout.CURSOR_LOG] = log.own_length
        cursor[layout.CURSOR_EVENT_BASE] = log.base
        cursor[layout.CURSOR_CAUSE] = cause
        cursor[layout.CURSOR_REMOVED_LINK] = NULL
        cursor[layout.CURSOR_LOOSE_BLOB] = NULL
        cursor[layout.CURSOR_REFUSED] = 0
        cursor[layout.CURSOR_NEEDED] = 0
        first_event = len(log)
        log.reserve(count + 2)
        graph, names = self.content.graph(), self.names.arrays()
        if self.ledger.counts_blob_links:
            of_blob = (ops.blob != NULL) & (ops.repository != NULL)
            scope = scope_of_repositories(self.names, self.profile.scope, ops.repository[of_blob])
            self.ledger.add_blobs(graph, scope, ops.blob[of_blob])
        rules = self.rules(end, importing=importing, unconditional=unconditional)
        if unlimited:
            rules = rules._replace(limited=0)
        while True:
            short = replay.apply_operations(
                graph, names, state.holdings(), rules, self.ledger.arrays(graph), state.queues(), cursor, ops, log.rows
            )
            log.commit(int(cursor[layout.CURSOR_LOG]))
            if short == layout.DONE:
                break
            self._make_room(short, int(cursor[layout.CURSOR_SHORT]), count - int(cursor[layout.CURSOR_OPERATION]))
        if count:
            self.next_batch = int(ops.batch[-1]) + 1
        state.changed(end)
        return Outcome(first_event, len(log), int(cursor[layout.CURSOR_REFUSED]), int(cursor[layout.CURSOR_NEEDED]))

    def linked_in(self, repository: int) -> Array:
        """Return the links of a repository that are not deleted and kept, in digest order."""
        self.sync()
        linked = self.state.read("linked")
        links = np.flatnonzero((self.names.links.first == repository) & (linked != 0))
        links = links[self.state.read("deleted")[links] == 0]
        return np.asarray(links[np.argsort(self.content.digests(self._own_of(links)), kind="stable")])

    def _own_of(self, links: Array) -> Array:
        return self.content.graph().own[self.names.links.second[links]]

    def delete_repository(self, repository: int, at: int) -> Outcome:
        """Delete everything linked in a repository, in digest order, then its uploaded blobs; one batch each."""
        links = self.linked_in(repository)
        before = len(self.log)
        outcome = self.apply(
            operations(
                np.full(links.size, layout.OP_DELETE, np.uint8),
                np.full(links.size, at, np.int64),
                link=links,
                repository=np.full(links.size, repository),
            ),
            until=at,
            unconditional=True,
        )
        # Asked for only now: the deletion may have left links to blobs.
        repositories, blobs = self.state.explicit_blob_links()
        mine = blobs[repositories == repository]
        if mine.size:
            last = self.apply(
                operations(
                    np.full(mine.size, layout.OP_UNLINK_BLOB, np.uint8),
                    np.full(mine.size, at, np.int64),
                    blob=mine,
                    repository=np.full(mine.size, repository),
                ),
                until=at,
            )
            return Outcome(before, last.next_event, outcome.refused, outcome.needed_bytes)
        return Outcome(before, outcome.next_event, outcome.refused, outcome.needed_bytes)

    def _make_room(self, short: int, rows: int, remaining: int) -> None:
        """Give the kernel what it lacks for its next step, and for the steps likely to follow."""
        state = self.state
        if short == layout.NEED_LOG:
            self.log.reserve(rows + remaining // 2)
        elif short in _QUEUES:
            state.widen_queue(_QUEUES[short], rows)
        else:
            state.grow_blob_links(rows)

    def next_due(self) -> int | None:
        """Return the time at which the next candidate or released blob falls due, or None. Entries may turn out to
        be void.
        """
        when = due.next_due(
            self.names.arrays(), self.rules(self.state.now), self.state.waiting_queues(), self.state.cursor
        )
        return None if when == NULL else max(int(when), self.state.now)

    def storable(self) -> Array:
        """Return which blobs the kind puts on disk, bool[B]: all, but foreign layers only where it counts them."""
        foreign = (self.content.graph().flags & layout.FLAG_FOREIGN) != 0
        return np.asarray(~foreign | self.profile.counts_foreign)

    def lost_blobs(self) -> Array:
        """Return the blobs that a live manifest holds and a collector swept all the same, int64[n]. O(blobs)."""
        held = self.state.read("holders") > 0
        return np.flatnonzero(held & self.storable() & (self.state.read("stored") == 0))

    # --- checking ---------------------------------------------------------------------------------------------
    def live_manifests(self) -> Array:
        """Return uint8[M], 1 where some repository links the manifest; counted from the links alone."""
        live = np.zeros(self.content.manifest_count, np.uint8)
        links = np.flatnonzero(self.state.read("linked"))
        live[self.names.links.second[links]] = 1
        return live

    def recompute(self) -> dict[str, int]:
        """Return the registry's figures counted from scratch: links, tags, stored flags and sizes, no running total."""
        self.sync()
        graph, state, profile = self.content.graph(), self.state, self.profile
        live = self.live_manifests()
        holders = np.zeros(self.content.blob_count, np.int32)
        sharing.recount(graph, live, holders)
        alive = holders > 0
        foreign = (graph.flags & layout.FLAG_FOREIGN) != 0
        unknown = (graph.flags & layout.FLAG_UNKNOWN_SIZE) != 0
        charged = basis_bytes(
            self.content,
            self.names,
            state,
            profile.scope,
            profile.basis,
            role_mask=profile.role_mask,
            counts_foreign=profile.counts_foreign,
        )
        return {
            "logical_bytes": exact_sum(graph.logical[live != 0]),
            "unique_bytes": exact_sum(graph.size[alive]),
            "foreign_bytes": exact_sum(graph.size[alive & foreign]),
            "charged_bytes": sum(charged),
            "stored_bytes": exact_sum(graph.size[state.read("stored") != 0]),
            "upload_bytes": exact_sum(state.read("upload_bytes")),
            "drift_bytes": sum(self.ledger.drifts()),
            "unknown_size_count": int(np.count_nonzero(alive & unknown)),
            "live_manifests": int(np.count_nonzero(live)),
            "live_blobs": int(np.count_nonzero(alive)),
            "links": int(np.count_nonzero(state.read("linked"))),
            "bindings": int(np.count_nonzero(state.read("tag_link") != NULL)),
        }

    def reported_bytes(self) -> int:
        """Return what the vendor's display shows now. O(log n + events that it does not show yet)."""
        profile, figures = self.profile, self.figures()
        shown = shown_at(self.state.now, profile.report_lag, profile.report_every, self.state.origin)
        return reported_bytes(self.log, figures["charged_bytes"] + figures["drift_bytes"], shown, self.settled_events)

    def figures(self) -> dict[str, int]:
        """Return the same figures as :meth:`recompute`, from the running totals. O(1)."""
        total = self.state.total
        return {
            "logical_bytes": total(layout.TOTAL_LOGICAL),
            "unique_bytes": total(layout.TOTAL_UNIQUE),
            "foreign_bytes": total(layout.TOTAL_FOREIGN),
            "charged_bytes": total(layout.TOTAL_CHARGED),
            "stored_bytes": total(layout.TOTAL_STORED),
            "upload_bytes": total(layout.TOTAL_UPLOADS),
            "drift_bytes": total(layout.TOTAL_DRIFT),
            "unknown_size_count": total(layout.TOTAL_UNKNOWN),
            "live_manifests": total(layout.TOTAL_MANIFESTS),
            "live_blobs": total(layout.TOTAL_BLOBS),
            "links": total(layout.TOTAL_LINKS),
            "bindings": total(layout.TOTAL_BINDINGS),
        }
