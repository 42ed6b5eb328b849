"""Reading ``tag_events`` or ``tags``, and checking the story that the events tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from quotasim.importers.checks import IdMap, references, times, unique_ids
from quotasim.importers.name_columns import NamePool, names, plain_text, repository_fault, tag_fault
from quotasim.importers.table_schema import ProblemLog, RawTable
from quotasim.importers.table_set import Bindings, Manifests, Op
from quotasim.importers.tag_history import ends_of_runs, key_codes
from quotasim.kernels import NULL

__all__ = ["Pools", "no_bindings", "read_tag_events", "read_tags"]

IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_OPS: Final = {op.name.lower(): op for op in Op if op is not Op.TAG}


@dataclass(frozen=True, slots=True)
class Pools:
    """The names of a table set, shared by its files."""

    repositories: NamePool = field(default_factory=NamePool)
    tags: NamePool = field(default_factory=NamePool)
    platforms: NamePool = field(default_factory=NamePool)
    media_types: NamePool = field(default_factory=NamePool)


def no_bindings() -> Bindings:
    """No tag at all."""
    ids = np.zeros(0, np.int32)
    return Bindings(np.zeros(0, np.int64), ids, np.zeros(0, np.uint8), ids, ids, ids, ids, ids)


def read_tags(raw: RawTable, pools: Pools, manifests: Manifests, ids: IdMap | None, log: ProblemLog) -> Bindings:
    """Rows of ``tags``; a (repository, tag, platform) may be bound once."""
    repository = names(raw, "repository", log, pools.repositories, repository_fault)
    tag = names(raw, "tag", log, pools.tags, tag_fault)
    manifest = references(raw, "manifest_id", ids, "manifest_id of the manifests table", log)
    platform = names(raw, "platform", log, pools.platforms, plain_text)
    known = (platform == NULL) & (manifest != NULL)
    platform[known] = manifests.platform[manifest[known]]

    complete = (repository != NULL) & (tag != NULL) & (manifest != NULL)
    rows = np.flatnonzero(complete)
    key = key_codes(repository[rows], tag[rows], platform[rows])
    first = np.zeros(int(key.max(initial=-1)) + 1, np.int64)
    first[key[::-1]] = rows[::-1]
    first_of_row = np.full(raw.num_rows, NULL, np.int64)
    first_of_row[rows] = first[key]
    log.add_rows(
        raw.file,
        "tag",
        "bound more than once",
        rows[first[key] != rows],
        lambda row: f"{_key_text(pools, repository, tag, platform, row)} is bound by row {first_of_row[row]:,} too",
    )
    return Bindings(
        time=times(raw, "tagged_at", log),
        batch=np.zeros(raw.num_rows, np.int32),
        op=np.full(raw.num_rows, Op.TAG, np.uint8),
        repository=repository,
        tag=tag,
        platform=platform,
        manifest=manifest,
        previous=np.full(raw.num_rows, NULL, np.int32),
    )


def read_tag_events(raw: RawTable, pools: Pools, manifests: Manifests, ids: IdMap | None, log: ProblemLog) -> Bindings:
    """Rows of ``tag_events``, replayed: what a row says of the state before it must be so."""
    time = times(raw, "observed_at", log)
    batch = _batches(raw, time, log)
    repository = names(raw, "repository", log, pools.repositories, repository_fault)
    tag = names(raw, "tag", log, pools.tags, tag_fault)
    op = _ops(raw, log)
    manifest = references(raw, "manifest_id", ids, "manifest_id of the manifests table", log)
    told = references(raw, "prev_manifest_id", ids, "manifest_id of the manifests table", log)
    platform = names(raw, "platform", log, pools.platforms, plain_text)
    unique_ids(raw, "event_id", log)
    bindings = Bindings(
        time=time,
        batch=batch,
        op=np.where(op == NULL, Op.CREATE, op).astype(np.uint8),
        repository=repository,
        tag=tag,
        platform=platform,
        manifest=manifest,
        previous=np.full(raw.num_rows, NULL, np.int32),
    )
    # A row that could not be read would make all later rows of its key look wrong.
    if ids is not None and not any((column == NULL).any() for column in (repository, tag, op, manifest, time)):
        _replay(raw, bindings, told, manifests.same_as, pools, log)
    return bindings


def _ops(raw: RawTable, log: ProblemLog) -> IntArray:
    pool = NamePool()
    known = ", ".join(_OPS)
    codes = names(raw, "op", log, pool, lambda op: None if op in _OPS else f"is not one of {known}")
    op_of_code = np.array([_OPS[name] for name in pool.names] + [NULL], np.int32)
    return op_of_code[codes]


def _batches(raw: RawTable, time: LongArray, log: ProblemLog) -> IntArray:
    """Number the batches: runs of one ``scan_commit`` or, where that is null, of one time."""
    pool = NamePool()
    scan = names(raw, "scan_commit", log, pool, plain_text)
    new = np.ones(scan.size, np.bool_)
    new[1:] = (scan[1:] != scan[:-1]) | ((scan[1:] == NULL) & (time[1:] != time[:-1]))
    starts = np.flatnonzero(new)
    batch = (np.cumsum(new) - 1).astype(np.int32)

    known = time != NULL
    highest = np.maximum.accumulate(time) if time.size else time
    backwards = np.zeros(time.size, np.bool_)
    backwards[1:] = time[1:] < highest[:-1]
    log.add_rows(
        raw.file,
        "observed_at",
        "time runs backwards",
        np.flatnonzero(backwards & known),
        lambda row: "is earlier than the row before: events must be in order of time",
    )
    torn = known & known[starts[batch]] & (time != time[starts[batch]]) & ~backwards
    log.add_rows(
        raw.file,
        "observed_at",
        "two times in one batch",
        np.flatnonzero(torn),
        lambda row: f"differs from row {starts[batch[row]]:,}, of the same scan_commit",
    )
    coded = starts[scan[starts] != NULL]
    seen = np.zeros(len(pool.names), np.int64)
    seen[scan[coded[::-1]]] = coded[::-1]
    again = coded[seen[scan[coded]] != coded]
    log.add_rows(
        raw.file,
        "scan_commit",
        "batch in several places",
        again,
        lambda row: f"the batch began in row {seen[scan[row]]:,}, and was interrupted: its rows must be adjacent",
    )
    return batch


def _replay(
    raw: RawTable, bindings: Bindings, told: IntArray, same_as: IntArray, pools: Pools, log: ProblemLog
) -> None:
    """Check each row against the state before it, and write that into ``bindings.previous``.

    The rows of a key are taken in the order of the file. After a row that is wrong the state is what the row
    says, so that one wrong row is one problem.
    """
    repository, tag, platform, op = bindings.repository, bindings.tag, bindings.platform, bindings.op
    key = key_codes(repository, tag, platform)
    order = np.argsort(key, kind="stable")
    follows = ~np.roll(ends_of_runs(key[order]), 1)
    bound = np.where(bindings.is_bind, bindings.manifest, NULL)
    before = np.full(order.size, NULL, np.int32)
    before[order[1:]] = np.where(follows[1:], bound[order[:-1]], NULL)
    bindings.previous[:] = before

    def same(first: IntArray, second: IntArray) -> BoolArray:
        # NULL is the last row of an array: compared apart.
        either = (first == NULL) | (second == NULL)
        return np.asarray(np.where(either, first == second, same_as[first] == same_as[second]))

    def named(row: int) -> str:
        return _key_text(pools, repository, tag, platform, row)

    is_new = (op == Op.CREATE) | (op == Op.ADD_PLATFORM)
    is_update = op == Op.UPDATE
    is_unbind = ~bindings.is_bind
    unbound = before == NULL
    mismatch = is_unbind & ~unbound & ~same(before, bindings.manifest)

    def report(kind: str, wrong: BoolArray) -> None:
        log.add_rows(
            raw.file,
            "op",
            kind,
            np.flatnonzero(wrong),
            lambda row: f"{Op(int(op[row])).name.lower()}, but {named(row)} is {kind}",
        )

    report("bound already", is_new & ~unbound)
    report("not bound", (is_update | is_unbind) & unbound)
    report("bound to another manifest", mismatch)
    expected = np.where(is_unbind, bindings.manifest, before)
    disagrees = (told != NULL) & ~same(told, expected) & ~(is_update & unbound)
    log.add_rows(
        raw.file,
        "prev_manifest_id",
        "not what the replay says",
        np.flatnonzero(disagrees),
        lambda row: f"is not what {named(row)} was bound to before",
    )

    # With all binds of a batch before all unbinds, a key ends as its last row says, except in one case.
    group = key.astype(np.int64)[order] * (int(bindings.batch.max(initial=0)) + 1) + bindings.batch[order]
    is_end = ends_of_runs(group)
    ends = order[is_end]
    end_of = np.zeros(order.size, np.int64)
    end_of[order] = ends[np.cumsum(np.roll(is_end, 1) if is_end.size else is_end) - 1]
    contradicts = is_unbind & (bound[end_of] != NULL) & same(bindings.manifest, bound[end_of])
    log.add_rows(
        raw.file,
        "op",
        "unbound and bound again",
        np.flatnonzero(contradicts),
        lambda row: (
            f"{named(row)} is bound to the same manifest again by row {end_of[row]:,} of the same batch, in "
            "which binds come before unbinds: the end is not defined"
        ),
    )


def _key_text(pools: Pools, repository: IntArray, tag: IntArray, platform: IntArray, row: int) -> str:
    name = f"{pools.repositories.names[repository[row]]}:{pools.tags.names[tag[row]]}"
    return name if platform[row] == NULL else f"{name} for {pools.platforms.names[platform[row]]}"
