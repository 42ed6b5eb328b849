"""Reading a table set: `read_tables`.

The layout is that of `quotasim.importers.table_schema`. Everything is checked on the way in, and all
problems of all files are raised at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from quotasim.errors import InputRejected
from quotasim.importers.checks import IdMap, digests, integers, references, times, unique_ids
from quotasim.importers.digest_columns import concatenate, derived, differs, same_as_row, take, text
from quotasim.importers.name_columns import names, plain_text, repository_fault
from quotasim.importers.table_schema import ProblemLog, RawTable, open_table
from quotasim.importers.table_set import Blobs, Indexes, Manifests, TableSet
from quotasim.importers.tag_events import Pools, no_bindings, read_tag_events, read_tags
from quotasim.importers.tag_history import key_codes
from quotasim.kernels import NULL
from quotasim.model.digests import DigestArray

__all__ = ["read_tables"]

IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MAX_DIFFERING: Final = 10

MAX_LISTED_BYTES: Final = 2**63 - 1
"""What one manifest may list at most."""


def read_tables(directory: Path) -> TableSet:
    """Read and check a table set.

    Parameters
    ----------
    directory : holds ``blobs``, ``manifests``, ``layers``, ``tags`` or ``tag_events`` or neither, and
        optionally ``indexes``, each as ``.parquet`` or ``.csv``. See `quotasim.importers.table_schema` for
        the columns.

    Raises
    ------
    InputRejected : with all problems of all files; of one kind of problem in one column the first 10 rows are
        listed and the rest is counted. Rows are 0-based data rows.

    Notes
    -----
    O(n log n) in the rows of each file.
    """
    log = ProblemLog()
    if not directory.is_dir():
        log.add(str(directory), None, "is not a directory")
        raise InputRejected(log.problems())
    pools = Pools()

    raw = open_table(directory, "blobs", log)
    blobs, blob_ids = _read_blobs(raw, pools, log)
    raw = open_table(directory, "manifests", log)
    manifests, manifest_ids = _read_manifests(raw, pools, log)
    _check_configs(raw, manifests, blobs, log)
    raw = open_table(directory, "layers", log)
    manifests = _read_layers(raw, manifests, manifest_ids, blobs, blob_ids, log)

    tags, events = open_table(directory, "tags", log), open_table(directory, "tag_events", log)
    bindings = no_bindings()
    if tags is not None:
        bindings = read_tags(tags, pools, manifests, manifest_ids, log)
    if events is not None:
        bindings = read_tag_events(events, pools, manifests, manifest_ids, log)
    if tags is not None and events is not None:
        log.add(tags.file, None, f"{events.file} is there too: keep one of them")
    indexes = _read_indexes(open_table(directory, "indexes", log), pools, manifests, manifest_ids, log)
    if log:
        raise InputRejected(log.problems())
    return TableSet(
        blobs=blobs,
        manifests=manifests,
        bindings=bindings,
        indexes=indexes,
        is_history=events is not None,
        repositories=pools.repositories.names,
        tags=pools.tags.names,
        platforms=pools.platforms.names,
        media_types=pools.media_types.names,
    )


# -- blobs and manifests ------------------------------------------------------------------------------


def _read_blobs(raw: RawTable | None, pools: Pools, log: ProblemLog) -> tuple[Blobs, IdMap | None]:
    table = raw or RawTable("blobs", "blobs", {}, 0, is_csv=False)
    digest, good = digests(table, "digest", log)
    blobs = Blobs(
        digest=digest,
        size=integers(table, "size", log),
        media_type=names(table, "media_type", log, pools.media_types, plain_text),
        uploaded_at=times(table, "uploaded_at", log),
    )
    first = same_as_row(digest)
    repeated = np.flatnonzero(good & (first != np.arange(first.size)))

    def message(row: int) -> str:
        size, other = blobs.size[row], blobs.size[first[row]]
        sizes = "" if size == other else f", with size {other:,} and not {size:,}"
        return f"{text(digest, row)} is the digest of row {first[row]:,} too{sizes}"

    log.add_rows(table.file, "digest", "repeated", repeated, message)
    ids = unique_ids(table, "blob_id", log)
    return blobs, None if raw is None else ids


def _read_manifests(raw: RawTable | None, pools: Pools, log: ProblemLog) -> tuple[Manifests, IdMap | None]:
    """Read all of ``manifests`` but the layers."""
    table = raw or RawTable("manifests", "manifests", {}, 0, is_csv=False)
    digest, good = digests(table, "manifest_digest", log)
    repository = names(table, "repository", log, pools.repositories, repository_fault)
    same_as = same_as_row(digest)
    _report_repeated_manifests(table, digest, good & (repository != NULL), same_as, repository, log)
    config, has_config = digests(table, "config_digest", log)
    config_size = integers(table, "config_size", log)
    private = good & ~has_config & (config_size != NULL)
    if private.any():
        config = _with_private_configs(config, private, digest)
    ids = unique_ids(table, "manifest_id", log)
    manifests = Manifests(
        digest=digest,
        same_as=same_as,
        repository=repository,
        platform=names(table, "platform", log, pools.platforms, plain_text),
        media_type=names(table, "media_type", log, pools.media_types, plain_text),
        observed_at=times(table, "first_observed_at", log),
        pushed_at=times(table, "pushed_at", log),
        has_config=has_config | private,
        config=config,
        config_size=config_size,
        indptr=np.zeros(table.num_rows + 1, np.int64),
        layer=np.zeros(0, np.int32),
    )
    return manifests, None if raw is None else ids


def _report_repeated_manifests(
    raw: RawTable,
    digest: DigestArray,
    good: BoolArray,
    same_as: IntArray,
    repository: IntArray,
    log: ProblemLog,
) -> None:
    # Only digests that occur more than once can repeat within a repository.
    shared = np.zeros(same_as.size, np.bool_)
    shared[same_as[same_as != np.arange(same_as.size)]] = True
    rows = np.flatnonzero(shared[same_as] & good)
    key = key_codes(same_as[rows], repository[rows])
    first = np.zeros(int(key.max(initial=-1)) + 1, np.int64)
    first[key[::-1]] = rows[::-1]
    first_of_row = dict(zip(rows.tolist(), first[key].tolist(), strict=True))
    log.add_rows(
        raw.file,
        "manifest_digest",
        "repeated in one repository",
        rows[first[key] != rows],
        lambda row: f"{text(digest, row)} is in the same repository in row {first_of_row[row]:,} too",
    )


def _with_private_configs(config: DigestArray, private: BoolArray, digest: DigestArray) -> DigestArray:
    rows = np.flatnonzero(private)
    made = derived("config of", take(digest, rows))
    # The made ones follow the given ones; each row takes the one that is its own.
    source = np.arange(len(config))
    source[rows] = len(config) + np.arange(rows.size)
    return take(concatenate([config, made]), source)


def _check_configs(raw: RawTable | None, manifests: Manifests, blobs: Blobs, log: ProblemLog) -> None:
    """One manifest digest has one config, and one digest has one size; what is known of one is filled in."""
    if raw is None:
        return
    rows = np.flatnonzero(manifests.same_as != np.arange(manifests.same_as.size))
    others = manifests.same_as[rows]
    unequal = differs(manifests.config, rows, others) | (manifests.has_config[rows] != manifests.has_config[others])
    log.add_rows(
        raw.file,
        "config_digest",
        "another config",
        rows[unequal],
        lambda row: f"differs from row {manifests.same_as[row]:,}, which has the same manifest_digest",
    )
    having = np.flatnonzero(manifests.has_config)
    if "config_digest" in raw.columns:
        first = same_as_row(concatenate([blobs.digest, take(manifests.config, having)]))
    else:
        # Private ones are named after their manifests: there is nothing to look for in the blobs.
        first = np.concatenate([np.arange(len(blobs.digest)), len(blobs.digest) + manifests.same_as])
        having = np.arange(manifests.same_as.size)
    size = np.concatenate([blobs.size, manifests.config_size[having]])
    # What one mention leaves open another one may tell. Written backwards, so that the first one stands.
    known = np.flatnonzero(size != NULL)[::-1]
    told = np.full(first.size, NULL, np.int64)
    told[first[known]] = size[known]
    size_of = told[first]
    blobs.size[:] = size_of[: blobs.size.size]
    wrong = np.flatnonzero((size != NULL) & (size != size_of))
    wrong = wrong[wrong >= blobs.size.size] - blobs.size.size
    size_elsewhere = np.full(manifests.same_as.size, NULL, np.int64)
    size_elsewhere[having] = size_of[blobs.size.size :]
    log.add_rows(
        raw.file,
        "config_size",
        "another size",
        having[wrong],
        lambda row: (
            f"{manifests.config_size[row]:,}, but {text(manifests.config, row)} has size "
            f"{size_elsewhere[row]:,} elsewhere"
        ),
    )
    if not wrong.size:
        manifests.config_size[:] = size_elsewhere


# -- layers and indexes -------------------------------------------------------------------------------


def _read_layers(
    raw: RawTable | None,
    manifests: Manifests,
    manifest_ids: IdMap | None,
    blobs: Blobs,
    blob_ids: IdMap | None,
    log: ProblemLog,
) -> Manifests:
    """The manifests with their layers."""
    if raw is None:
        return manifests
    manifest = references(raw, "manifest_id", manifest_ids, "manifest_id of the manifests table", log)
    position = integers(raw, "position", log).astype(np.int32)
    blob = references(raw, "blob_id", blob_ids, "blob_id of the blobs table", log)

    # int64 keys: rows are below 2**31, and so are positions.
    key = manifest.astype(np.int64) * 2**31 + position
    complete = (manifest != NULL) & (position != NULL)
    if not complete.all() or (key[1:] <= key[:-1]).any():
        order = np.flatnonzero(complete)
        order = order[np.argsort(key[order])]
        sorted_key = key[order]
        repeats = order[1:][sorted_key[1:] == sorted_key[:-1]]
        log.add_rows(
            raw.file,
            "position",
            "repeated",
            np.sort(repeats),
            lambda row: f"another row too has position {position[row]} of this manifest_id",
        )
        manifest, blob = manifest[order], blob[order]
    count = np.bincount(manifest, minlength=manifests.same_as.size)
    indptr = np.zeros(count.size + 1, np.int64)
    np.cumsum(count, out=indptr[1:])
    linked = Manifests(
        **{name: getattr(manifests, name) for name in Manifests.__slots__ if name not in ("indptr", "layer")},
        indptr=indptr,
        layer=blob,
    )
    # A layer that is missing here was reported above, and is not a difference.
    if complete.all() and not (blob == NULL).any():
        _check_layer_lists(raw, linked, log)
        _check_listed_bytes(raw, linked, blobs.size, log)
    return linked


def _check_layer_lists(raw: RawTable, manifests: Manifests, log: ProblemLog) -> None:
    """Rows of one manifest digest list the same layers."""
    rows = np.flatnonzero(manifests.same_as != np.arange(manifests.same_as.size))
    others = manifests.same_as[rows]
    count = np.diff(manifests.indptr)
    unequal = count[rows] != count[others]
    equal = np.flatnonzero(~unequal)
    width = count[rows[equal]]
    offset = np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)
    mine = manifests.layer[np.repeat(manifests.indptr[rows[equal]], width) + offset]
    theirs = manifests.layer[np.repeat(manifests.indptr[others[equal]], width) + offset]
    unequal[np.repeat(equal, width)[mine != theirs]] = True
    for row, other in zip(rows[unequal].tolist()[:MAX_DIFFERING], others[unequal].tolist(), strict=False):
        log.add(
            raw.file,
            "blob_id",
            f"rows {other:,} and {row:,} of the manifests table have the digest "
            f"{text(manifests.digest, row)} and different layers",
        )


def _check_listed_bytes(raw: RawTable, manifests: Manifests, size: LongArray, log: ProblemLog) -> None:
    listed = np.concatenate([[0.0], np.cumsum(np.maximum(size, 0)[manifests.layer].astype(np.float64))])
    # Floats find the candidates, whole numbers decide.
    for m in np.flatnonzero(np.diff(listed[manifests.indptr]) > MAX_LISTED_BYTES / 2).tolist():
        layers = manifests.layer[manifests.indptr[m] : manifests.indptr[m + 1]]
        total = sum(max(int(layer_size), 0) for layer_size in size[layers])
        if total > MAX_LISTED_BYTES:
            log.add(
                raw.file,
                "blob_id",
                f"manifest {text(manifests.digest, m)} lists {total:,} bytes, above {MAX_LISTED_BYTES:,}",
            )


def _read_indexes(
    raw: RawTable | None, pools: Pools, manifests: Manifests, ids: IdMap | None, log: ProblemLog
) -> Indexes:
    table = raw or RawTable("indexes", "indexes", {}, 0, is_csv=False)
    digest, good = digests(table, "index_digest", log)
    child = references(table, "manifest_id", ids, "manifest_id of the manifests table", log)
    platform = names(table, "platform", log, pools.platforms, plain_text)
    same_as = same_as_row(digest)

    rows = np.flatnonzero(good & (child != NULL))
    key = key_codes(same_as[rows], manifests.same_as[child[rows]])
    first = np.zeros(int(key.max(initial=-1)) + 1, np.int64)
    first[key[::-1]] = rows[::-1]
    first_of_row = np.full(table.num_rows, NULL, np.int64)
    first_of_row[rows] = first[key]
    log.add_rows(
        table.file,
        "manifest_id",
        "repeated in one index",
        rows[first[key] != rows],
        lambda row: f"is a child of the same index in row {first_of_row[row]:,} too",
    )
    count = len(manifests.digest)
    is_manifest = good
    if raw is not None:
        is_manifest = good & (same_as_row(concatenate([manifests.digest, digest]))[count:] < count)
    log.add_rows(
        table.file,
        "index_digest",
        "a manifest's digest",
        np.flatnonzero(is_manifest),
        lambda row: f"{text(digest, row)} is an image's manifest_digest too",
    )
    heads = np.flatnonzero(same_as == np.arange(same_as.size))
    index_of_row = np.searchsorted(heads, same_as)
    order = np.argsort(index_of_row, kind="stable")
    indptr = np.searchsorted(index_of_row[order], np.arange(heads.size + 1)).astype(np.int64)
    return Indexes(take(digest, heads), indptr, child[order], platform[order])
