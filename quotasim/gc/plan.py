"""Planning a garbage collection: pure, a value that can be read, kept, compared and applied once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.errors import CollectionAborted
from quotasim.gc.marking import Garbage, Inventory, find_garbage
from quotasim.gc.policy import GcPolicy
from quotasim.model.digests import digest_sort_keys
from quotasim.model.totals import exact_sum

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class GcPlan:
    """What one run of a collector would do, decided but not done.

    Attributes
    ----------
    version, stamp : of the state that it was made for; ``apply`` refuses it for any other.
    policy, at : the policy, and the time in microseconds since the epoch.
    links : int32[K], link rows to be removed, in repository and digest order.
    blob_links : int32[J, 2], explicit blob links to be taken away, as rows (repository, blob), in order of names.
    blobs : int32[N], blob rows to be swept, in digest order.
    removed : the links as (repository, digest).
    unlinked : the explicit blob links as (repository, digest).
    swept : the blobs' digests.
    reclaimable_bytes : what the sweep takes off the disk.
    visited_references : references that marking looked at.
    """

    version: int
    policy: GcPolicy
    at: int
    links: Array
    blob_links: Array
    blobs: Array
    reclaimable_bytes: int
    visited_references: int
    removed: tuple[tuple[str, str], ...]
    unlinked: tuple[tuple[str, str], ...]
    swept: tuple[str, ...]
    stamp: object = field(repr=False, compare=False)


def reclaimable_bytes(inventory: Inventory, policy: GcPolicy, at: int) -> int:
    """Return the bytes that a run of ``policy`` at ``at`` would take off the disk; 0 where it would fail. Cost of
    :func:`find_garbage`.
    """
    try:
        garbage = find_garbage(inventory, policy, at)
    except CollectionAborted:
        return 0
    return exact_sum(inventory.content.graph().size[garbage.blobs])


def plan(inventory: Inventory, policy: GcPolicy, at: int) -> GcPlan:
    """Return the plan of a run of ``policy`` at ``at``. Pure; cost and errors of :func:`find_garbage`, and a sort of
    what goes.
    """
    return plan_of(inventory, policy, find_garbage(inventory, policy, at), at)


def plan_of(inventory: Inventory, policy: GcPolicy, garbage: Garbage, at: int) -> GcPlan:
    """Return the plan that removes what a policy found to be garbage. O(n log n) of what goes."""
    content, names, state = inventory.content, inventory.names, inventory.state
    values = names.repositories.values
    # The place of a repository among the sorted names.
    place = np.empty(len(values), np.int64)
    place[np.array(sorted(range(len(values)), key=values.__getitem__), np.int64)] = np.arange(len(values))

    def sort_keys(blobs: Array) -> list[Array]:
        return digest_sort_keys(content.digest_array(blobs))

    own = content.graph().own[names.links.second[garbage.links]]
    order = np.lexsort([*sort_keys(own), place[names.links.first[garbage.links]]])
    links, own = garbage.links[order], own[order]
    repositories, linked = garbage.blob_links[:, 0], garbage.blob_links[:, 1]
    blob_links = garbage.blob_links[np.lexsort([*sort_keys(linked), place[repositories]])]
    blobs = garbage.blobs[np.lexsort(sort_keys(garbage.blobs))]
    return GcPlan(
        version=state.version,
        policy=policy,
        at=at,
        links=links,
        blob_links=blob_links,
        blobs=blobs,
        reclaimable_bytes=exact_sum(content.graph().size[blobs]),
        visited_references=garbage.visited_references,
        removed=_named(values, names.links.first[links], content.digests(own)),
        unlinked=_named(values, blob_links[:, 0], content.digests(blob_links[:, 1])),
        swept=tuple(content.digests(blobs)),
        stamp=state.stamp,
    )


def _named(values: Sequence[str], repositories: Array, digests: list[str]) -> tuple[tuple[str, str], ...]:
    """Return (repository, digest) pairs."""
    return tuple(zip(map(values.__getitem__, repositories.tolist()), digests, strict=True))
