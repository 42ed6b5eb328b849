"""`TableSet`: an imported table set as plain columns, before anything is made of it.

Row number = id; NULL = -1; bytes int64; times int64 microseconds since the epoch, UTC. The ids of the files
are gone: every reference is a row. Names are codes into the tuples of the set.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from quotasim.model.digests import DigestArray

__all__ = ["BIND_OPS", "Bindings", "Blobs", "Indexes", "Manifests", "Op", "TableSet"]

IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]


class Op(IntEnum):
    """What a row of `Bindings` does to its key (repository, tag, platform)."""

    CREATE = 0
    ADD_PLATFORM = 1
    UPDATE = 2
    DELETE = 3
    DROP_PLATFORM = 4
    TAG = 5
    """A row of ``tags``: bound when the tables were made."""


BIND_OPS = (Op.CREATE, Op.ADD_PLATFORM, Op.UPDATE, Op.TAG)


@dataclass(frozen=True, slots=True)
class Blobs:
    """One row per blob; no digest occurs twice.

    Attributes
    ----------
    digest : B digests.
    size : int64[B] bytes, NULL where unknown.
    media_type : int32[B] code into `TableSet.media_types`, NULL where unknown.
    uploaded_at : int64[B] time, NULL where unknown.
    """

    digest: DigestArray
    size: LongArray
    media_type: IntArray
    uploaded_at: LongArray


@dataclass(frozen=True, slots=True)
class Manifests:
    """One row per (image manifest, repository) of the ``manifests`` table.

    Attributes
    ----------
    digest : M digests; a digest occurs once per repository.
    same_as : int32[M] first row with the same digest, the row itself where it is that. Rows of one digest
        list the same layers and the same config.
    repository, platform, media_type : int32[M] codes; platform and media_type (schema 1 in old listings) may
        be NULL.
    observed_at, pushed_at : int64[M] times, NULL where unknown.
    has_config : bool[M].
    config : M digests, zero where there is no config. Where only a size is given the config is one blob
        private to the manifest, with the sha256 of the text ``config of <manifest digest>`` as its digest.
    config_size : int64[M] bytes, NULL where unknown or without config.
    indptr : int64[M+1]; manifest m lists ``layer[indptr[m]:indptr[m + 1]]``, base first, repeats kept.
    layer : int32[E] rows of `Blobs`.
    """

    digest: DigestArray
    same_as: IntArray
    repository: IntArray
    platform: IntArray
    media_type: IntArray
    observed_at: LongArray
    pushed_at: LongArray
    has_config: BoolArray
    config: DigestArray
    config_size: LongArray
    indptr: LongArray
    layer: IntArray


@dataclass(frozen=True, slots=True)
class Bindings:
    """One row per row of ``tag_events`` or of ``tags``, in the order of the file.

    Attributes
    ----------
    time : int64[T], never falling in a history; NULL where a row of ``tags`` has none.
    batch : int32[T]; 0 for all rows of ``tags``; in a history the rows of one ``scan_commit`` are one batch,
        counted in order of appearance (without ``scan_commit``: the adjacent rows of one time).
    op : uint8[T] of `Op`.
    repository, tag, platform : int32[T] codes, the key; platform may be NULL. A row of ``tags`` without a
        platform takes the manifest's.
    manifest : int32[T] row of `Manifests` that is bound or, for DELETE and DROP_PLATFORM, unbound.
    previous : int32[T] row of `Manifests` that the key was bound to before, from a replay; NULL if unbound.
    """

    time: LongArray
    batch: IntArray
    op: ByteArray
    repository: IntArray
    tag: IntArray
    platform: IntArray
    manifest: IntArray
    previous: IntArray

    @property
    def is_bind(self) -> BoolArray:
        """bool[T]: the row binds its key; otherwise it unbinds it."""
        return np.isin(self.op, BIND_OPS)


@dataclass(frozen=True, slots=True)
class Indexes:
    """One row per image index, in order of first appearance in ``indexes``.

    Attributes
    ----------
    digest : X digests.
    indptr : int64[X+1]; the children of index x are ``child[indptr[x]:indptr[x + 1]]``.
    child : int32[C] rows of `Manifests`; no child occurs twice in an index.
    platform : int32[C] code, NULL where unknown.
    """

    digest: DigestArray
    indptr: LongArray
    child: IntArray
    platform: IntArray


@dataclass(frozen=True, slots=True)
class TableSet:
    """A checked table set.

    Attributes
    ----------
    blobs, manifests, bindings, indexes : the tables.
    is_history : the bindings are ``tag_events``, not ``tags``.
    repositories, tags, platforms, media_types : names; a name's place is its code.
    """

    blobs: Blobs
    manifests: Manifests
    bindings: Bindings
    indexes: Indexes
    is_history: bool
    repositories: tuple[str, ...]
    tags: tuple[str, ...]
    platforms: tuple[str, ...]
    media_types: tuple[str, ...]
