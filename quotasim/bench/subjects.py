"""The workload as quotasim holds it: content, an engine that replays the trace, and one full of garbage."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import Basis, Scope
from quotasim.bench.workload import START, Workload
from quotasim.engine import Engine, Outcome, operations
from quotasim.gc.policy import GcPolicy
from quotasim.kernels import NULL, layout
from quotasim.kernels.layout import Operations
from quotasim.model.content import Content, ManifestBatch
from quotasim.model.digests import DigestArray
from quotasim.model.oci import Kind, Role
from quotasim.profiles.base import RegistryProfile
from quotasim.profiles.distribution import DISTRIBUTION_2_8

IMAGE_ROOTS = 0.6
INDEX_ROOTS = 0.7


def plain_profile(limit: int | None, scope: Scope = Scope.NAMESPACE) -> RegistryProfile:
    """A kind that charges each scope for what its manifests name, and never collects by itself."""
    return dataclasses.replace(
        DISTRIBUTION_2_8,
        name="benchmark",
        scope=scope,
        basis=Basis.REFERENCED,
        limit=limit,
        stale_blob_links=False,
        gc=GcPolicy(roots="TAGS", index_children="recursive", referrers="ignore", grace=0, honour_blob_links=True),
        sources={},
    )


def load_content(workload: Workload, *, indexes: bool = False) -> Content:
    """Intern blobs, images and, if asked for, indexes.

    Rows of blobs: the layers, then each image's own, then each index's own. Rows of manifests: images, then
    indexes.
    """
    content = Content()
    images, index_count = workload.manifest_count, workload.index_size.size if indexes else 0
    content.reserve(
        blobs=workload.blob_count + images + index_count,
        manifests=images + index_count,
        references=workload.reference_count + (workload.index_child.size if indexes else 0),
    )
    content.add_blobs(DigestArray.sha256(workload.blob_digest), workload.blob_size)
    own = content.add_blobs(DigestArray.sha256(workload.manifest_digest), workload.manifest_size)
    content.add_manifests(
        ManifestBatch(
            blob=own,
            kind=np.full(images, Kind.IMAGE, np.uint8),
            indptr=workload.indptr,
            target=workload.target,
            role=np.full(workload.reference_count, Role.LAYER, np.uint8),
        )
    )
    if indexes:
        content.add_manifests(
            ManifestBatch(
                blob=content.add_blobs(DigestArray.sha256(workload.index_digest), workload.index_size),
                kind=np.full(index_count, Kind.INDEX, np.uint8),
                indptr=workload.index_indptr,
                target=own[workload.index_child],
                role=np.full(workload.index_child.size, Role.CHILD, np.uint8),
            )
        )
    return content


def new_engine(workload: Workload, content: Content, limit: int | None, scope: Scope = Scope.NAMESPACE) -> Engine:
    """An empty engine that has one repository in each namespace: repository row = namespace row."""
    engine = Engine(plain_profile(limit, scope), START, content)
    engine.names.add_repositories([f"namespace-{row:04}/app" for row in range(workload.namespace_count)])
    return engine


def trace(engine: Engine, workload: Workload) -> Operations:
    """The trace as operations, from raw ids: finds the link of every event."""
    manifest = workload.event_manifest
    repository = workload.namespace[manifest]
    return operations(
        np.where(workload.event_is_delete, layout.OP_DELETE, layout.OP_PUSH).astype(np.uint8),
        workload.event_time,
        batch=np.arange(manifest.size, dtype=np.int32),
        link=engine.add_links(repository, manifest),
        repository=repository,
    )


def replay(engine: Engine, workload: Workload) -> Outcome:
    """Replay the trace from raw ids: finds links, and applies one event after another."""
    return engine.apply(trace(engine, workload))


def push_all(engine: Engine, workload: Workload) -> Engine:
    """Push every image once, each in a batch of its own; returns the engine."""
    manifest = np.arange(workload.manifest_count, dtype=np.int32)
    engine.apply(
        operations(
            np.full(manifest.size, layout.OP_PUSH, np.uint8),
            START + manifest.astype(np.int64),
            batch=manifest,
            link=engine.add_links(workload.namespace, manifest),
            repository=workload.namespace,
        )
    )
    return engine


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Cluttered:
    """An engine that holds every image and index, some of them tagged.

    Attributes
    ----------
    image_root, index_root : bool[M], bool[I]; has a tag.
    """

    engine: Engine
    image_root: npt.NDArray[np.bool_]
    index_root: npt.NDArray[np.bool_]


def cluttered_engine(workload: Workload, content: Content, seed: int = 1) -> Cluttered:
    """Push everything, without a limit; tag some of it, drawn at random."""
    rng = np.random.default_rng(seed)
    engine = new_engine(workload, content, None)
    images, indexes = workload.manifest_count, workload.index_size.size
    image_root, index_root = rng.random(images) < IMAGE_ROOTS, rng.random(indexes) < INDEX_ROOTS
    manifest = np.arange(images + indexes, dtype=np.int32)
    first_child = workload.index_child[workload.index_indptr[:-1]]
    repository = np.concatenate((workload.namespace, workload.namespace[first_child]))
    tagged = np.concatenate((image_root, index_root))
    # Each repository numbers its tags 0, 1, 2, ...
    order = np.argsort(repository, kind="stable")
    start = np.searchsorted(repository[order], np.arange(workload.namespace_count))
    number = np.empty(order.size, np.int32)
    number[order] = np.arange(order.size) - start[repository[order]]
    names = engine.names.tag_names.add_all([f"v{k}" for k in range(int(number.max()) + 1)])
    platform = np.zeros(int(tagged.sum()), np.int32)
    tag = np.full(manifest.size, NULL, np.int32)
    tag[tagged] = engine.names.add_tags(repository[tagged], names[number[tagged]], platform)
    engine.apply(
        operations(
            np.full(manifest.size, layout.OP_PUSH, np.uint8),
            np.full(manifest.size, START, np.int64),
            link=engine.add_links(repository, manifest),
            tag=tag,
            repository=repository,
        )
    )
    return Cluttered(engine, image_root, index_root)
