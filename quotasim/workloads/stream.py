"""`Stream`: columns of content and operations, put together to a trace. Shared by all generators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from quotasim.errors import InvalidValue
from quotasim.importers.checks import LAST_TIME
from quotasim.importers.trace_table import TraceBlobs, TraceManifests, TraceOp, TraceTable
from quotasim.kernels import NULL
from quotasim.model.digests import DigestArray
from quotasim.model.oci import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Kind
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.parameters import Removal

__all__ = ["CONFIG_SIZE", "LAYER_SIZE", "Stream", "rows_of", "table_of"]

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

MANIFEST_BYTES: Final = 400
DESCRIPTOR_BYTES: Final = 150
"""About what an OCI manifest takes in JSON: its frame with the config, and each layer or child."""

CONFIG_SIZE: Final = Distribution((0, 0.5, 1), (1_200, 4_000, 20_000), "log")
"""Bytes of configs: from an image of one command to one of dozens. A choice: the real history has none."""

LAYER_SIZE: Final = Distribution((0, 0.1, 0.5, 0.9, 1), (300, 5_000, 4_000_000, 80_000_000, 600_000_000), "log")
"""Bytes of the layers of an application. A choice; :func:`quotasim.workloads.hub_like` has the real ones."""

_LAYER_TYPE, _MANIFEST_TYPE, _INDEX_TYPE = range(3)
_MEDIA_TYPES: Final = (OCI_LAYER_GZIP, OCI_MANIFEST, OCI_INDEX)
_MOST_ROWS: Final = 2**31 - 2
_COLUMNS: Final = ("repository", "tag", "manifest", "blob", "upload")


def rows_of(counts: Longs) -> tuple[Longs, Longs]:
    """Return (indptr int64[n+1], row of each element int64[sum]) of rows with so many elements."""
    indptr = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    return indptr, np.repeat(np.arange(counts.size), counts)


def table_of(parts: Sequence[tuple[Longs, Longs]], rows: int) -> tuple[Longs, Longs]:
    """Return (indptr, target) of rows that have the elements of each part one after the other.

    Parameters
    ----------
    parts : (row, element) pairs of equal length; the rows of a part never fall.

    Examples
    --------
    >>> indptr, target = table_of([(np.array([0, 1]), np.array([7, 8])), (np.array([1]), np.array([9]))], 2)
    >>> indptr.tolist(), target.tolist()
    ([0, 1, 3], [7, 8, 9])
    """
    counts = [np.bincount(row, minlength=rows) for row, _ in parts]
    indptr, _ = rows_of(np.sum(counts, axis=0, dtype=np.int64))
    target = np.empty(int(indptr[-1]), np.int64)
    begin = indptr[:-1].copy()
    for (row, element), count in zip(parts, counts, strict=True):
        within = np.arange(row.size) - (np.cumsum(count) - count)[row]
        target[begin[row] + within] = element
        begin += count
    return indptr, target


@dataclass
class _Images:
    """Manifests as they were added, in parts."""

    kind: list[Array] = field(default_factory=list)
    size: list[Array] = field(default_factory=list)
    media_type: list[Array] = field(default_factory=list)
    config: list[Array] = field(default_factory=list)
    subject: list[Array] = field(default_factory=list)
    counts: list[Array] = field(default_factory=list)
    target: list[Array] = field(default_factory=list)
    platform: list[Array] = field(default_factory=list)


class Stream:
    """Collects content and operations, a column at a time.

    Parameters
    ----------
    seed : of the digests, and of what :meth:`rng` gives.
    generator : the generator's name: generators with one seed draw apart.
    """

    def __init__(self, seed: int, generator: str) -> None:
        sequence = np.random.SeedSequence([seed, *generator.encode()])
        drawing, digests = sequence.spawn(2)
        self.rng = np.random.default_rng(drawing)
        self._digests = np.random.default_rng(digests)
        self._blob_sizes: list[Longs] = []
        self._blob_types: list[Rows] = []
        self._known: list[tuple[int, npt.NDArray[np.uint64]]] = []
        self._blobs = self._manifests = self._groups = 0
        self._images = _Images()
        self._operations: list[dict[str, Array]] = []
        self.repositories: Sequence[str] = ()
        self.tags: Sequence[str] = ()
        self.platforms: Sequence[str] = ()

    # -- content ----------------------------------------------------------------------------------------------
    def layers(self, sizes: Array) -> Rows:
        """Add layers of so many bytes; returns their rows."""
        return self._add_blobs(np.maximum(np.rint(sizes).astype(np.int64), 1), _LAYER_TYPE)

    def layer_sets(
        self, how_many: Distribution, size: Distribution, image_set: Longs, sets: int
    ) -> tuple[Longs, Longs]:
        """Add sets of layers, and give each image one; returns (image, layer) pairs for :func:`table_of`.

        Parameters
        ----------
        how_many : layers in a set.
        size : bytes of a layer.
        image_set : int64[M] the set of each image, of ``sets``.
        """
        counts = how_many.whole(self.rng, sets)
        rows = self.layers(size.spread(self.rng, int(counts.sum())))
        begin, wanted = np.cumsum(counts) - counts, counts[image_set]
        indptr, image = rows_of(wanted)
        within = np.arange(image.size) - np.repeat(indptr[:-1], wanted)
        return image, rows[begin[image_set[image]] + within].astype(np.int64)

    @property
    def sizes(self) -> Longs:
        """Bytes of all layers and configs so far, int64[n], by row."""
        return np.concatenate(self._blob_sizes)

    def known_layer(self, digest: npt.NDArray[np.uint64], size: int) -> Rows:
        """Add one layer whose digest, uint64[4], is given."""
        self._known.append((self._blobs, digest))
        return self._add_blobs(np.array([size]), _LAYER_TYPE)

    def _add_blobs(self, sizes: Longs, media_type: int) -> Rows:
        first = self._blobs
        self._blobs += sizes.size
        if self._blobs > _MOST_ROWS:
            raise InvalidValue("blobs", self._blobs, f"at most {_MOST_ROWS:,} in one stream")
        self._blob_sizes.append(sizes)
        self._blob_types.append(np.full(sizes.size, media_type, np.int32))
        return np.arange(first, self._blobs, dtype=np.int32)

    def images(
        self, indptr: Longs, target: Array, *, config_size: Distribution = CONFIG_SIZE, subject: Rows | None = None
    ) -> Rows:
        """Add image manifests, each with a config of its own; returns their rows.

        Parameters
        ----------
        indptr, target : image m has the layers ``target[indptr[m]:indptr[m + 1]]``, base first.
        subject : rows of manifests.
        """
        count = indptr.size - 1
        config = self._add_blobs(np.rint(config_size.draw(self.rng, count)).astype(np.int64), NULL)
        return self._add_manifests(Kind.IMAGE, _MANIFEST_TYPE, indptr, target, config=config, subject=subject)

    def indexes(self, indptr: Longs, child: Array, platform: Array) -> Rows:
        """Add image indexes over manifests; returns their rows."""
        return self._add_manifests(Kind.INDEX, _INDEX_TYPE, indptr, child, platform=platform)

    def _add_manifests(
        self,
        kind: Kind,
        media_type: int,
        indptr: Longs,
        target: Array,
        *,
        config: Rows | None = None,
        subject: Rows | None = None,
        platform: Array | None = None,
    ) -> Rows:
        counts = np.diff(indptr)
        first = self._manifests
        self._manifests += counts.size
        if self._manifests > _MOST_ROWS:
            raise InvalidValue("manifests", self._manifests, f"at most {_MOST_ROWS:,} in one stream")
        images, nothing = self._images, np.full(counts.size, NULL, np.int32)
        images.kind.append(np.full(counts.size, kind, np.int8))
        images.size.append(MANIFEST_BYTES + DESCRIPTOR_BYTES * counts)
        images.media_type.append(np.full(counts.size, media_type, np.int32))
        images.config.append(nothing if config is None else config)
        images.subject.append(nothing if subject is None else subject.astype(np.int32))
        images.counts.append(counts)
        images.target.append(target.astype(np.int32))
        images.platform.append(np.full(target.size, NULL, np.int32) if platform is None else platform.astype(np.int32))
        return np.arange(first, self._manifests, dtype=np.int32)

    # -- operations -------------------------------------------------------------------------------------------
    def add(
        self,
        op: TraceOp,
        time: Array,
        *,
        repository: Array | int,
        tag: Array | int = NULL,
        manifest: Array | int = NULL,
        blob: Array | int = NULL,
        upload: Array | int = NULL,
        amount: Array | int = 0,
        group: Longs | None = None,
    ) -> Longs:
        """Add operations of one kind; returns the group of each, int64[n].

        Parameters
        ----------
        time : int64[n] microseconds.
        group : operations of one group and time become one batch, in the order in which they were added; by default
            each is alone.
        """
        if group is None:
            group = np.arange(self._groups, self._groups + time.size)
            self._groups += time.size
        row: dict[str, Array] = {"time": time.astype(np.int64), "group": group, "op": np.full(time.size, op, np.uint8)}
        given = {"repository": repository, "tag": tag, "manifest": manifest, "blob": blob, "upload": upload}
        for name, values in given.items():
            row[name] = np.broadcast_to(np.asarray(values, np.int32), time.shape)
        row["amount"] = np.broadcast_to(np.asarray(amount, np.int64), time.shape)
        self._operations.append(row)
        return group

    def remove(self, removal: Removal, time: Array, *, repository: Array, tag: Array, manifest: Array) -> None:
        """Let old images go: their manifests, or their tags."""
        if removal == "delete":
            self.add(TraceOp.DELETE, time, repository=repository, manifest=manifest)
        else:
            self.add(TraceOp.UNTAG, time, repository=repository, tag=tag, manifest=manifest)

    # -- the whole --------------------------------------------------------------------------------------------
    def finish(self) -> TraceTable:
        """Return all operations in order of time, numbered by batch. O(n log n) of the operations.

        Raises
        ------
        InvalidValue : it would end after the year 9999, which traces cannot say.
        """
        column = {name: np.concatenate([part[name] for part in self._operations]) for name in list(self._operations[0])}
        order = np.lexsort((column["group"], column["time"]))
        time, group = column["time"][order], column["group"][order]
        if time[0] < 0 or time[-1] > LAST_TIME:
            raise InvalidValue("start", int(time[-1]), "so early that the stream ends before the year 10000")
        begins = (np.diff(time, prepend=time[:1]) != 0) | (np.diff(group, prepend=group[:1]) != 0)
        images = self._images
        indptr, _ = rows_of(np.concatenate(images.counts))
        return TraceTable(
            time=time,
            batch=np.cumsum(begins).astype(np.int32),
            op=column["op"][order],
            platform=np.full(time.size, NULL, np.int32),
            previous=np.full(time.size, NULL, np.int32),
            amount=column["amount"][order],
            **{name: column[name][order] for name in _COLUMNS},
            blobs=TraceBlobs(self._blob_digests(), np.concatenate(self._blob_sizes), np.concatenate(self._blob_types)),
            manifests=TraceManifests(
                digest=self._draw_digests(self._manifests),
                kind=np.concatenate(images.kind),
                size=np.concatenate(images.size),
                media_type=np.concatenate(images.media_type),
                config=np.concatenate(images.config),
                subject=np.concatenate(images.subject),
                indptr=indptr,
                target=np.concatenate(images.target),
                target_platform=np.concatenate(images.platform),
            ),
            repositories=tuple(self.repositories),
            tags=tuple(self.tags),
            platforms=tuple(self.platforms),
            media_types=_MEDIA_TYPES,
        )

    def _blob_digests(self) -> DigestArray:
        digests = self._draw_digests(self._blobs)
        for row, digest in self._known:
            digests.words256[row] = digest
        return digests

    def _draw_digests(self, count: int) -> DigestArray:
        words = self._digests.integers(0, 2**64, (count, 4), np.uint64)
        # A digest is the same text whatever order the machine has its bytes in.
        return DigestArray.sha256(words.astype("<u8", copy=False).view(np.uint64))
