"""The one workload that all benchmarks use: a registry, its trace, and its image indexes, as columns.

At full size: 1,000,000 image manifests with 10,000,000 references to 2,000,000 blobs, pushed once each into
one of 1,000 namespaces, and 285,106 deletes among the pushes. Blobs are drawn by a Zipf law of exponent 0.8
whose ranks are spread over random ids, so that neither popularity nor namespaces lie together in memory.
Sizes and the number of layers an image has follow the quantiles of the Docker official images of 2015 to
2018 (66,886 manifests). Everything else is plainly synthetic: which layers an image combines, when it goes,
and that digests are random bytes.

Every column follows from the seed and the size; there is no Python object per operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

FULL_MANIFESTS = 1_000_000
FULL_REFERENCES = 10_000_000
FULL_BLOBS = 2_000_000
FULL_NAMESPACES = 1_000
FULL_DELETES = 285_106
FULL_INDEXES = 50_000
SEED = 20_180_127

ZIPF_EXPONENT = 0.8
MOST_LAYERS = 32

QUOTA_SHARE = 0.49
"""Limit of every namespace, as a share of what the average one would use without limits."""

START = 1_767_225_600_000_000  # 2026-01-01T00:00Z in microseconds
SECOND = 1_000_000

# Layer sizes in bytes at these probabilities; between them the logarithm is interpolated.
_SIZE_PROBABILITY = (0.0, 0.05, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1.0)
_SIZE_BYTES = (32.0, 129.0, 359.0, 6_508.0, 12.3e6, 51.8e6, 89.8e6, 212.8e6, 1.0e9)
# Distinct layers a manifest has.
_LAYERS_PROBABILITY = (0.0, 0.05, 0.25, 0.50, 0.75, 0.90, 0.99, 1.0)
_LAYERS = (1.0, 3.0, 6.0, 9.0, 12.0, 15.0, 21.0, 32.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workload:
    """M image manifests, E references, B blobs, N namespaces, T events, I indexes with C children.

    Attributes
    ----------
    blob_digest : uint64[B, 4], raw sha256 bytes seen as words.
    blob_size : int64[B], bytes.
    manifest_digest : uint64[M, 4].
    manifest_size : int64[M], bytes of the manifest itself.
    indptr, target : int64[M + 1], int32[E]; manifest m names blobs ``target[indptr[m]:indptr[m + 1]]``, none
    twice,
        the most popular first.
    namespace : int32[M], where each manifest is pushed.
    limit : int64[N], bytes.
    event_time : int64[T], microseconds since the epoch, UTC, increasing.
    event_manifest : int32[T].
    event_is_delete : uint8[T]; 0 pushes the manifest into its namespace, 1 deletes it there.
    index_digest, index_size : uint64[I, 4], int64[I].
    index_indptr, index_child : int64[I + 1], int32[C]; 2 to 4 manifests of one namespace each, in one index
    at most.
    """

    blob_digest: npt.NDArray[np.uint64]
    blob_size: npt.NDArray[np.int64]
    manifest_digest: npt.NDArray[np.uint64]
    manifest_size: npt.NDArray[np.int64]
    indptr: npt.NDArray[np.int64]
    target: npt.NDArray[np.int32]
    namespace: npt.NDArray[np.int32]
    limit: npt.NDArray[np.int64]
    event_time: npt.NDArray[np.int64]
    event_manifest: npt.NDArray[np.int32]
    event_is_delete: npt.NDArray[np.uint8]
    index_digest: npt.NDArray[np.uint64]
    index_size: npt.NDArray[np.int64]
    index_indptr: npt.NDArray[np.int64]
    index_child: npt.NDArray[np.int32]

    @property
    def manifest_count(self) -> int:
        """M."""
        return self.namespace.size

    @property
    def reference_count(self) -> int:
        """E."""
        return self.target.size

    @property
    def blob_count(self) -> int:
        """B."""
        return self.blob_size.size

    @property
    def namespace_count(self) -> int:
        """N."""
        return self.limit.size

    @property
    def event_count(self) -> int:
        """T."""
        return self.event_manifest.size

    @property
    def references_replayed(self) -> int:
        """References of all events' manifests: what a replay visits if nothing is refused."""
        return int(np.diff(self.indptr)[self.event_manifest].sum())

    def sizes(self) -> dict[str, int]:
        """The figures that a benchmark's result is worth nothing without."""
        return {
            "manifests": self.manifest_count,
            "references": self.reference_count,
            "blobs": self.blob_count,
            "namespaces": self.namespace_count,
            "events": self.event_count,
            "indexes": self.index_size.size,
        }


@lru_cache(maxsize=1)
def workload_of(references: int) -> Workload:
    """The workload of about so many references; the last one is kept."""
    return make_workload(references / FULL_REFERENCES)


