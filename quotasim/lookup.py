"""From references to rows: what a user's words name in an engine, and what locks forbid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quotasim.accounting import selection
from quotasim.engine import Engine
from quotasim.errors import ImmutableTagRefused, Locked, UnknownReference, UnknownRepository
from quotasim.kernels import NULL, layout
from quotasim.model.oci import Reference, parse_reference, parse_repository
from quotasim.nearest import nearest_names


def find(engine: Engine, reference: str) -> tuple[Reference, int]:
    """Return a parsed reference and the link it names; raises UnknownReference where that is nothing, or nothing that
    can be read.
    """
    ref = parse_reference(reference)
    engine.sync()
    repository = engine.names.repositories.find(ref.repository)
    link = NULL
    if repository != NULL and ref.tag is not None:
        row = engine.names.find_tag(repository, ref.tag)
        link = NULL if row == NULL else int(engine.state.read("tag_link")[row])
    elif repository != NULL and ref.digest is not None:
        manifest = engine.content.find_manifest(ref.digest)
        found = NULL if manifest == NULL else engine.names.links.find(repository, manifest)
        if found != NULL and engine.state.read("linked")[found]:
            link = found
    if link == NULL or not is_readable(engine, link):
        raise UnknownReference(reference, nearest(engine, ref))
    return ref, link


def is_readable(engine: Engine, link: int) -> bool:
    """Return whether clients find the manifest of a link: a collector may have swept it and left the link, and what is
    deleted may be kept, hidden.
    """
    if engine.state.read("deleted")[link]:
        return False
    own = engine.content.graph().own[engine.names.links.second[link]]
    return bool(engine.state.read("stored")[own])


def has_blob(engine: Engine, repository: int, blob: int) -> bool:
    """Return whether a repository can give out a config or a layer: it is stored, and linked there by itself or, unless
    it was deleted there, by a manifest that names it. O(references) once a version of the catalogue.
    """
    engine.sync()
    state, links = engine.state, engine.names.links
    if not state.read("stored")[blob]:
        return False
    said = state.blob_link_of(repository, blob)
    if said != layout.BLOB_UNSAID:
        return said == layout.BLOB_LINKED
    indptr, by_blob = engine.content.manifests_by_blob()
    naming = by_blob[indptr[blob] : indptr[blob + 1]]
    naming = naming[engine.content.graph().kind[naming] != layout.KIND_INDEX]
    found = links.find_all(np.full(naming.size, repository, np.int32), naming.astype(np.int32))
    return bool(np.any(state.read("linked")[found[found != NULL]]))


def missing_part(engine: Engine, link: int) -> str | None:
    """Return the digest of the first config, layer or child of a manifest that its repository does not have, or None.

    A child may be any blob of the repository. Foreign layers lie elsewhere.
    """
    graph, links = engine.content.graph(), engine.names.links
    repository, manifest = int(links.first[link]), int(links.second[link])
    for blob in engine.content.targets(manifest).tolist():
        if graph.kind[manifest] == layout.KIND_INDEX and graph.blob_manifest[blob] != NULL:
            below = links.find(repository, int(graph.blob_manifest[blob]))
            if below != NULL and engine.state.read("linked")[below] and is_readable(engine, below):
                continue
        elif graph.flags[blob] & layout.FLAG_FOREIGN:
            continue
        if not has_blob(engine, repository, blob):
            return engine.content.digest(blob)
    return None


def nearest(engine: Engine, ref: Reference) -> Sequence[str]:
    """Return references that look like one that was not found."""
    candidates = [
        f"{engine.names.repositories.values[repository]}:{engine.names.tag_label(tag)}"
        for tag, repository in zip(*_bound_tags(engine), strict=True)
    ]
    return nearest_names(str(ref), candidates)


def tag_row(engine: Engine, repository: int, tag: str) -> int:
    """Return the row of a tag without a platform, a new one on first mention."""
    names = engine.names
    return int(names.add_tags(np.array([repository]), np.array([names.tag_names.add(tag)]), np.array([0]))[0])


def digest_of(engine: Engine, link: int) -> str:
    """Return the digest of a link's manifest."""
    return engine.content.digest(int(engine.content.graph().own[engine.names.links.second[link]]))


def link_label(engine: Engine, link: int) -> str:
    """Return a link as ``repository@digest``."""
    names = engine.names
    return f"{names.repositories.values[names.links.first[link]]}@{digest_of(engine, link)}"


def link_labelled(engine: Engine, label: str) -> int:
    """Return the link that :func:`link_label` names so, whether or not it is linked now."""
    repository, digest = label.rsplit("@", 1)
    names = engine.names
    return names.links.find(names.repositories.find(repository), engine.content.find_manifest(digest))


def repository_row(engine: Engine, repository: str) -> int:
    """Return the row of a repository by name; raises UnknownRepository. O(events): a name that only another branch has
    heard of has its row, and is not here.
    """
    names = engine.names
    row = names.repositories.find(parse_repository(repository))
    if row == NULL or not np.any(engine.log.column("repository") == row):
        raise UnknownRepository(repository, nearest_names(repository, names.repositories.values))
    return row


def untagged_in(engine: Engine, repository: int) -> list[int]:
    """Return the untagged links of a repository, in digest order."""
    links = engine.linked_in(repository)
    untagged = links[engine.state.read("tag_count")[links] == 0].tolist()
    return [link for link in untagged if is_readable(engine, link)]


def refuse_locked(
    engine: Engine, reference: str, bit: int, *, repository: int, link: int = NULL, tag: int = NULL
) -> None:
    """Raise Locked if a lock forbids it."""
    state, names = engine.state, engine.names
    refuse_read_only(engine, reference)
    locks = int(state.read("repository_lock")[repository])
    tags = [] if tag == NULL else [tag]
    if link != NULL:
        locks |= int(state.read("link_lock")[link])
        tags.extend(selection.tags_of(names, state, link))
    for row in tags:
        locks |= int(state.read("tag_lock")[row])
    if locks & bit:
        raise Locked(reference, "write" if bit == layout.LOCK_WRITE else "delete")


def refuse_read_only(engine: Engine, reference: str) -> None:
    """Raise Locked while the registry is read only."""
    if engine.read_only_runs:
        raise Locked(reference, "collection")


def refuse_unreadable(engine: Engine, reference: str, link: int, tag: int) -> None:
    """Raise Locked if a lock forbids to read a manifest, by this tag where one is named, or it is in quarantine."""
    state = engine.state
    locks = int(state.read("link_lock")[link]) | int(state.read("repository_lock")[engine.names.links.first[link]])
    if tag != NULL:
        locks |= int(state.read("tag_lock")[tag])
    if locks & layout.LOCK_QUARANTINE:
        raise Locked(reference, "quarantine")
    if locks & layout.LOCK_READ:
        raise Locked(reference, "read")


def refuse_immutable(engine: Engine, reference: str, settings: Sequence[str]) -> None:
    """Raise ImmutableTagRefused if the profile's ``immutable_tags`` is one of ``settings``."""
    words = engine.profile.immutable_refusal
    if engine.profile.immutable_tags in settings and words is not None:
        ref = parse_reference(reference)
        seen = words.filled(reference=reference, repository=ref.repository, tag=ref.tag)
        raise ImmutableTagRefused(reference, seen.status, seen.code, seen.message)


def _bound_tags(engine: Engine) -> tuple[list[int], list[int]]:
    """Return (tags, their repositories) that point to something."""
    tags = np.flatnonzero(engine.state.read("tag_link") != NULL)
    return tags.tolist(), engine.names.tag_repository[tags].tolist()
