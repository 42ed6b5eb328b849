"""Replays with dicts.

They keep what ours keeps: who holds what in each namespace and in the registry, charged, unique and stored bytes, and
for every event whether it was refused and by how much each figure changed.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from quotasim.bench.workload import Workload


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
    replayed = _empty(trace)
    deque(_by_namespace(trace, replayed), maxlen=0)
    return replayed


def replay_with_simpy(trace: Trace) -> Replayed:
    """The same replay as a process of SimPy that waits a unit of simulated time between two events."""
    simpy: Any = import_module("simpy")
    environment = simpy.Environment()
    replayed = _empty(trace)

    def process() -> Iterator[Any]:
        for _ in _by_namespace(trace, replayed):
            yield environment.timeout(1)

    environment.process(process())
    environment.run()
    return replayed


def _empty(trace: Trace) -> Replayed:
    """Return a replay to which nothing has happened."""
    count = len(trace.events)
    return Replayed(
        bytearray(count), [0] * count, [0] * count, [0] * count, [0] * len(trace.limit), [0] * len(trace.blob_size)
    )


def _by_namespace(trace: Trace, replayed: Replayed) -> Iterator[None]:
    """Do one event after another, with a dict from blob to count for each namespace."""
    blobs, blob_size, manifest_size = trace.blobs, trace.blob_size, trace.manifest_size
    namespace, limit = trace.namespace, trace.limit
    refused, charged, unique, stored = replayed.refused, replayed.charged, replayed.unique, replayed.stored
    used, holders = replayed.used, replayed.holders
    held: list[dict[int, int]] = [{} for _ in limit]
    on_disk = bytearray(len(blob_size))
    manifest_on_disk = bytearray(len(manifest_size))
    live = bytearray(len(manifest_size))
    for event, (manifest, is_delete) in enumerate(trace.events):
        yield
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
