"""Planning a garbage collection: pure, a value that can be read, kept, compared and applied once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.errors import CollectionAborted
from quotasim.gc.marking import Garbage, Inventory, find_garbage
from quotasim.gc.policy import GcPolicy
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
    own = content.graph().own
    manifest_digests = content.digests(own[names.links.second[garbage.links]])
    repositories = [names.repositories.values[row] for row in names.links.first[garbage.links]]
    by_name = sorted(zip(repositories, manifest_digests, garbage.links.tolist(), strict=True))
    pairs = garbage.blob_links.tolist()
    unlinked = sorted(
        (names.repositories.values[repository], digest, repository, blob)
        for (repository, blob), digest in zip(pairs, content.digests(garbage.blob_links[:, 1]), strict=True)
    )
    by_digest = sorted(zip(content.digests(garbage.blobs), garbage.blobs.tolist(), strict=True))
    return GcPlan(
        version=state.version,
        policy=policy,
        at=at,
        links=np.array([link for _, _, link in by_name], np.int32),
        blob_links=np.array([row[2:] for row in unlinked], np.int32).reshape(-1, 2),
        blobs=np.array([blob for _, blob in by_digest], np.int32),
        reclaimable_bytes=exact_sum(content.graph().size[garbage.blobs]),
        visited_references=garbage.visited_references,
        removed=tuple((repository, digest) for repository, digest, _ in by_name),
        unlinked=tuple((repository, digest) for repository, digest, _, _ in unlinked),
        swept=tuple(digest for digest, _ in by_digest),
        stamp=state.stamp,
    )