def make_workload(fraction: float = 1.0, seed: int = SEED) -> Workload:
    """Draw the workload.

    Parameters
    ----------
    fraction : of the full size; 0.01 is good for a quick look.
    seed : of everything that is drawn.

    Returns
    -------
    The columns, the same for the same arguments. About 5 s and 1.5 GB at the full size.
    """
    rng = np.random.default_rng(seed)
    manifests, references, blobs, namespaces, deletes, indexes = (
        max(2, round(full * fraction))
        for full in (
            FULL_MANIFESTS,
            FULL_REFERENCES,
            FULL_BLOBS,
            FULL_NAMESPACES,
            FULL_DELETES,
            FULL_INDEXES,
        )
    )
    indptr = np.zeros(manifests + 1, np.int64)
    np.cumsum(_layer_counts(rng, manifests, references), out=indptr[1:])
    target = _targets(rng, indptr, blobs)
    blob_size = _blob_sizes(rng, blobs)
    manifest_size = 400 + 150 * np.diff(indptr)
    namespace = rng.integers(0, namespaces, manifests, dtype=np.int32)
    unlimited = _unlimited_bytes(indptr, target, blob_size, namespace) + int(manifest_size.sum())
    event_manifest, event_is_delete = _events(rng, manifests, deletes)
    index_indptr, index_child = _indexes(rng, namespace, indexes)
    return Workload(
        blob_digest=_digests(rng, blobs),
        blob_size=blob_size,
        manifest_digest=_digests(rng, manifests),
        manifest_size=manifest_size,
        indptr=indptr,
        target=target,
        namespace=namespace,
        limit=np.full(namespaces, int(QUOTA_SHARE * unlimited / namespaces), np.int64),
        event_time=START + SECOND * np.arange(event_manifest.size),
        event_manifest=event_manifest,
        event_is_delete=event_is_delete,
        index_digest=_digests(rng, index_indptr.size - 1),
        index_size=400 + 300 * np.diff(index_indptr),
        index_indptr=index_indptr,
        index_child=index_child,
    )


def _digests(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint64]:
    return rng.integers(0, 2**64, (count, 4), dtype=np.uint64)


def _between(
    rng: np.random.Generator,
    count: int,
    probability: tuple[float, ...],
    value: npt.NDArray[np.float64] | tuple[float, ...],
) -> npt.NDArray[np.float64]:
    """Draw from the distribution that has these quantiles and is uniform between them."""
    return np.interp(rng.random(count), probability, value)


def _blob_sizes(rng: np.random.Generator, blobs: int) -> npt.NDArray[np.int64]:
    return np.exp(_between(rng, blobs, _SIZE_PROBABILITY, np.log(_SIZE_BYTES))).astype(np.int64)


def _layer_counts(rng: np.random.Generator, manifests: int, references: int) -> npt.NDArray[np.int64]:
    """Distinct layers of each manifest, 1 to MOST_LAYERS, ``references`` in all."""
    count = np.rint(_between(rng, manifests, _LAYERS_PROBABILITY, _LAYERS)).astype(np.int64)
    while (short := references - int(count.sum())) != 0:
        step = 1 if short > 0 else -1
        able = np.flatnonzero(count < MOST_LAYERS if short > 0 else count > 1)
        count[rng.choice(able, min(abs(short), able.size), replace=False)] += step
    return count


def _targets(rng: np.random.Generator, indptr: npt.NDArray[np.int64], blobs: int) -> npt.NDArray[np.int32]:
    """Draw each manifest's blobs without repeats, the most popular first."""
    weight = np.cumsum(np.arange(1, blobs + 1) ** -ZIPF_EXPONENT)
    weight /= weight[-1]
    manifest = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    drawn = np.searchsorted(weight, np.sort(rng.random(manifest.size)))
    rng.shuffle(drawn)
    key = manifest * blobs + drawn
    while True:
        key.sort()
        again = np.flatnonzero(key[1:] == key[:-1])
        if not again.size:
            break
        key[again] += np.searchsorted(weight, rng.random(again.size)) - key[again] % blobs
    rows: npt.NDArray[np.int32] = rng.permutation(blobs).astype(np.int32)[key - manifest * blobs]
    return rows


def _unlimited_bytes(
    indptr: npt.NDArray[np.int64],
    target: npt.NDArray[np.int32],
    blob_size: npt.NDArray[np.int64],
    namespace: npt.NDArray[np.int32],
) -> int:
    """Bytes of the blobs of all manifests, each blob once in each namespace."""
    pair = np.repeat(namespace.astype(np.int64), np.diff(indptr)) * blob_size.size + target
    pair.sort()
    first = np.append(True, pair[1:] != pair[:-1])
    return int(blob_size[pair[first] % blob_size.size].sum())


def _events(
    rng: np.random.Generator, manifests: int, deletes: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Push the manifests in the order of their rows, each delete at any time after its push."""
    deleted = rng.choice(manifests, deletes, replace=False)
    when = np.concatenate((np.arange(manifests), deleted + rng.random(deletes) * (manifests - deleted)))
    order = np.argsort(when, kind="stable")
    event_manifest = np.concatenate((np.arange(manifests), deleted))[order].astype(np.int32)
    return event_manifest, (order >= manifests).astype(np.uint8)


def _indexes(
    rng: np.random.Generator, namespace: npt.NDArray[np.int32], indexes: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Bundle 2 to 4 manifests of one namespace into each index."""
    neighbours = np.argsort(namespace, kind="stable").astype(np.int32)
    blocks = neighbours[: neighbours.size // 4 * 4].reshape(-1, 4)
    of_one = blocks[namespace[blocks[:, 0]] == namespace[blocks[:, 3]]]
    chosen = of_one[rng.choice(of_one.shape[0], min(indexes, of_one.shape[0]), replace=False)]
    degree = rng.integers(2, 5, chosen.shape[0])
    indptr = np.zeros(degree.size + 1, np.int64)
    np.cumsum(degree, out=indptr[1:])
    return indptr, chosen[np.arange(4) < degree[:, None]]
