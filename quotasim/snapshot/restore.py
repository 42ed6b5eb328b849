"""From the tables of a snapshot to an engine. Nothing is believed that can be checked while it is done."""

from __future__ import annotations

import itertools
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import scope_names
from quotasim.engine import Engine
from quotasim.errors import QuotaSimError
from quotasim.gc.schedule import GcSchedule
from quotasim.kernels import NULL, layout
from quotasim.model.content import Content, ManifestBatch
from quotasim.model.digests import DigestArray
from quotasim.model.log import DTYPES
from quotasim.model.names import StringIndex
from quotasim.model.totals import int_to_words
from quotasim.profiles.base import RegistryProfile
from quotasim.snapshot.columns import Labels, Table, Values
from quotasim.snapshot.header import Header
from quotasim.snapshot.tables import EVENTS, KINDS, LAST_RUN, LOG, REASONS, ROLES, STATE, TABLES, TOTALS, numbered

__all__ = ["WrongTable", "check_ids", "engine_of"]

Array = npt.NDArray[Any]
T = TypeVar("T")


class WrongTable(Exception):
    """A table contradicts itself or another one. Becomes a `SnapshotError` that names its file.

    Attributes
    ----------
    table : its name.
    reason : what is wrong with it.
    """

    def __init__(self, table: str, reason: str) -> None:
        self.table = table
        self.reason = reason
        super().__init__(table, reason)


def _number(tables: dict[str, Table], table: str, column: str) -> Array:
    return _typed(tables[table][column], np.ndarray)


def _typed(values: Values, kind: type[T]) -> T:
    """The values, known to be of the type that the column's kind has."""
    assert isinstance(values, kind)
    return values


def check_ids(tables: dict[str, Table], rows: dict[str, int]) -> None:
    """Verify that ids name rows that exist and that the rows of a table are numbered as they lie.

    Raises
    ------
    WrongTable
    """
    for table, fields in TABLES.items():
        for field in fields:
            if not field.over:
                continue
            values = _number(tables, table, field.name)
            if field.over == table and field is fields[0]:
                if not np.array_equal(values, numbered(rows[table])):
                    raise WrongTable(table, f"column {field.name!r} does not number the rows")
            elif values.size and (values.min() < (NULL if field.nullable else 0) or values.max() >= rows[field.over]):
                astray = int(values.max() if values.max() >= rows[field.over] else values.min())
                reason = f"column {field.name!r} names row {astray} of {field.over}, which has {rows[field.over]:,}"
                raise WrongTable(table, reason)


def engine_of(header: Header, profile: RegistryProfile, tables: dict[str, Table]) -> Engine:
    """The engine that `tables_of` was given, with that profile; ``tables`` are checked by `check_ids` already.

    Raises
    ------
    WrongTable : what the tables say contradicts itself.

    Notes
    -----
    The arrays of ``tables`` become the engine's own. O(rows).
    """
    engine = Engine(profile, header.now)
    _restore_content(engine, tables)
    _restore_names(engine, tables)
    _restore_state(engine, header, tables)
    _restore_charges(engine, tables)
    engine.next_batch = header.next_batch
    engine.settled_events = header.settled_events
    engine.sync()
    return engine


def _row_codes(tables: dict[str, Table], table: str, column: str, index: StringIndex) -> Array:
    """Rows of an index for a column of labels, whose null is the index's row 0."""
    labels = _typed(tables[table][column], Labels)
    rows = np.concatenate((index.add_all(labels.values), np.zeros(1, np.int32)))
    return rows[labels.codes]


def _known_codes(tables: dict[str, Table], table: str, column: str, known: list[str]) -> Array:
    """Places in ``known`` of a column of labels, uint8[n]."""
    labels = _typed(tables[table][column], Labels)
    strange = sorted(set(labels.values) - set(known))
    if strange:
        raise WrongTable(table, f"column {column!r} has {strange[0]!r}")
    return np.array([known.index(value) for value in labels.values], np.uint8)[labels.codes]


