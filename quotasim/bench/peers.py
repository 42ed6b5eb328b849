"""What one would write without quotasim, as fast as it goes: plain dicts, NumPy and Arrow; the same answers.

The replays keep what ours keeps: who holds what in each namespace and in the registry, charged, unique and
stored bytes, and for every event whether it was refused and by how much each figure changed. Preparing
lists, and switching the garbage collector off, is the caller's: it is not in the time.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow

from quotasim.bench.workload import Workload

Bytes = npt.NDArray[np.int64]
pa: Any = pyarrow  # its stubs do not know that arrays of numbers are numpy's


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Keep Python's garbage collector from walking millions of ints: it takes a quarter of a dict replay."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


# -- replay --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The workload as plain lists."""

    events: list[tuple[int, int]]
    """(manifest, 1 if it is deleted and 0 if it is pushed)."""
    blobs: list[list[int]]
    """Of each manifest."""
    blob_size: list[int]
    manifest_size: list[int]
    namespace: list[int]
    limit: list[int]


def plain_trace(workload: Workload) -> Trace:
    """Turn the columns into lists: what a loop over Python objects reads fastest."""
    target, ends = workload.target.tolist(), workload.indptr.tolist()
    return Trace(
        list(zip(workload.event_manifest.tolist(), workload.event_is_delete.tolist(), strict=True)),
        [target[start:stop] for start, stop in itertools.pairwise(ends)],
        workload.blob_size.tolist(),
        workload.manifest_size.tolist(),
        workload.namespace.tolist(),
        workload.limit.tolist(),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """Outcome of a replay of T events: what changed, and what holds at the end.

    Attributes
    ----------
    refused : T times 0 or 1.
    charged, unique, stored : signed deltas of each event, bytes.
    used : charged bytes of each namespace at the end.
    holders : live manifests that contain each blob, at the end.
    """

    refused: bytearray
    charged: list[int]
    unique: list[int]
    stored: list[int]
    used: list[int]
    holders: list[int]


def replay_by_namespace(trace: Trace) -> Replayed:
    """Replay with a dict from blob to count for each namespace."""
    blobs, blob_size, manifest_size = trace.blobs, trace.blob_size, trace.manifest_size
    namespace, limit = trace.namespace, trace.limit
    count = len(trace.events)
    refused = bytearray(count)
    charged, unique, stored = [0] * count, [0] * count, [0] * count
    held: list[dict[int, int]] = [{} for _ in limit]
    used = [0] * len(limit)
    holders = [0] * len(blob_size)
    on_disk = bytearray(len(blob_size))
    manifest_on_disk = bytearray(len(manifest_size))
    live = bytearray(len(manifest_size))
    for event, (manifest, is_delete) in enumerate(trace.events):
        scope = namespace[manifest]
        counts = held[scope]
        if not is_delete:
            if live[manifest]:
                continue
            named = blobs[manifest]
            own = manifest_size[manifest]
            new = [blob for blob in named if blob not in counts]
            needed = own + sum([blob_size[blob] for blob in new])
            if used[scope] + needed > limit[scope]:
                refused[event] = 1
                continue
            live[manifest] = 1
            used[scope] += needed
            charged[event] = needed
            first_held = own
            first_stored = 0
            if not manifest_on_disk[manifest]:
                manifest_on_disk[manifest] = 1
                first_stored = own
            if len(new) < len(named):
                for blob in named:
                    if blob in counts:
                        counts[blob] += 1
            for blob in new:
                counts[blob] = 1
            for blob in named:
                if holders[blob]:
                    holders[blob] += 1
                else:
                    holders[blob] = 1
                    first_held += blob_size[blob]
                    if not on_disk[blob]:
                        on_disk[blob] = 1
                        first_stored += blob_size[blob]
            unique[event] = first_held
            stored[event] = first_stored
        elif live[manifest]:
            live[manifest] = 0
            freed = last_held = manifest_size[manifest]
            for blob in blobs[manifest]:
                if counts[blob] == 1:
                    del counts[blob]
                    freed += blob_size[blob]
                else:
                    counts[blob] -= 1
                if holders[blob] == 1:
                    last_held += blob_size[blob]
                holders[blob] -= 1
            used[scope] -= freed
            charged[event] = -freed
            unique[event] = -last_held
    return Replayed(refused, charged, unique, stored, used, holders)


def replay_by_pair(trace: Trace) -> Replayed:
    """Replay with one dict from namespace * B + blob to count."""
    blobs, blob_size, manifest_size = trace.blobs, trace.blob_size, trace.manifest_size
    namespace, limit = trace.namespace, trace.limit
    count = len(trace.events)
    refused = bytearray(count)
    charged, unique, stored = [0] * count, [0] * count, [0] * count
    held: dict[int, int] = {}
    count_of = held.get
    used = [0] * len(limit)
    holders = [0] * len(blob_size)
    on_disk = bytearray(len(blob_size))
    manifest_on_disk = bytearray(len(manifest_size))
    live = bytearray(len(manifest_size))
    for event, (manifest, is_delete) in enumerate(trace.events):
        scope = namespace[manifest]
        first = scope * len(blob_size)
        if not is_delete:
            if live[manifest]:
                continue
            named = blobs[manifest]
            own = manifest_size[manifest]
            before = [count_of(first + blob, 0) for blob in named]
            needed = own + sum([blob_size[blob] for blob, n in zip(named, before, strict=True) if not n])
            if used[scope] + needed > limit[scope]:
                refused[event] = 1
                continue
            live[manifest] = 1
            used[scope] += needed
            charged[event] = needed
            first_held = own
            first_stored = 0
            if not manifest_on_disk[manifest]:
                manifest_on_disk[manifest] = 1
                first_stored = own
            for blob, n in zip(named, before, strict=True):
                held[first + blob] = n + 1
                n = holders[blob]
                holders[blob] = n + 1
                if not n:
                    first_held += blob_size[blob]
                    if not on_disk[blob]:
                        on_disk[blob] = 1
                        first_stored += blob_size[blob]
            unique[event] = first_held
            stored[event] = first_stored
        elif live[manifest]:
            live[manifest] = 0
            freed = last_held = manifest_size[manifest]
            for blob in blobs[manifest]:
                n = held[first + blob] - 1
                held[first + blob] = n
                if not n:
                    freed += blob_size[blob]
                n = holders[blob] - 1
                holders[blob] = n
                if not n:
                    last_held += blob_size[blob]
            used[scope] -= freed
            charged[event] = -freed
            unique[event] = -last_held
    return Replayed(refused, charged, unique, stored, used, holders)


# -- mark and sweep ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Images and indexes over one numbering of blobs: layers, then each image's own, then each index's own.

    Attributes
    ----------
    indptr, target : int64[M + 1], int32[E]; layers of each image.
    own, index_own : int32[M], int32[I]; the blob that each is.
    index_indptr, index_child : int64[I + 1], int32[C]; images of each index.
    blob_size : int64[B + M + I], bytes.
    """

    indptr: npt.NDArray[np.int64]
    target: npt.NDArray[np.int32]
    own: npt.NDArray[np.int32]
    index_indptr: npt.NDArray[np.int64]
    index_child: npt.NDArray[np.int32]
    index_own: npt.NDArray[np.int32]
    blob_size: Bytes


def plain_graph(workload: Workload) -> Graph:
    """The workload's images and indexes as plain columns."""
    layers, images, indexes = workload.blob_count, workload.manifest_count, workload.index_size.size
    return Graph(
        workload.indptr,
        workload.target,
        np.arange(layers, layers + images, dtype=np.int32),
        workload.index_indptr,
        workload.index_child,
        np.arange(layers + images, layers + images + indexes, dtype=np.int32),
        np.concatenate((workload.blob_size, workload.manifest_size, workload.index_size)),
    )


def mark_and_sweep(
    graph: Graph,
    image_root: npt.NDArray[np.bool_],
    index_root: npt.NDArray[np.bool_],
    stored: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], int]:
    """Mark from the roots, indexes first, and list what is stored and not marked.

    Parameters
    ----------
    image_root, index_root : bool[M], bool[I]; linked and tagged.
    stored : bool[B + M + I].

    Returns
    -------
    The blobs to go, ascending, and their bytes.
    """
    kept = image_root.copy()
    kept[graph.index_child[np.repeat(index_root, np.diff(graph.index_indptr))]] = True
    marked = np.zeros(stored.size, np.bool_)
    marked[graph.target[np.repeat(kept, np.diff(graph.indptr))]] = True
    marked[graph.own[kept]] = True
    marked[graph.index_own[index_root]] = True
    swept = np.flatnonzero(stored & ~marked)
    return swept, int(graph.blob_size[swept].sum())


# -- interning -----------------------------------------------------------------------------------------


def intern_with_arrow(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """Rows of digests, uint64[n, 4], in order of first appearance; Arrow compares all 32 bytes too."""
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), words.shape[0], [None, pa.py_buffer(words)])
    rows: npt.NDArray[np.int32] = column.dictionary_encode().indices.to_numpy()
    return rows


def intern_with_dict(digests: list[bytes]) -> list[int]:
    """Rows of digests in order of first appearance."""
    rows: dict[bytes, int] = {}
    row_of = rows.setdefault
    return [row_of(digest, len(rows)) for digest in digests]
