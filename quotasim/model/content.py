"""Content: what digests mean. One append-only catalogue of blobs, manifests and their descriptors, shared by all
branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.errors import DigestConflict, InvalidDigest, ManifestTooLarge
from quotasim.kernels import NULL, descriptors
from quotasim.kernels.layout import FLAG_FOREIGN, FLAG_SHA512, FLAG_UNKNOWN_SIZE, KIND_INDEX, ROLE_OWN, Graph
from quotasim.model.columns import Appendable
from quotasim.model.digests import SHA512, DigestArray, DigestTable, digests_from_strings, format_digest, format_digests
from quotasim.model.names import StringIndex
from quotasim.model.oci import Kind, is_foreign

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int32]

LARGEST_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ManifestBatch:
    """Manifests to be interned: n manifests with E descriptors in their listed order, repeats kept.

    Attributes
    ----------
    blob : int32[n], each manifest's own bytes.
    kind : uint8[n], :class:`quotasim.model.oci.Kind`.
    indptr : int64[n + 1]; manifest i lists ``target[indptr[i]:indptr[i + 1]]``.
    target : int32[E], blob rows; an index lists its children's own blobs.
    role : uint8[E], :class:`quotasim.model.oci.Role` bits.
    subject : int32[n], blob rows or NULL; None: no manifest has one.
    platform, artifact_type : int32[n], rows of ``Content.platforms`` and ``Content.artifact_types``; None: all unknown.
    """

    blob: Array
    kind: Array
    indptr: Array
    target: Array
    role: Array
    subject: Array | None = None
    platform: Array | None = None
    artifact_type: Array | None = None


class Content:
    """The catalogue. A mention is not presence: what is stored or linked is state.

    Examples
    --------
    >>> content = Content()
    >>> digests = digests_from_strings(["sha256:" + "0" * 64, "sha256:" + "1" * 64])
    >>> content.add_blobs(digests, np.array([7, 9])).tolist()
    [0, 1]
    >>> content.add_blobs(digests, np.array([7, 8]))
    Traceback (most recent call last):
    quotasim.errors.DigestConflict: ...
    """

    def __init__(self) -> None:
        self._digests = DigestTable(4)
        self._sha512 = DigestTable(8)
        self._sha512_blob = Appendable(np.int32)
        self._sha512_row: dict[int, int] = {}
        self._size = Appendable(np.int64)
        self._flags = Appendable(np.uint8)
        self._media_type = Appendable(np.uint16)
        self._blob_manifest = Appendable(np.int32)
        self._own = Appendable(np.int32)
        self._kind = Appendable(np.uint8)
        self._logical = Appendable(np.int64)
        self._subject = Appendable(np.int32)
        self._platform = Appendable(np.uint16)
        self._artifact_type = Appendable(np.uint16)
        self._indptr = Appendable(np.int64)
        self._indptr.extend([0])
        self._target = Appendable(np.int32)
        self._role = Appendable(np.uint8)
        self._repeat_descriptor = Appendable(np.int64)
        self._repeat_extra = Appendable(np.int32)
        self._special = False
        self._awaited: dict[int, list[int]] = {}  # blob of an unknown child -> indexes that list it
        self._late: list[tuple[int, int]] = []  # (manifest, index that listed it before it was known)
        self._relations: tuple[Array, Array, Array, Array] | None = None
        self._holders_by_blob: tuple[int, Array, Array] | None = None
        self.media_types = StringIndex([""])
        self.platforms = StringIndex([""])
        self.artifact_types = StringIndex([""])

    # --- sizes ------------------------------------------------------------------------------------------------
    @property
    def blob_count(self) -> int:
        """Number of blobs ever mentioned."""
        return len(self._size)

    @property
    def manifest_count(self) -> int:
        """Number of manifests ever mentioned with their content."""
        return len(self._own)

    @property
    def descriptor_count(self) -> int:
        """Number of descriptors, repeats folded."""
        return len(self._target)

    @property
    def has_special_blobs(self) -> bool:
        """Whether any blob is foreign or of unknown size: kernels look at flags only then."""
        return self._special

    @property
    def nbytes(self) -> int:
        """Bytes held by the catalogue's arrays."""
        own = (value for value in vars(self).values() if isinstance(value, Appendable))
        return sum(array.nbytes for array in own) + self._digests.nbytes + self._sha512.nbytes

    def reserve(self, *, blobs: int = 0, manifests: int = 0, references: int = 0) -> None:
        """Make room for a bulk load, so that arrays are sized once and exactly."""
        self._digests.reserve(blobs)
        for blob_column in (self._size, self._flags, self._media_type, self._blob_manifest):
            blob_column.reserve(blobs)
        columns = (self._own, self._kind, self._logical, self._subject, self._platform, self._artifact_type)
        for manifest_column in columns:
            manifest_column.reserve(manifests)
        self._indptr.reserve(manifests + 1)
        self._target.reserve(references)
        self._role.reserve(references)

    # --- blobs ------------------------------------------------------------------------------------------------
    def add_blobs(self, digests: DigestArray, size: Array, media_type: Array | None = None) -> Ids:
        """Intern blobs; returns their rows, int32[n]. O(n).

        Parameters
        ----------
        digests : n digests, repeats allowed.
        size : int64[n] bytes; NULL where unknown.
        media_type : int32[n] rows of ``media_types``; kept from the first mention.

        Raises
        ------
        DigestConflict : a digest is known, or given twice, with another size, or once as foreign and once not.
        """
        count = len(digests)
        size = np.asarray(size, np.int64)
        codes = np.zeros(count, np.uint16) if media_type is None else np.asarray(media_type).astype(np.uint16)
        known = self.blob_count
        rows = self._intern(digests)
        fresh = rows >= known
        foreign_types = np.array([is_foreign(name) for name in self.media_types.values])
        flags = np.where(foreign_types[codes], FLAG_FOREIGN, 0).astype(np.uint8)
        flags |= np.where(size == NULL, FLAG_UNKNOWN_SIZE, 0).astype(np.uint8)
        flags |= np.where(digests.algorithm == SHA512, FLAG_SHA512, 0).astype(np.uint8)
        new = len(self._digests) - known
        if new:
            # Written from the last mention to the first, so that the first one stands.
            at = rows[fresh][::-1] - known
            fields = ((self._size, np.where(size == NULL, 0, size)), (self._flags, flags), (self._media_type, codes))
            for column, values in fields:
                block = np.zeros(new, values.dtype)
                block[at] = values[fresh][::-1]
                column.extend(block)
            self._special = self._special or bool(np.any(flags & (FLAG_FOREIGN | FLAG_UNKNOWN_SIZE)))
            self._blob_manifest.extend(np.full(new, NULL, np.int32))
        self._check_conflicts(digests, rows, size, flags)
        return rows

    def _intern(self, digests: DigestArray) -> Ids:
        """Return the blob rows of the digests, making rows for new ones in order of first appearance."""
        wide = digests.algorithm == SHA512
        if not wide.any():
            return self._digests.intern(digests.words256)
        rows = np.empty(len(digests), np.int32)
        rows[~wide] = self._digests.intern(np.ascontiguousarray(digests.words256[~wide]))
        known = len(self._sha512)
        wide_rows = self._sha512.intern(digests.words512)
        fresh = len(self._sha512) - known
        if fresh:
            # Every blob has a row in the sha256 table, so that row number = blob id; no look-up finds these.
            first = self._digests.append_unhashed(np.zeros((fresh, 4), np.uint64))
            self._sha512_blob.extend(np.arange(first, first + fresh, dtype=np.int32))
            for k in range(fresh):
                self._sha512_row[first + k] = known + k
        rows[wide] = self._sha512_blob.rows[wide_rows]
        return rows

    def _check_conflicts(self, digests: DigestArray, rows: Ids, size: Array, flags: Array) -> None:
        """Refuse digests that are known with another size, or differ in being foreign."""
        known_flags = self._flags.rows[rows]
        known_unknown = (known_flags & FLAG_UNKNOWN_SIZE) != 0
        conflict = (size != NULL) & (known_unknown | (self._size.rows[rows] != size))
        if conflict.any():
            at = int(np.flatnonzero(conflict)[0])
            before = None if known_unknown[at] else int(self._size.rows[rows[at]])
            raise DigestConflict(self.digest(int(rows[at])), before, int(size[at]))
        conflict = ((known_flags ^ flags) & FLAG_FOREIGN) != 0
        if conflict.any():
            at = int(np.flatnonzero(conflict)[0])
            known = bool(known_flags[at] & FLAG_FOREIGN)
            raise DigestConflict(self.digest(int(rows[at])), known, not known, field="foreign")

    def add_blob(self, digest: str, size: int | None, media_type: str = "") -> int:
        """Intern one blob; returns its row. See :meth:`add_blobs`."""
        code = np.array([self.media_types.add(media_type)])
        given = NULL if size is None else size
        return int(self.add_blobs(digests_from_strings([digest]), np.array([given], np.int64), code)[0])

    def find_blob(self, digest: str) -> int:
        """Return the row of ``digest``, or NULL if it was never mentioned."""
        digests = digests_from_strings([digest])
        if digests.algorithm[0] != SHA512:
            return int(self._digests.find(digests.words256)[0])
        row = int(self._sha512.find(digests.words512)[0])
        return NULL if row == NULL else int(self._sha512_blob.rows[row])

    def digest(self, blob: int) -> str:
        """Return the digest of a blob row as ``algorithm:hex``."""
        wide = self._sha512_row.get(blob)
        if wide is not None:
            return format_digest(SHA512, self._sha512.raw_bytes(wide))
        return format_digest(0, self._digests.raw_bytes(blob))

    def digests(self, blobs: Array) -> list[str]:
        """Return the digests of blob rows as text. O(len(blobs))."""
        return format_digests(self.digest_array(blobs))

    def digest_array(self, blobs: Array) -> DigestArray:
        """Return the digests of blob rows as a column. O(len(blobs))."""
        rows = np.asarray(blobs, np.int64)
        algorithm = ((self._flags.rows[rows] & FLAG_SHA512) != 0).astype(np.uint8)
        words = self._digests.words[rows]
        # Rows of sha512 digests ascend with their blobs.
        wide = self._sha512.words[np.searchsorted(self._sha512_blob.rows, rows[algorithm == SHA512])]
        words[algorithm == SHA512] = wide[:, :4]
        return DigestArray(algorithm=algorithm, words256=words, words512=wide)

    def find_manifest(self, digest: str) -> int:
        """Return the manifest row of ``digest``, or NULL."""
        blob = self.find_blob(digest)
        return NULL if blob == NULL else int(self._blob_manifest.rows[blob])

    # --- manifests --------------------------------------------------------------------------------------------
    def add_manifests(self, batch: ManifestBatch) -> Ids:
        """Intern manifests; returns their rows, int32[n]. O(descriptors).

        A manifest that is known keeps its row; it must list the same blobs.

        Raises
        ------
        DigestConflict : a manifest is known, or given twice, with other descriptors.
        ManifestTooLarge : its distinct blobs sum to more than 2**63 - 1 bytes.
        InvalidDigest : a manifest contains itself, or indexes contain each other.
        """
        folded = self._fold(batch)
        _, first = np.unique(batch.blob, return_index=True)
        is_first = np.zeros(batch.blob.shape[0], bool)
        is_first[first] = True
        is_new = is_first & (self._blob_manifest.rows[batch.blob] == NULL)
        self._append(batch, folded, np.flatnonzero(is_new))
        rows = self._blob_manifest.rows[batch.blob].astype(np.int32)
        again = np.flatnonzero(~is_new)
        if again.size:
            indptr, target = _rows_of(folded[0], folded[1], again)
            at = descriptors.first_difference(self._indptr.rows, self._target.rows, rows[again], indptr, target)
            if at >= 0:
                row = rows[again[at]]
                before = self._indptr.rows[row + 1] - self._indptr.rows[row]
                given = indptr[at + 1] - indptr[at]
                raise DigestConflict(self.digest(int(self._own.rows[row])), int(before), int(given), "descriptors")
        return rows

    def _fold(self, batch: ManifestBatch) -> tuple[Array, Array, Array, Array]:
        """Return (indptr, target, role, times) of the batch with repeats folded."""
        count = batch.target.shape[0]
        indptr = np.empty(batch.indptr.shape[0], np.int64)
        target = np.empty(count, np.int32)
        role = np.empty(count, np.uint8)
        times = np.empty(count, np.int32)
        kept = descriptors.fold_repeats(
            np.ascontiguousarray(batch.indptr, np.int64),
            np.ascontiguousarray(batch.target, np.int32),
            np.ascontiguousarray(batch.role, np.uint8),
            np.zeros(self.blob_count, np.int64),
            indptr,
            target,
            role,
            times,
        )
        return indptr, target[:kept], role[:kept], times[:kept]

    def _append(self, batch: ManifestBatch, folded: tuple[Array, Array, Array, Array], new: Array) -> None:
        """Append the manifests at positions ``new`` of the batch."""
        if new.size == 0:
            return
        indptr, target, role, times = folded
        if new.size != batch.blob.shape[0]:
            starts, stops = indptr[new], indptr[new + 1]
            picked = _ranges(starts, stops)
            indptr = np.concatenate(([0], np.cumsum(stops - starts)))
            target, role, times = target[picked], role[picked], times[picked]
        own = np.ascontiguousarray(batch.blob[new], np.int32)
        kind = np.ascontiguousarray(batch.kind[new], np.uint8)
        if np.any(target == np.repeat(own, np.diff(indptr))):
            at = np.flatnonzero(target == np.repeat(own, np.diff(indptr)))[0]
            raise InvalidDigest(self.digest(int(target[at])), "a manifest cannot contain itself")
        logical = np.empty(new.size, np.int64)
        descriptors.logical_sizes(indptr, target, own, kind, self._size.rows, logical)
        if np.any(logical < 0):
            at = int(np.flatnonzero(logical < 0)[0])
            listed = int(self._size.rows[own[at]])
            listed += sum(int(size) for size in self._size.rows[target[indptr[at] : indptr[at + 1]]])
            raise ManifestTooLarge(self.digest(int(own[at])), listed, LARGEST_SIZE)
        first = self.manifest_count
        base = self.descriptor_count
        self._own.extend(own)
        self._kind.extend(kind)
        self._logical.extend(logical)
        self._subject.extend(np.full(new.size, NULL) if batch.subject is None else batch.subject[new])
        self._platform.extend(np.zeros(new.size) if batch.platform is None else batch.platform[new])
        self._artifact_type.extend(np.zeros(new.size) if batch.artifact_type is None else batch.artifact_type[new])
        self._indptr.extend(indptr[1:] + base)
        self._target.extend(target)
        self._role.extend(role)
        repeated = np.flatnonzero(times > 1)
        self._repeat_descriptor.extend(repeated + base)
        self._repeat_extra.extend(times[repeated] - 1)
        self._blob_manifest.rows[own] = np.arange(first, first + new.size, dtype=np.int32)
        self._relate(own, kind, first)

    def _relate(self, own: Array, kind: Array, first: int) -> None:
        """Keep track of indexes and subjects among the manifests from row ``first`` on."""
        if np.any(self._subject.rows[first:] != NULL):
            self._relations = None
        if self._awaited:
            for k, blob in enumerate(own.tolist()):
                for index in self._awaited.pop(blob, ()):
                    self._late.append((first + k, index))
                    self._relations = None
        indexes = first + np.flatnonzero(kind == Kind.INDEX)
        if indexes.size == 0:
            return
        indptr, listed = _rows_of(self._indptr.rows, self._target.rows, indexes)
        parent, child = np.repeat(indexes, np.diff(indptr)), self._blob_manifest.rows[listed]
        for at in np.flatnonzero(child == NULL).tolist():
            self._awaited.setdefault(int(listed[at]), []).append(int(parent[at]))
        nested = (child != NULL) & (self._kind.rows[child] == Kind.INDEX)
        for index in dict.fromkeys(parent[nested].tolist()):
            self._refuse_ring(index)

    def _refuse_ring(self, start: int) -> None:
        """Refuse an index that contains itself through its children (possible only where digests were not checked)."""
        seen = {start}
        stack = [start]
        while stack:
            m = stack.pop()
            children = self._blob_manifest.rows[self._target.rows[self._indptr.rows[m] : self._indptr.rows[m + 1]]]
            for child in children[children != NULL].tolist():
                if child == start:
                    raise InvalidDigest(self.digest(int(self._own.rows[start])), "an index cannot contain itself")
                if child not in seen and self._kind.rows[child] == Kind.INDEX:
                    seen.add(child)
                    stack.append(child)

    def restore_late(self, child: Array, index: Array) -> None:
        """Take over ``late_child`` and ``late_index`` as :meth:`graph` gave them (a snapshot)."""
        self._late = list(zip(child.tolist(), index.tolist(), strict=True))
        self._relations = None

    # --- reading ----------------------------------------------------------------------------------------------
    def graph(self) -> Graph:
        """Return the arrays as kernels read them (views)."""
        if self._relations is None:
            with_subject = np.flatnonzero(self._subject.rows != NULL).astype(np.int32)
            order = np.argsort(self._subject.rows[with_subject], kind="stable")
            referrer = with_subject[order]
            late = np.array(sorted(self._late), np.int32).reshape(-1, 2)
            self._relations = (
                self._subject.rows[referrer].astype(np.int32),
                referrer,
                np.ascontiguousarray(late[:, 0]),
                np.ascontiguousarray(late[:, 1]),
            )
        return Graph(
            self._indptr.rows,
            self._target.rows,
            self._role.rows,
            self._own.rows,
            self._kind.rows,
            self._logical.rows,
            self._subject.rows,
            self._size.rows,
            self._flags.rows,
            self._blob_manifest.rows,
            *self._relations,
        )

    @property
    def media_type(self) -> Array:
        """Row in ``media_types`` of every blob, uint16[B]."""
        return self._media_type.rows

    @property
    def platform(self) -> Array:
        """Row in ``platforms`` of every manifest, uint16[M]."""
        return self._platform.rows

    @property
    def artifact_type(self) -> Array:
        """Row in ``artifact_types`` of every manifest, uint16[M]."""
        return self._artifact_type.rows

    @property
    def repeats(self) -> tuple[Array, Array]:
        """(descriptor rows int64[K], further times int32[K]) of descriptors that their manifest lists more than
        once.
        """
        return self._repeat_descriptor.rows, self._repeat_extra.rows

    def repeated_bytes(self) -> tuple[Array, Array]:
        """Return (manifests int32[K], bytes that repeats add beyond the first listing, int64[K])."""
        at, extra = self.repeats
        manifest = np.searchsorted(self._indptr.rows, at, side="right") - 1
        return manifest.astype(np.int32), self._size.rows[self._target.rows[at]] * extra.astype(np.int64)

    def targets(self, manifest: int) -> Array:
        """Return the blob rows that a manifest names, in order of first appearance (a view)."""
        return self._target.rows[self._indptr.rows[manifest] : self._indptr.rows[manifest + 1]]

    def roles(self, manifest: int) -> Array:
        """Return the roles beside :meth:`targets` (a view)."""
        return self._role.rows[self._indptr.rows[manifest] : self._indptr.rows[manifest + 1]]

    def digest_table(self) -> tuple[DigestTable, DigestTable, Array]:
        """Return (sha256 table, sha512 table, blob rows of the sha512 rows), for writing snapshots."""
        return self._digests, self._sha512, self._sha512_blob.rows

    def manifests_by_blob(self) -> tuple[Array, Array]:
        """Return the transposed descriptors as CSR: manifests that name blob b = rows[indptr[b]:indptr[b + 1]].
        O(E) once.
        """
        if self._holders_by_blob is None or self._holders_by_blob[0] != self.manifest_count:
            graph = self.graph()
            indptr = np.zeros(self.blob_count + 1, np.int64)
            rows = np.empty(self.descriptor_count, np.int32)
            descriptors.transpose(graph.indptr, graph.target, indptr, rows)
            self._holders_by_blob = (self.manifest_count, indptr, rows)
        _, indptr, rows = self._holders_by_blob
        if indptr.shape[0] <= self.blob_count:  # blobs mentioned since, by no manifest
            indptr = np.concatenate((indptr, np.full(self.blob_count + 1 - indptr.shape[0], indptr[-1])))
        return indptr, rows