def _restore_content(engine: Engine, tables: dict[str, Table]) -> None:
    """Intern blobs and manifests as importers do, so that everything is checked as it is there."""
    content = engine.content
    digests = _typed(tables["blobs"]["digest"], DigestArray)
    descriptors = {name: _number(tables, "descriptors", name) for name in ("manifest_id", "blob_id", "times")}
    listed = descriptors["manifest_id"]
    own = _number(tables, "manifests", "blob_id")
    if np.any(listed[1:] < listed[:-1]):
        raise WrongTable("descriptors", "its rows are not in the order of their manifests")
    if listed.size and descriptors["times"].min() < 1:
        raise WrongTable("descriptors", "column 'times' has a number below 1")
    content.reserve(blobs=len(digests), manifests=own.size, references=listed.size)
    media_type = _row_codes(tables, "blobs", "media_type", content.media_types)
    table = "blobs"
    try:
        rows = _add_blobs(content, digests, _number(tables, "blobs", "size"), media_type)
        if not np.array_equal(rows, numbered(rows.size)):
            raise WrongTable("blobs", "a digest occurs twice")
        table = "manifests"
        rows = content.add_manifests(_manifests(engine, tables, own, descriptors))
    except QuotaSimError as error:
        raise WrongTable(table, str(error)) from error
    if not np.array_equal(rows, numbered(rows.size)):
        raise WrongTable("manifests", "a blob is two manifests")
    graph = content.graph()
    if not np.array_equal((graph.flags & layout.FLAG_FOREIGN) != 0, _number(tables, "blobs", "foreign") != 0):
        raise WrongTable("blobs", "column 'foreign' is not what the media types say")
    if not np.array_equal(graph.logical, _number(tables, "manifests", "logical_bytes")):
        raise WrongTable("manifests", "column 'logical_bytes' is not what the descriptors add up to")
    late = (_number(tables, "late_children", "manifest_id"), _number(tables, "late_children", "index_id"))
    content.restore_late(*late)


def _add_blobs(content: Content, digests: DigestArray, size: Array, media_type: Array) -> Array:
    """Intern blobs in the order of their rows; returns their rows. O(n), and a call for each change of algorithm."""
    # Given both algorithms at once, a catalogue numbers all sha256 digests first.
    cuts = np.flatnonzero(np.diff(digests.algorithm)) + 1
    rows = []
    for start, stop in itertools.pairwise([0, *cuts.tolist(), len(digests)]):
        algorithm = digests.algorithm[start:stop]
        wide = int(np.count_nonzero(digests.algorithm[:start])) if algorithm.any() else 0
        part = DigestArray(
            algorithm=algorithm,
            words256=digests.words256[start:stop],
            words512=digests.words512[wide : wide + int(np.count_nonzero(algorithm))],
        )
        rows.append(content.add_blobs(part, size[start:stop], media_type[start:stop]))
    return np.concatenate(rows)


def _manifests(engine: Engine, tables: dict[str, Table], own: Array, descriptors: dict[str, Array]) -> ManifestBatch:
    content, times = engine.content, descriptors["times"]
    counts = np.bincount(descriptors["manifest_id"], weights=None, minlength=own.size)
    role = _known_codes(tables, "descriptors", "role", ROLES)
    target = descriptors["blob_id"]
    if times.size and times.max() > 1:
        # Listed again right after the first time: folded, that is the same.
        counts = np.diff(np.concatenate(([0], np.cumsum(times, dtype=np.int64)))[np.append(0, np.cumsum(counts))])
        target, role = np.repeat(target, times), np.repeat(role, times)
    return ManifestBatch(
        blob=own,
        kind=_known_codes(tables, "manifests", "kind", KINDS),
        indptr=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))),
        target=target,
        role=role,
        subject=_number(tables, "manifests", "subject_blob_id"),
        platform=_row_codes(tables, "manifests", "platform", content.platforms),
        artifact_type=_row_codes(tables, "manifests", "artifact_type", content.artifact_types),
    )


def _restore_names(engine: Engine, tables: dict[str, Table]) -> None:
    names = engine.names
    names.add_repositories([str(name) for name in _typed(tables["repositories"]["name"], list)])
    if len(names.repositories) != _number(tables, "repositories", "repository_id").size:
        raise WrongTable("repositories", "a name occurs twice")
    namespaces = _typed(tables["repositories"]["namespace"], Labels)
    if Labels.of(names.namespace, names.namespaces.values).values != namespaces.values:
        raise WrongTable("repositories", "column 'namespace' is not what the names say")
    tags = names.add_tags(
        _number(tables, "tags", "repository_id"),
        _row_codes(tables, "tags", "name", names.tag_names),
        _row_codes(tables, "tags", "platform", names.platforms),
    )
    links = names.links.add_all(_number(tables, "links", "repository_id"), _number(tables, "links", "manifest_id"))
    for table, rows in (("tags", tags), ("links", links)):
        if not np.array_equal(rows, numbered(rows.size)):
            raise WrongTable(table, "a row occurs twice")


