"""What the tag bindings of a `TableSet` amount to: the end state, what tags point to, and the history.

Pure functions of the tables. A set of manifests is compared by digest (through `Manifests.same_as`), never
by file id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from quotasim.importers.digest_columns import take, text
from quotasim.importers.table_set import TableSet
from quotasim.kernels import NULL
from quotasim.model.digests import format_digests
from quotasim.model.reference import sha256_digest

__all__ = [
    "HistoryLinks",
    "LinkState",
    "ResolvedTags",
    "Target",
    "ends_of_runs",
    "final_bindings",
    "history_links",
    "key_codes",
    "resolve_tags",
]

IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]

# Rows of (tag at a batch, platform) that are expanded at a time: bounds the memory of a long history.
_EXPANDED_ROWS: Final = 4_000_000


class Target(IntEnum):
    """What a tag points to."""

    IMAGE = 0
    INDEX = 1
    SYNTHETIC_INDEX = 2
    """Several manifests are bound, and no index of the tables has exactly these children."""


class LinkState(IntEnum):
    """What became of a link of the history."""

    NEVER_TAGGED = 0
    TAGGED = 1
    """At the end."""
    UNTAGGED = 2
    """Tagged once, not at the end."""


@dataclass(frozen=True, slots=True)
class ResolvedTags:
    """The tags at the end and what each one points to; sorted by repository code, then tag code.

    Attributes
    ----------
    repository, tag : int32[G] codes.
    target_kind : uint8[G] of `Target`.
    target : int32[G] row: of `Manifests` for IMAGE, of `Indexes` for INDEX, of ``synthetic_digests`` for
        SYNTHETIC_INDEX.
    tagged_at : int64[G] time of the newest binding, NULL where unknown.
    indptr : int64[G+1]; the manifests bound to tag g are ``manifest[indptr[g]:indptr[g + 1]]``.
    manifest : int32[N] rows of `Manifests`, ascending and each once per tag.
    synthetic_digests : digest of each synthetic index, ``sha256:<64 hex>``: the sha256 of the lines ``index
        of`` and its children's digests in sorted order. Tags with the same manifests share one.
    synthetic_indptr, synthetic_child : int64[S+1], int32[..]: rows of `Manifests`, as in `Indexes`.
    """

    repository: IntArray
    tag: IntArray
    target_kind: ByteArray
    target: IntArray
    tagged_at: LongArray
    indptr: LongArray
    manifest: IntArray
    synthetic_digests: tuple[str, ...]
    synthetic_indptr: LongArray
    synthetic_child: IntArray


@dataclass(frozen=True, slots=True)
class HistoryLinks:
    """Every link that a registry which never deletes would hold.

    Attributes
    ----------
    repository, manifest : int32[L], sorted by both; a manifest is the first row of its digest. Each
        (repository, manifest) that was ever bound, and each row of `Manifests` that never was, in its own
        repository.
    first_bound, last_unbound : int64[L] times; NULL where never bound (or unknown), and where still bound at
        the end.
    state : uint8[L] of `LinkState`.
    index_repository, index : int32[K], sorted by both; the indexes that tags of the repository pointed to:
        at the end of some batch the manifests bound to a tag were exactly the index's children.
    index_first_tagged, index_last_untagged : int64[K] times, NULL as above.
    index_state : uint8[K] of `LinkState`.
    """

    repository: IntArray
    manifest: IntArray
    first_bound: LongArray
    last_unbound: LongArray
    state: ByteArray
    index_repository: IntArray
    index: IntArray
    index_first_tagged: LongArray
    index_last_untagged: LongArray
    index_state: ByteArray


# -- the end state ------------------------------------------------------------------------------------


def final_bindings(tables: TableSet) -> IntArray:
    """Rows of ``tables.bindings`` that are still bound at the end, ascending.

    Within a batch all binds come before all unbinds. A key that one batch both binds and unbinds ends as its
    last row says: `read_tables` refuses the one case in which that would differ.

    Returns
    -------
    int32[N] rows, one for each (repository, tag, platform) that is bound. O(T log T).
    """
    bindings = tables.bindings
    key = key_codes(bindings.repository, bindings.tag, bindings.platform)
    order = np.argsort(key, kind="stable")
    last = ends_of_runs(key[order])
    rows = np.sort(order[last])
    return rows[bindings.is_bind[rows]].astype(np.int32)


def resolve_tags(tables: TableSet) -> ResolvedTags:
    """What each tag points to at the end.

    A tag points to the index whose child set is exactly the manifests bound to it, a single one included
    (the lowest digest if there are two), else to the image if there is one binding, else to a synthetic
    index.

    Notes
    -----
    O(T log T), and one dictionary look-up per tag that binds several manifests.
    """
    rows = final_bindings(tables)
    bindings = tables.bindings
    repository, tag = bindings.repository[rows], bindings.tag[rows]
    group = key_codes(repository, tag)
    first = np.zeros(int(group.max(initial=-1)) + 1, np.int64)
    first[group[::-1]] = np.arange(group.size)[::-1]
    tagged_at = np.full(first.size, NULL, np.int64)
    np.maximum.at(tagged_at, group, bindings.time[rows])
    indptr, manifest = _sets(group, tables.manifests.same_as[bindings.manifest[rows]], first.size)

    index_of = _index_by_children(tables)
    # Most tags bind one manifest, and hardly any index lists only one: those need no look-up of their own.
    only = np.full(int(manifest.max(initial=-1)) + 1, NULL, np.int32)
    for children, index in index_of.items():
        if len(children) == manifest.itemsize and (child := int(np.frombuffer(children, np.int32)[0])) < only.size:
            only[child] = index
    leader = manifest[indptr[:-1]]
    index_of_leader = only[leader]
    kinds = np.where(index_of_leader == NULL, Target.IMAGE, Target.INDEX).astype(np.uint8)
    targets = np.where(index_of_leader == NULL, leader, index_of_leader).astype(np.int32)
    synthetic: dict[bytes, int] = {}
    for g in np.flatnonzero(np.diff(indptr) > 1).tolist():
        children = manifest[indptr[g] : indptr[g + 1]].tobytes()
        known = index_of.get(children)
        if known is not None:
            kinds[g], targets[g] = Target.INDEX, known
        else:
            kinds[g], targets[g] = Target.SYNTHETIC_INDEX, synthetic.setdefault(children, len(synthetic))
    child_sets = [np.frombuffer(children, np.int32) for children in synthetic]
    return ResolvedTags(
        repository=repository[first],
        tag=tag[first],
        target_kind=kinds,
        target=targets,
        tagged_at=tagged_at,
        indptr=indptr,
        manifest=manifest,
        synthetic_digests=tuple(_synthetic_digest(tables, children) for children in child_sets),
        synthetic_indptr=np.cumsum([0, *(children.size for children in child_sets)], dtype=np.int64),
        synthetic_child=np.concatenate([np.zeros(0, np.int32), *child_sets]),
    )


def _synthetic_digest(tables: TableSet, children: IntArray) -> str:
    digests = sorted(format_digests(take(tables.manifests.digest, children)))
    return sha256_digest("\n".join(["index of", *digests]).encode())


# -- the history --------------------------------------------------------------------------------------


def history_links(tables: TableSet) -> HistoryLinks:
    """Every link that a registry which never deletes would hold, with the times it was tagged from and to.

    Notes
    -----
    O(T log T), and one dictionary look-up per (tag, batch that touched it).
    """
    bindings = tables.bindings
    binding_key = key_codes(bindings.repository, bindings.tag, bindings.platform)
    order = np.argsort(binding_key, kind="stable")
    is_last = ends_of_runs(binding_key[order])
    until = np.full(order.size, NULL, np.int64)
    until[:-1] = np.where(is_last[:-1], NULL, bindings.time[order[1:]])
    bound = bindings.is_bind[order]

    # A bind row lasts from its own time until the next row of its key; rows that were never bound come after
    # them.
    rows = order[bound]
    manifests = tables.manifests
    never = np.arange(manifests.same_as.size)
    repository = np.concatenate([bindings.repository[rows], manifests.repository])
    manifest = np.concatenate([manifests.same_as[bindings.manifest[rows]], manifests.same_as])
    start = np.concatenate([bindings.time[rows], np.full(never.size, NULL)])
    end = np.concatenate([until[bound], np.full(never.size, NULL)])
    state = np.concatenate(
        [
            np.where(is_last[bound], LinkState.TAGGED, LinkState.UNTAGGED),
            np.full(never.size, LinkState.NEVER_TAGGED),
        ]
    )
    repository, manifest, start, end, state = _merged_spans(repository, manifest, start, end, state)

    tagged = _tagged_indexes(tables)
    return HistoryLinks(repository, manifest, start, end, state, *tagged)


def _merged_spans(
    repository: IntArray, target: IntArray, start: LongArray, end: LongArray, state: npt.NDArray[np.int64]
) -> tuple[IntArray, IntArray, LongArray, LongArray, ByteArray]:
    """One row per (repository, target), from the spans of time in which a tag pointed to it."""
    group = key_codes(repository, target)
    count = int(group.max(initial=-1)) + 1
    first = np.zeros(count, np.int64)
    first[group[::-1]] = np.arange(group.size)[::-1]
    latest = np.iinfo(np.int64).max
    start_of = np.full(count, latest)
    np.minimum.at(start_of, group, np.where(start == NULL, latest, start))
    start_of[start_of == latest] = NULL
    end_of = np.full(count, NULL, np.int64)
    np.maximum.at(end_of, group, end)
    is_tagged = np.zeros(count, np.bool_)
    is_tagged[group[state == LinkState.TAGGED]] = True
    was_tagged = np.zeros(count, np.bool_)
    was_tagged[group[state != LinkState.NEVER_TAGGED]] = True
    end_of[is_tagged] = NULL
    state_of = np.where(is_tagged, LinkState.TAGGED, np.where(was_tagged, LinkState.UNTAGGED, LinkState.NEVER_TAGGED))
    return repository[first], target[first], start_of, end_of, state_of.astype(np.uint8)


def _tagged_indexes(tables: TableSet) -> tuple[IntArray, IntArray, LongArray, LongArray, ByteArray]:
    """The spans in which tags pointed to indexes, merged: see `HistoryLinks`."""
    bindings = tables.bindings
    index_of = _index_by_children(tables)
    if not index_of or not bindings.op.size:
        nothing, no_time = np.zeros(0, np.int32), np.zeros(0, np.int64)
        return nothing, nothing, no_time, no_time, np.zeros(0, np.uint8)

    # Keys are numbered so that the keys of one tag are adjacent; rows are sorted by key, then batch.
    tag_of_row = key_codes(bindings.repository, bindings.tag)
    key_of_row = key_codes(tag_of_row, bindings.platform)
    batches = int(bindings.batch.max()) + 1
    order = np.argsort(key_of_row, kind="stable")
    when = key_of_row[order].astype(np.int64) * batches + bindings.batch[order]
    order, when = order[ends_of_runs(when)], when[ends_of_runs(when)]
    keys = int(key_of_row.max()) + 1
    tag_of_key = np.zeros(keys, np.int32)
    tag_of_key[key_of_row] = tag_of_row
    first_key = np.searchsorted(tag_of_key, np.arange(int(tag_of_row.max()) + 2))

    # A moment is (tag, batch that touched it), in that order.
    moments = np.sort(tag_of_row.astype(np.int64) * batches + bindings.batch)
    moments = moments[ends_of_runs(moments)]
    tag = moments // batches
    width = first_key[tag + 1] - first_key[tag]
    is_bind = bindings.is_bind
    index_at = np.full(moments.size, NULL, np.int32)
    reach = np.concatenate([[0], np.cumsum(width)])
    begin = 0
    while begin < moments.size:
        end = max(begin + 1, int(np.searchsorted(reach, reach[begin] + _EXPANDED_ROWS, side="right")) - 1)
        wide = width[begin:end]
        moment = np.repeat(np.arange(begin, end), wide)
        key = first_key[tag[moment]] + np.arange(moment.size) - np.repeat(reach[begin:end] - reach[begin], wide)
        # The key's last row up to and including this batch, if it has one.
        at = np.searchsorted(when, key * batches + moments[moment] % batches, side="right") - 1
        row = order[at]
        live = (at >= 0) & (key_of_row[row] == key) & is_bind[row]
        manifest = tables.manifests.same_as[bindings.manifest[row[live]]]
        indptr, members = _sets(moment[live] - begin, manifest, end - begin)
        for m, children in enumerate(_slices(indptr, members), start=begin):
            index_at[m] = index_of.get(children, NULL)
        begin = end

    last_of_tag = ends_of_runs(tag)
    # All rows of a batch of a history have one time; the rows of ``tags`` have a time each.
    moment_time = np.full(moments.size, NULL, np.int64)
    moment_of_row = np.searchsorted(moments, tag_of_row.astype(np.int64) * batches + bindings.batch)
    np.maximum.at(moment_time, moment_of_row, bindings.time)
    until = np.full(moments.size, NULL, np.int64)
    until[:-1] = np.where(last_of_tag[:-1], NULL, moment_time[1:])
    repository_of_tag = np.zeros(int(tag_of_row.max()) + 1, np.int32)
    repository_of_tag[tag_of_row] = bindings.repository
    points = index_at != NULL
    return _merged_spans(
        repository_of_tag[tag[points]],
        index_at[points],
        moment_time[points],
        until[points],
        np.where(last_of_tag[points], LinkState.TAGGED, LinkState.UNTAGGED),
    )


# -- sets and keys ------------------------------------------------------------------------------------


def key_codes(*columns: IntArray) -> IntArray:
    """Number the distinct rows of some int32 columns, in sorted order; NULL counts as a value.

    Returns
    -------
    int32[n]; equal rows have equal codes, and codes sort as the rows do. O(n log n).

    Examples
    --------
    >>> key_codes(np.array([7, 7, 3], np.int32), np.array([0, -1, 5], np.int32)).tolist()
    [2, 1, 0]
    """
    codes = columns[0]
    for column in columns[1:]:
        # Codes and columns are below 2**31, so that the product stays below 2**62.
        codes = _ranks(codes.astype(np.int64) * (int(column.max(initial=0)) + 2) + column + 1)
    return codes


def _ranks(values: LongArray) -> IntArray:
    order = np.argsort(values)
    new = np.ones(values.size, np.bool_)
    new[1:] = values[order[1:]] != values[order[:-1]]
    ranks = np.zeros(values.size, np.int32)
    ranks[order] = np.cumsum(new) - 1
    return ranks


def ends_of_runs(values: npt.NDArray[np.integer]) -> BoolArray:
    """bool[n]: the last of a run of equal values."""
    last = np.ones(values.size, np.bool_)
    last[:-1] = values[1:] != values[:-1]
    return last


def _sets(group: IntArray, member: IntArray, count: int) -> tuple[LongArray, IntArray]:
    """CSR of the distinct members of each group, ascending: int64[count+1] and int32[N]."""
    width = int(member.max(initial=0)) + 1
    pairs = np.sort(group.astype(np.int64) * width + member)
    pairs = pairs[ends_of_runs(pairs)]
    indptr = np.searchsorted(pairs, np.arange(count + 1) * width).astype(np.int64)
    return indptr, (pairs % width).astype(np.int32)


def _slices(indptr: LongArray, values: IntArray) -> list[bytes]:
    """The bytes of each row of a CSR: an exact key of a set, as its members are sorted."""
    data, bounds = values.tobytes(), (indptr * values.itemsize).tolist()
    return [data[start:end] for start, end in pairwise(bounds)]


def _index_by_children(tables: TableSet) -> dict[bytes, int]:
    """Row of the index with this child set; of several the one with the lowest digest."""
    indexes = tables.indexes
    count = indexes.indptr.size - 1
    group = np.repeat(np.arange(count, dtype=np.int32), np.diff(indexes.indptr))
    indptr, child = _sets(group, tables.manifests.same_as[indexes.child], count)
    found: dict[bytes, int] = {}
    for index, children in enumerate(_slices(indptr, child)):
        other = found.setdefault(children, index)
        if other != index and text(indexes.digest, index) < text(indexes.digest, other):
            found[children] = index
    return found
