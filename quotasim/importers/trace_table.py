"""`TraceTable`: the operations of a trace, and the content they mention, as plain columns.

Row number = id; NULL = -1; bytes int64; times int64 microseconds since the epoch, UTC. Names are codes into
the tuples of the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from quotasim.errors import InvalidValue
from quotasim.importers.digest_columns import concatenate, same_as_row, take
from quotasim.importers.table_set import TableSet
from quotasim.kernels import NULL
from quotasim.model.digests import DigestArray
from quotasim.model.oci import Kind

__all__ = ["TraceBlobs", "TraceManifests", "TraceOp", "TraceTable", "trace_from_tables"]

Int8Array = npt.NDArray[np.int8]
ByteArray = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]


class TraceOp(IntEnum):
    """What a row of a trace does. What each one needs besides a repository is said with it."""

    PUSH = 0
    """A manifest, with or without a tag."""
    TAG = 1
    """A tag and a manifest that is linked already."""
    UNTAG = 2
    """A tag; the manifest, if given, is the one that is expected there."""
    DELETE = 3
    """A manifest (with all of its tags there) or a tag (whatever the registry kind makes of that)."""
    DELETE_REPOSITORY = 4
    """Nothing else."""
    UPLOAD = 5
    """A blob; with an upload, what finishes that (PUT), else all in one."""
    PULL = 6
    """A manifest or a tag."""
    START_UPLOAD = 7
    """An upload (POST)."""
    APPEND = 8
    """An upload and the bytes that it gets (PATCH)."""
    CANCEL_UPLOAD = 9
    """An upload (DELETE). One that is neither finished nor cancelled stays until the registry purges it."""


@dataclass(frozen=True, slots=True)
class TraceBlobs:
    """Layers, configs and uploaded blobs of a trace.

    Attributes
    ----------
    digest : B digests, each once.
    size : int64[B] bytes, NULL where unknown.
    media_type : int32[B] code, NULL where unknown.
    """

    digest: DigestArray
    size: LongArray
    media_type: IntArray


@dataclass(frozen=True, slots=True)
class TraceManifests:
    """Manifests that a trace mentions.

    Attributes
    ----------
    digest : M digests, each once.
    kind : int8[M] of `quotasim.model.oci.Kind`; NULL where the trace never tells the content.
    size : int64[M] of the manifest itself, NULL where unknown.
    media_type : int32[M] code, NULL where unknown.
    config : int32[M] row of `TraceBlobs`, NULL where there is none.
    subject : int32[M] row of this table, NULL where there is none.
    indptr : int64[M+1]; manifest m lists ``target[indptr[m]:indptr[m + 1]]``, in its order, repeats kept.
    target : int32[E] rows: of `TraceBlobs` (the layers of an image), of this table (the children of an
        index).
    target_platform : int32[E] code of a child's platform, else NULL.
    """

    digest: DigestArray
    kind: Int8Array
    size: LongArray
    media_type: IntArray
    config: IntArray
    subject: IntArray
    indptr: LongArray
    target: IntArray
    target_platform: IntArray


@dataclass(frozen=True, slots=True)
class TraceTable:
    """A checked trace; one row per operation.

    Attributes
    ----------
    time : int64[T], never falling.
    batch : int32[T], never falling; rows of one batch have one time.
    op : uint8[T] of `TraceOp`.
    repository : int32[T] code.
    tag, platform : int32[T] codes, NULL where not given.
    manifest, previous : int32[T] rows of `TraceManifests`, NULL where not given; ``previous`` is what the
        trace says the tag pointed to.
    blob : int32[T] row of `TraceBlobs` that is uploaded, else NULL.
    upload : int32[T] number of the upload of which the row is a step, each started once; else NULL.
    amount : int64[T] bytes that an APPEND brings, else 0.
    blobs, manifests : the content.
    repositories, tags, platforms, media_types : names; a name's place is its code.
    """

    time: LongArray
    batch: IntArray
    op: ByteArray
    repository: IntArray
    tag: IntArray
    platform: IntArray
    manifest: IntArray
    previous: IntArray
    blob: IntArray
    upload: IntArray
    amount: LongArray
    blobs: TraceBlobs
    manifests: TraceManifests
    repositories: tuple[str, ...]
    tags: tuple[str, ...]
    platforms: tuple[str, ...]
    media_types: tuple[str, ...]


def trace_from_tables(tables: TableSet) -> TraceTable:
    """The ``tag_events`` of a table set as a trace, row for row.

    A row that binds becomes a push with the tag (of a manifest that is pushed already a registry keeps only
    the tag), a row that unbinds an untag that names the manifest.

    Raises
    ------
    InvalidValue : the set has ``tags`` and no ``tag_events``: that is a state and not a history.
    """
    if not tables.is_history:
        raise InvalidValue("tables", "a set without tag_events", "a set with tag_events")
    bindings, manifests = tables.bindings, tables.manifests

    # A digest in several repositories is one manifest here.
    heads = np.flatnonzero(manifests.same_as == np.arange(manifests.same_as.size))
    row_of = np.searchsorted(heads, manifests.same_as).astype(np.int32)
    blobs, config = _with_configs(tables, heads)
    count = np.diff(manifests.indptr)[heads]
    indptr = np.zeros(heads.size + 1, np.int64)
    np.cumsum(count, out=indptr[1:])
    listed = np.arange(indptr[-1]) + np.repeat(manifests.indptr[heads] - indptr[:-1], count)
    content = TraceManifests(
        digest=take(manifests.digest, heads),
        kind=np.full(heads.size, Kind.IMAGE, np.int8),
        size=np.full(heads.size, NULL, np.int64),
        media_type=manifests.media_type[heads],
        config=config,
        subject=np.full(heads.size, NULL, np.int32),
        indptr=indptr,
        target=manifests.layer[listed],
        target_platform=np.full(listed.size, NULL, np.int32),
    )
    return TraceTable(
        time=bindings.time,
        batch=bindings.batch,
        op=np.where(bindings.is_bind, TraceOp.PUSH, TraceOp.UNTAG).astype(np.uint8),
        repository=bindings.repository,
        tag=bindings.tag,
        platform=bindings.platform,
        manifest=row_of[bindings.manifest],
        previous=np.where(bindings.previous == NULL, NULL, row_of[bindings.previous]).astype(np.int32),
        blob=np.full(bindings.time.size, NULL, np.int32),
        upload=np.full(bindings.time.size, NULL, np.int32),
        amount=np.zeros(bindings.time.size, np.int64),
        blobs=blobs,
        manifests=content,
        repositories=tables.repositories,
        tags=tables.tags,
        platforms=tables.platforms,
        media_types=tables.media_types,
    )


def _with_configs(tables: TableSet, heads: LongArray) -> tuple[TraceBlobs, IntArray]:
    """The blobs and the configs of the manifests ``heads``, each digest once; and the config of each."""
    blobs, manifests = tables.blobs, tables.manifests
    having = heads[manifests.has_config[heads]]
    count = len(blobs.digest)
    both = concatenate([blobs.digest, take(manifests.config, having)])
    first = same_as_row(both)
    kept = np.flatnonzero(first == np.arange(first.size))
    row_of = np.searchsorted(kept, first).astype(np.int32)
    size = np.concatenate([blobs.size, manifests.config_size[having]])
    # A size that one mention leaves out may be known from another.
    known = np.full(kept.size, NULL, np.int64)
    np.maximum.at(known, row_of, size)
    media_type = np.concatenate([blobs.media_type, np.full(having.size, NULL, np.int32)])
    config = np.full(heads.size, NULL, np.int32)
    config[manifests.has_config[heads]] = row_of[count:]
    return TraceBlobs(take(both, kept), known, media_type[kept]), config
