"""The tables of a snapshot: an engine as columns, and columns as an engine.

Row number = id, and the first column of a table says so, so that the tables can be joined by any tool. What is
NULL in memory is null in a file.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import scope_names
from quotasim.engine import Engine
from quotasim.kernels import NULL, layout
from quotasim.model.log import DTYPES, EventKind, Reason
from quotasim.model.names import StringIndex
from quotasim.model.oci import Kind as ManifestKind
from quotasim.model.oci import Role
from quotasim.model.state import QUEUES
from quotasim.snapshot.columns import Field, Kind, Labels, Table

__all__ = ["EVENTS", "KINDS", "LOG", "REASONS", "ROLES", "STATE", "TABLES", "TOTALS", "numbered", "tables_of"]

Array = npt.NDArray[Any]


def _id(name: str, over: str) -> Field:
    return Field(name, over=over)


def _maybe(name: str, over: str) -> Field:
    return Field(name, over=over, nullable=True)


_DELTAS: Final = (
    "bindings",
    "manifests",
    "blobs",
    "unique_bytes",
    "charged_bytes",
    "stored_bytes",
    "first_stored_bytes",
    "upload_bytes",
    "drift_bytes",
)

TABLES: Final[dict[str, tuple[Field, ...]]] = {
    "blobs": (
        _id("blob_id", "blobs"),
        Field("digest", Kind.DIGEST),
        Field("size", dtype=np.int64, nullable=True),
        Field("media_type", Kind.LABEL, nullable=True),
        Field("foreign", Kind.FLAG),
        Field("stored", Kind.FLAG),
        Field("holders"),
        _maybe("stored_event", "events"),
        _maybe("released_event", "events"),
    ),
    "manifests": (
        _id("manifest_id", "manifests"),
        _id("blob_id", "blobs"),
        Field("kind", Kind.LABEL),
        _maybe("subject_blob_id", "blobs"),
        Field("platform", Kind.LABEL, nullable=True),
        Field("artifact_type", Kind.LABEL, nullable=True),
        Field("logical_bytes", dtype=np.int64),
        Field("link_count"),
    ),
    "descriptors": (
        _id("manifest_id", "manifests"),
        _id("blob_id", "blobs"),
        Field("role", Kind.LABEL),
        Field("times"),
    ),
    "late_children": (_id("manifest_id", "manifests"), _id("index_id", "manifests")),
    "repositories": (
        _id("repository_id", "repositories"),
        Field("name", Kind.NAME),
        Field("namespace", Kind.LABEL),
        Field("lock", dtype=np.uint8),
    ),
    "tags": (
        _id("tag_id", "tags"),
        _id("repository_id", "repositories"),
        Field("name", Kind.LABEL),
        Field("platform", Kind.LABEL, nullable=True),
        _maybe("link_id", "links"),
        _maybe("tag_event", "events"),
        _maybe("tag_next", "tags"),
        _maybe("tag_previous", "tags"),
        Field("lock", dtype=np.uint8),
    ),
    "links": (
        _id("link_id", "links"),
        _id("repository_id", "repositories"),
        _id("manifest_id", "manifests"),
        Field("linked", Kind.FLAG),
        _maybe("link_event", "events"),
        _maybe("untagged_event", "events"),
        _maybe("first_tag", "tags"),
        Field("tag_count"),
        Field("parent_count"),
        Field("lock", dtype=np.uint8),
        Field("deleted", Kind.FLAG),
        Field("estimated", Kind.FLAG),
        Field("pulled_at", Kind.TIME, nullable=True),
    ),
    "blob_links": (
        _id("repository_id", "repositories"),
        _id("blob_id", "blobs"),
        Field("removed", Kind.FLAG),
        _maybe("event_id", "events"),
    ),
    "uploads": (
        _id("upload_id", "uploads"),
        _maybe("repository_id", "repositories"),
        _maybe("event_id", "events"),
        Field("received_bytes", dtype=np.int64),
        Field("reserved_bytes", dtype=np.int64, nullable=True),
        Field("open", Kind.FLAG),
    ),
    "events": (
        _id("event_id", "events"),
        Field("time", Kind.TIME),
        Field("kind", Kind.LABEL),
        Field("reason", Kind.LABEL),
        _maybe("repository_id", "repositories"),
        _maybe("manifest_id", "manifests"),
        _maybe("tag_id", "tags"),
        _maybe("blob_id", "blobs"),
        _maybe("cause", "events"),
        Field("batch", nullable=True),
        *(Field(name, dtype=DTYPES[name]) for name in _DELTAS),
    ),
    "scopes": (
        _id("scope_id", "scopes"),
        Field("name", Kind.NAME),
        Field("charged_bytes", Kind.TOTAL),
        Field("limit_bytes", Kind.TOTAL, nullable=True),
        Field("drift_bytes", Kind.TOTAL),
        Field("uncounted", Kind.FLAG),
    ),
    "scope_manifests": (
        _id("scope_id", "scopes"),
        _id("manifest_id", "manifests"),
        Field("links"),
        Field("supports"),
        Field("held", Kind.FLAG),
    ),
    "scope_blobs": (_id("scope_id", "scopes"), _id("blob_id", "blobs"), Field("count")),
    "collect_queue": (_id("link_id", "links"), _id("event_id", "events"), Field("time", Kind.TIME)),
    "sweep_queue": (_id("blob_id", "blobs"), _id("event_id", "events"), Field("time", Kind.TIME)),
    "purge_queue": (_id("upload_id", "uploads"), _id("event_id", "events"), Field("time", Kind.TIME)),
    "loose_queue": (
        _id("repository_id", "repositories"),
        _id("blob_id", "blobs"),
        _id("event_id", "events"),
        Field("time", Kind.TIME),
    ),
    "agenda": (
        Field("kind", Kind.LABEL),
        _maybe("link_id", "links"),
        _maybe("scope_id", "scopes"),
        _id("event_id", "events"),
        Field("time", Kind.TIME),
    ),
}
"""The columns of every table; the order in which tables are hashed, written and read."""

TOTALS: Final = {
    "bindings": layout.TOTAL_BINDINGS,
    "live_manifests": layout.TOTAL_MANIFESTS,
    "live_blobs": layout.TOTAL_BLOBS,
    "logical_bytes": layout.TOTAL_LOGICAL,
    "unique_bytes": layout.TOTAL_UNIQUE,
    "foreign_bytes": layout.TOTAL_FOREIGN,
    "unknown_size_count": layout.TOTAL_UNKNOWN,
    "charged_bytes": layout.TOTAL_CHARGED,
    "stored_bytes": layout.TOTAL_STORED,
    "links": layout.TOTAL_LINKS,
    "first_stored_bytes": layout.TOTAL_FIRST_STORED,
    "upload_bytes": layout.TOTAL_UPLOADS,
    "drift_bytes": layout.TOTAL_DRIFT,
}
"""Running totals by their name in ``snapshot.json``."""

LAST_RUN: Final = (layout.CURSOR_RUN_TIME, layout.CURSOR_RUN_COUNT, layout.CURSOR_RUN_REPOSITORY)
"""What ``snapshot.json`` keeps of the cursor."""

KINDS: Final = [kind.name.lower() for kind in ManifestKind]
EVENTS: Final = [EventKind(code).name if code in list(EventKind) else "" for code in range(max(EventKind) + 1)]
REASONS: Final = [Reason(code).name for code in range(max(Reason) + 1)]
ROLES: Final = ["|".join(str(role.name).lower() for role in Role if code & role) for code in range(2 * max(Role))]

# Columns of state beside their column here.
_BLOB_STATE: Final = {name: name for name in ("stored", "holders", "stored_event", "released_event")}
_TAG_STATE: Final = {
    "tag_link": "link_id",
    "tag_event": "tag_event",
    "tag_next": "tag_next",
    "tag_previous": "tag_previous",
    "tag_lock": "lock",
}
_LINK_STATE: Final = {
    "linked": "linked",
    "link_event": "link_event",
    "untagged_event": "untagged_event",
    "first_tag": "first_tag",
    "tag_count": "tag_count",
    "parent_count": "parent_count",
    "link_lock": "lock",
    "deleted": "deleted",
    "link_estimated": "estimated",
}
_UPLOAD_STATE: Final = {
    "upload_repository": "repository_id",
    "upload_event": "event_id",
    "upload_bytes": "received_bytes",
    "upload_reserved": "reserved_bytes",
    "upload_open": "open",
}
STATE: Final = {
    "blobs": _BLOB_STATE,
    "manifests": {"link_count": "link_count"},
    "repositories": {"repository_lock": "lock"},
    "tags": _TAG_STATE,
    "links": _LINK_STATE,
    "uploads": _UPLOAD_STATE,
}
LOG: Final = {"repository": "repository_id", "manifest": "manifest_id", "tag": "tag_id", "blob": "blob_id"}


# -- an engine as tables -------------------------------------------------------------------------------


def tables_of(engine: Engine) -> dict[str, Table]:
    """Everything an engine is but its profile and its counters; arrays of the engine itself where possible. O(rows)."""
    engine.sync()
    tables = {**_content(engine), **_names(engine), **_history(engine), **_charges(engine)}
    for table, columns in STATE.items():
        tables[table].update({column: engine.state.read(name) for name, column in columns.items()})
    return {name: {field.name: tables[name][field.name] for field in TABLES[name]} for name in TABLES}


def numbered(count: int) -> Array:
    """The ids of a table with ``count`` rows, int32."""
    return np.arange(count, dtype=np.int32)


def _optional(codes: Array, index: StringIndex) -> Labels:
    """Labels of rows of an index whose row 0 is the empty text: null."""
    return Labels.of(np.where(codes == 0, NULL, codes.astype(np.int32)), index.values)


def _content(engine: Engine) -> dict[str, Table]:
    content = engine.content
    graph = content.graph()
    blobs, manifests = numbered(content.blob_count), numbered(content.manifest_count)
    times = np.ones(content.descriptor_count, np.int32)
    repeated, extra = content.repeats
    times[repeated] += extra
    unknown = (graph.flags & layout.FLAG_UNKNOWN_SIZE) != 0
    return {
        "blobs": {
            "blob_id": blobs,
            "digest": content.digest_array(blobs),
            "size": np.where(unknown, NULL, graph.size),
            "media_type": _optional(content.media_type, content.media_types),
            "foreign": (graph.flags & layout.FLAG_FOREIGN != 0).astype(np.uint8),
        },
        "manifests": {
            "manifest_id": manifests,
            "blob_id": graph.own,
            "kind": Labels.of(graph.kind.astype(np.int32), KINDS),
            "subject_blob_id": graph.subject,
            "platform": _optional(content.platform, content.platforms),
            "artifact_type": _optional(content.artifact_type, content.artifact_types),
            "logical_bytes": graph.logical,
        },
        "descriptors": {
            "manifest_id": np.repeat(manifests, np.diff(graph.indptr)),
            "blob_id": graph.target,
            "role": Labels.of(graph.role.astype(np.int32), ROLES),
            "times": times,
        },
        "late_children": {"manifest_id": graph.late_child, "index_id": graph.late_index},
    }


def _names(engine: Engine) -> dict[str, Table]:
    names, state = engine.names, engine.state
    key = names.tags.first
    links = len(names.links)
    pulled = state.read("pulled_at")
    linked, removed = state.explicit_blob_links(), state.removed_blob_links()
    repository, blob = (np.concatenate((linked[k], removed[k])) for k in range(2))
    order = np.lexsort((blob, repository))
    return {
        "repositories": {
            "repository_id": numbered(len(names.repositories)),
            "name": list(names.repositories.values),
            "namespace": Labels.of(names.namespace, names.namespaces.values),
        },
        "tags": {
            "tag_id": numbered(len(names.tags)),
            "repository_id": names.tag_repository,
            "name": Labels.of(names.tag_keys.second[key], names.tag_names.values),
            "platform": _optional(names.tags.second, names.platforms),
        },
        "links": {
            "link_id": numbered(links),
            "repository_id": names.links.first,
            "manifest_id": names.links.second,
            "pulled_at": pulled if pulled.size else np.full(links, NULL, np.int64),
        },
        "blob_links": {
            "repository_id": repository[order],
            "blob_id": blob[order],
            "removed": order >= linked[0].size,
            "event_id": np.concatenate((state.blob_link_events(), np.full(removed[0].size, NULL)))[order],
        },
        "uploads": {"upload_id": numbered(len(state.read("upload_open")))},
    }


def _history(engine: Engine) -> dict[str, Table]:
    log, state = engine.log, engine.state
    collect, sweep, purge, loose, agenda = (state.waiting(name) for name in QUEUES)
    code, what = agenda[:, 0] >> layout.WORD, agenda[:, 0] & layout.WORD_MASK
    events: Table = {LOG.get(name, name): log.column(name) for name in DTYPES}
    events["event_id"] = numbered(len(log))
    events["kind"] = Labels.of(log.column("kind").astype(np.int32), EVENTS)
    events["reason"] = Labels.of(log.column("reason").astype(np.int32), REASONS)
    return {
        "events": events,
        "collect_queue": {"link_id": collect[:, 0], "event_id": collect[:, 1], "time": collect[:, 2]},
        "sweep_queue": {"blob_id": sweep[:, 0], "event_id": sweep[:, 1], "time": sweep[:, 2]},
        "purge_queue": {"upload_id": purge[:, 0], "event_id": purge[:, 1], "time": purge[:, 2]},
        "loose_queue": {
            "repository_id": loose[:, 0] >> layout.WORD,
            "blob_id": loose[:, 0] & layout.WORD_MASK,
            "event_id": loose[:, 1],
            "time": loose[:, 2],
        },
        "agenda": {
            "kind": Labels.of(code.astype(np.int32), EVENTS),
            "link_id": np.where(code == layout.OP_COLLECT, what, NULL),
            "scope_id": np.where(code == layout.OP_RECOUNT, what, NULL),
            "event_id": agenda[:, 1],
            "time": agenda[:, 2],
        },
    }


def _charges(engine: Engine) -> dict[str, Table]:
    ledger = engine.ledger
    manifests, blobs = ledger.counts(engine.content.graph())
    used: list[int | None] = [*ledger.used()]
    drifts: list[int | None] = [*ledger.drifts()]
    return {
        "scopes": {
            "scope_id": numbered(len(used)),
            "name": list(scope_names(engine.names, ledger.scope)),
            "charged_bytes": used,
            "limit_bytes": ledger.limits(),
            "drift_bytes": drifts,
            "uncounted": ledger.uncounted,
        },
        "scope_manifests": {
            "scope_id": (manifests[:, 0] >> layout.WORD).astype(np.int32),
            "manifest_id": (manifests[:, 0] & layout.WORD_MASK).astype(np.int32),
            "links": manifests[:, 1],
            "supports": manifests[:, 2],
            "held": manifests[:, 3],
        },
        "scope_blobs": {
            "scope_id": (blobs[:, 0] >> layout.WORD).astype(np.int32),
            "blob_id": (blobs[:, 0] & layout.WORD_MASK).astype(np.int32),
            "count": blobs[:, 1],
        },
    }
