"""Why a deletion frees what it frees, and what it will free: read from the graph, and from doing it on a branch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from quotasim import lookup
from quotasim.accounting import breakdown, sharing
from quotasim.accounting.reporting import reported_bytes, seen_from, shown_at
from quotasim.accounting.selection import Hazard, tags_of
from quotasim.engine import Engine
from quotasim.errors import CollectionAborted, Locked, Refused
from quotasim.kernels import NULL, layout
from quotasim.model.log import EventKind
from quotasim.model.oci import Role
from quotasim.model.totals import exact_sum
from quotasim.results import DeleteResult, HeldBlob, Preview, TimelineRow, Why

if TYPE_CHECKING:
    from quotasim.gc.schedule import GcSchedule
    from quotasim.registry import Registry


def why(engine: Engine, reference: str, link: int, exclusive: int) -> Why:
    """Return the blobs of the image rooted at ``link`` with their holders.

    Parameters
    ----------
    exclusive : the reference's exclusive bytes: they depend on which of its tags was named, the blobs do not.
    """
    content, names, state = engine.content, engine.names, engine.state
    graph = content.graph()
    rows = sharing.image_rows(content, names, state)
    labels = sharing.first_tags(names, state)
    owner = np.repeat(np.arange(rows.root.size), np.diff(rows.indptr))
    order = np.argsort(rows.links, kind="stable")
    row_of_link, sorted_links = owner[order], rows.links[order]

    members = sharing.members_of(content, names, state, rows, link)
    manifests = names.links.second[members]
    roles: dict[int, int] = {}
    for manifest in manifests.tolist():
        own = int(graph.own[manifest])
        roles[own] = roles.get(own, 0) | layout.ROLE_OWN
        if graph.kind[manifest] != layout.KIND_INDEX:
            for blob, role in zip(content.targets(manifest).tolist(), content.roles(manifest).tolist(), strict=True):
                roles[blob] = roles.get(blob, 0) | role
    indptr, by_blob = content.manifests_by_blob()
    links_of = _links_by_manifest(engine)
    titles: dict[int, str] = {}
    blobs = []
    for blob, role in roles.items():
        naming = by_blob[indptr[blob] : indptr[blob + 1]]
        naming = naming[graph.kind[naming] != layout.KIND_INDEX]
        if graph.blob_manifest[blob] != NULL:
            naming = np.append(naming, graph.blob_manifest[blob])
        holding = links_of(naming)
        start = np.searchsorted(sorted_links, holding, side="left")
        stop = np.searchsorted(sorted_links, holding, side="right")
        held = {int(row) for a, b in zip(start, stop, strict=True) for row in row_of_link[a:b]}
        others = []
        for row in held:
            if row not in titles:
                (titles[row],) = sharing.link_names(content, names, labels, rows.root[row : row + 1])
            if rows.root[row] != link:
                others.append(titles[row])
        known = graph.flags[blob] & layout.FLAG_UNKNOWN_SIZE == 0
        size = int(graph.size[blob]) if known else None
        blobs.append(HeldBlob(content.digest(blob), size, role_name(role), len(held), tuple(sorted(others))))
    blobs.sort(key=lambda held: (-(held.size or 0), held.digest))
    unique = exact_sum(graph.size[np.fromiter(roles, np.int64, len(roles))])
    repository = names.repositories.values[names.links.first[link]]
    return Why(
        reference=reference,
        manifest=content.digest(int(graph.own[names.links.second[link]])),
        tags=tuple(sorted(f"{repository}:{names.tag_label(tag)}" for tag in tags_of(names, state, link))),
        logical_bytes=exact_sum(graph.logical[np.unique(manifests)]),
        unique_bytes=unique,
        exclusive_bytes=exclusive,
        shared_bytes=unique - exclusive,
        blobs=tuple(blobs),
    )


def _links_by_manifest(engine: Engine):  # type: ignore[no-untyped-def]
    """Return a function from manifest rows to the links that are linked now, each look-up O(log L)."""
    linked = np.flatnonzero(engine.state.read("linked")).astype(np.int32)
    manifests = engine.names.links.second[linked]
    order = np.argsort(manifests, kind="stable")
    ordered, links = manifests[order], linked[order]

    def links_of(rows: np.ndarray) -> np.ndarray:
        start = np.searchsorted(ordered, rows, side="left")
        stop = np.searchsorted(ordered, rows, side="right")
        return np.concatenate([links[a:b] for a, b in zip(start, stop, strict=True)] or [links[:0]])

    return links_of


def role_name(role: int) -> str:
    """Return the roles of a blob in words."""
    names = [(layout.ROLE_OWN, "manifest"), (int(Role.CONFIG), "config"), (int(Role.LAYER), "layer")]
    return "+".join(name for bit, name in names if role & bit)


def preview(registry: Registry, remove: Callable[[Registry], DeleteResult], hazards: tuple[Hazard, ...]) -> Preview:
    """Remove something on a branch, let the kind's collection run until nothing is due, and read the branch's log.

    Collection by itself would take some things without the deletion too: a second branch, left alone, tells them apart.
    """
    before = registry.usage()
    untouched = registry.branch("without")
    _collect(untouched)
    changed = registry.branch("preview")
    first = len(changed.engine.log)
    at_once: tuple[str, ...] = ()
    with suppress(Locked, Refused):  # refused whole: the hazards say why
        at_once = remove(changed).deleted
    _collect(changed)
    after = changed.engine.figures()
    idle = untouched.engine.figures()["stored_bytes"]
    gone = np.flatnonzero(
        (registry.engine.state.read("linked") != 0)
        & (changed.engine.state.read("linked") == 0)
        & (untouched.engine.state.read("linked") != 0)
    )
    collected = {lookup.link_label(registry.engine, link) for link in gone.tolist()} - set(at_once)
    deleted = (*at_once, *sorted(collected))
    links = np.array([lookup.link_labelled(registry.engine, label) for label in deleted], np.int64)
    parts = breakdown.break_down(
        registry.engine.content,
        registry.engine.names,
        links,
        (registry.engine.ledger, registry.engine.state),
        (changed.engine.ledger, changed.engine.state),
        counts_foreign=registry.profile.counts_foreign,
    )
    freed = before.charged_bytes - after["charged_bytes"]
    return Preview(
        freed_charged_bytes=freed,
        freed_stored_bytes=before.stored_bytes - after["stored_bytes"],
        already_reclaimable_bytes=before.stored_bytes - idle,
        timeline=tuple(_timeline(changed.engine, first, before.charged_bytes, before.stored_bytes, before.as_of)),
        deleted=deleted,
        hazards=hazards,
        logical_bytes=parts.logical_bytes,
        repeated_bytes=parts.repeated_bytes,
        uncharged_bytes=parts.uncharged_bytes,
        shared_bytes=parts.shared_bytes,
        kept_bytes=parts.kept_bytes,
        other_freed_bytes=freed - parts.freed_bytes,
    )


def _collect(registry: Registry) -> None:
    """Let everything come back that will: by time where the kind collects by itself, else by one run of its
    collector, once every grace is over.
    """
    if (schedule := registry.engine.schedule) is not None:
        _run_schedule(registry, schedule)
        return
    if registry.profile.collection == "manual":
        if registry.profile.gc.grace:
            registry.engine.apply(until=registry.now + registry.profile.gc.grace)
        with suppress(CollectionAborted):  # it frees nothing then
            registry.apply(registry.plan_gc())
        return
    while (due := registry.engine.next_due()) is not None:
        registry.engine.apply(until=due)


def _run_schedule(registry: Registry, schedule: GcSchedule) -> None:
    """Let the scheduled runs happen, until one after every grace has nothing to do."""
    settled = registry.now + registry.profile.gc_policy(schedule.policy).grace
    idle = False
    while not idle or registry.now < settled:
        before = len(registry.engine.log)
        registry.let_pass(schedule.next_run)
        idle = len(registry.engine.log) - before <= 1  # the run itself
        schedule = schedule.after_run()


_CAUSES = {
    EventKind.DELETE: "delete",
    EventKind.UNTAG: "untag",
    EventKind.COLLECT: "collection of untagged manifests",
    EventKind.SWEEP: "sweep of released blobs",
    EventKind.UNLINK_BLOB: "an uploaded blob that no manifest named",
    EventKind.RECOUNT: "the vendor counts anew",
    EventKind.GC: "garbage collection, when it is run",
}


def _timeline(engine: Engine, first: int, charged: int, stored: int, start: int) -> list[TimelineRow]:
    """Return the totals at every time from ``start`` at which one of them changes."""
    log, profile, origin = engine.log, engine.profile, engine.state.origin
    display = (profile.report_lag, profile.report_every, origin)
    time, kind = log.column("time", first), log.column("kind", first)
    charged_deltas, stored_deltas = log.column("charged_bytes", first), log.column("stored_bytes", first)
    in_gc = np.cumsum(kind == EventKind.GC) > 0
    past = log.column("time")[max(engine.settled_events, 0) : first]
    pending = past[past > shown_at(start, *display)]
    happened = {*time.tolist(), *pending.tolist()}
    moments = sorted({start, *time.tolist(), *(seen_from(at, *display) for at in happened)})
    rows: list[TimelineRow] = []
    figures = engine.figures()
    counted = figures["charged_bytes"] + figures["drift_bytes"]
    for at in moments:
        for step in (False, True):  # a manual run follows the deletion at the same time, as a row of its own
            now = (time == at) & (in_gc == step)
            if step and not now.any():
                continue
            charged += exact_sum(charged_deltas[now])
            stored += exact_sum(stored_deltas[now])
            reported = reported_bytes(log, counted, shown_at(at, *display), engine.settled_events)
            if not any(display[:2]) and step is False and in_gc[time == at].any():  # the run's part is the next row's
                later = (time == at) & in_gc
                deltas = (log.column(name, first)[later] for name in ("charged_bytes", "drift_bytes"))
                reported -= sum(exact_sum(part) for part in deltas)
            kinds = sorted({int(k) for k in kind[now]})
            causes = [_CAUSES[EventKind(k)] for k in kinds if EventKind(k) in _CAUSES]
            if step:
                causes = [_CAUSES[EventKind.GC]]
            cause = ", ".join(causes) or ("now" if at == start else "the display follows")
            row = TimelineRow(at, charged, reported, stored, cause)
            if not rows or (row.charged_bytes, row.reported_bytes, row.stored_bytes) != (
                rows[-1].charged_bytes,
                rows[-1].reported_bytes,
                rows[-1].stored_bytes,
            ):
                rows.append(row)
    return rows