def _restore_state(engine: Engine, header: Header, tables: dict[str, Table]) -> None:
    state = engine.state
    state.version = header.version
    for table, columns in STATE.items():
        for name, column in columns.items():
            state.replace(name, _number(tables, table, column))
    pulled = _number(tables, "links", "pulled_at")
    if np.any(pulled != NULL):
        state.replace("pulled_at", pulled)
    links = [_number(tables, "blob_links", name) for name in ("repository_id", "blob_id", "removed", "event_id")]
    state.restore_blob_links(links[0], links[1], links[2] != 0, np.where(links[2] != 0, 0, links[3]))
    begun = state.read("upload_event") != NULL
    uploading = np.zeros(len(engine.names.repositories), np.int64)
    np.add.at(uploading, state.read("upload_repository")[begun], state.read("upload_bytes")[begun])
    state.replace("uploading", uploading)
    state.origin = header.origin
    engine.replicas = header.replicas
    engine.seed = header.random_seed
    if len(header.last_run) != len(LAST_RUN):
        raise WrongTable("collect_queue", "snapshot.json has no last run")
    state.cursor[list(LAST_RUN)] = header.last_run
    if header.schedule is not None:
        engine.schedule = msgspec.convert(header.schedule, GcSchedule)
    state.cursor[layout.CURSOR_LOST] = engine.lost_blobs().size > 0
    for queue, table in (("collect", "collect_queue"), ("sweep", "sweep_queue"), ("purge", "purge_queue")):
        waiting = [_number(tables, table, field.name) for field in TABLES[table]]
        state.restore_waiting(queue, np.stack(waiting, axis=1).astype(np.int64))
    loose = [_number(tables, "loose_queue", field.name).astype(np.int64) for field in TABLES["loose_queue"]]
    state.restore_waiting("loose", np.stack(((loose[0] << layout.WORD) | loose[1], *loose[2:]), axis=1))
    code = _known_codes(tables, "agenda", "kind", EVENTS).astype(np.int64)
    link, scope, event, time = (
        _number(tables, "agenda", name).astype(np.int64) for name in ("link_id", "scope_id", "event_id", "time")
    )
    what = np.where(code == layout.OP_COLLECT, link, scope)
    if np.any(what == NULL) or not np.all(np.isin(code, (layout.OP_COLLECT, layout.OP_RECOUNT))):
        raise WrongTable("agenda", "a row is neither the collection of a link nor the count of a scope")
    state.restore_waiting("agenda", np.stack(((code << layout.WORD) | what, event, time), axis=1))
    totals = state.write("totals")
    for name, row in TOTALS.items():
        totals[row] = int_to_words(header.totals[name])
    log = {name: tables["events"][LOG.get(name, name)] for name in DTYPES}
    log["kind"] = _known_codes(tables, "events", "kind", EVENTS)
    log["reason"] = _known_codes(tables, "events", "reason", REASONS)
    engine.log.restore({name: _typed(values, np.ndarray) for name, values in log.items()})


def _restore_charges(engine: Engine, tables: dict[str, Table]) -> None:
    ledger, scopes = engine.ledger, tables["scopes"]
    if scopes["name"] != list(scope_names(engine.names, ledger.scope)):
        raise WrongTable("scopes", "its names are not those of the profile's scopes")
    counts = []
    for table, key, *values in (
        ("scope_manifests", "manifest_id", "links", "supports", "held"),
        ("scope_blobs", "blob_id", "count"),
    ):
        rows = np.empty((_number(tables, table, key).size, 1 + len(values)), np.int64)
        rows[:, 0] = _number(tables, table, "scope_id").astype(np.int64) << layout.WORD
        rows[:, 0] |= _number(tables, table, key)
        for place, value in enumerate(values, 1):
            rows[:, place] = _number(tables, table, value)
        counts.append(rows)
    used = [int(value) for value in _typed(scopes["charged_bytes"], list)]
    drifts = [int(value) for value in _typed(scopes["drift_bytes"], list)]
    limits = _typed(scopes["limit_bytes"], list)
    uncounted = _number(tables, "scopes", "uncounted")
    engine.sync()
    try:
        ledger.restore(engine.content.graph(), (counts[0], counts[1]), used, limits, drifts, uncounted)
    except QuotaSimError as error:
        raise WrongTable("scope_manifests", str(error)) from error