def _ranges(starts: Array, stops: Array) -> Array:
    """Return all integers of the half-open ranges, one range after the other."""
    lengths = stops - starts
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if ends.size else 0
    return np.asarray(np.arange(total) + np.repeat(starts - (ends - lengths), lengths))


def _rows_of(indptr: Array, values: Array, rows: Array) -> tuple[Array, Array]:
    """Return the CSR of some rows of a CSR."""
    starts, stops = indptr[rows], indptr[rows + 1]
    new = np.concatenate(([0], np.cumsum(stops - starts))).astype(np.int64)
    return new, np.ascontiguousarray(values[_ranges(starts, stops)])


def descriptor_rows(content: Content, manifests: Sequence[int] | Array) -> Array:
    """Return the descriptor rows of some manifests, int64, in their order. O(descriptors of them)."""
    rows = np.asarray(manifests, np.int64)
    indptr = content.graph().indptr
    return _ranges(indptr[rows], indptr[rows + 1])


def named_blobs(content: Content, manifests: Array) -> tuple[Array, Array, Array]:
    """Return the blobs of some manifests: its own bytes and, of an image, what it names, each once.

    Returns
    -------
    (places in ``manifests`` int64[n], blob rows int64[n], ROLE_* bits uint8[n]). O(descriptors of them).
    """
    graph = content.graph()
    own = np.full(manifests.shape[0], ROLE_OWN, np.uint8)
    place = np.flatnonzero(graph.kind[manifests] != KIND_INDEX)
    images = manifests[place]
    rows = descriptor_rows(content, images)
    named = np.repeat(place, graph.indptr[images + 1] - graph.indptr[images])
    return (
        np.concatenate((np.arange(manifests.shape[0]), named)),
        np.concatenate((graph.own[manifests], graph.target[rows])).astype(np.int64),
        np.concatenate((own, graph.role[rows])),
    )
