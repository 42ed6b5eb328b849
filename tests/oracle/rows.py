"""Groups of manifests (section 5): the rows of ``df --by``, the exclusive bytes of a set of references."""

from __future__ import annotations

from dataclasses import dataclass

from .content import namespace_of
from .figures import Figures, Link


@dataclass(frozen=True)
class Row:
    """One row of ``df``; bytes."""

    name: str
    logical_bytes: int
    unique_bytes: int
    exclusive_bytes: int
    shared_bytes: int
    attributed_bytes: int


Key = tuple[str, str]  # the row's name, and the digest of its root: what tells two rows of one name apart


def image_groups(state: Figures) -> dict[Key, set[str]]:
    """Return the manifests that every (repository, root) covers."""
    found: dict[Key, set[str]] = {}
    for repository in {where for where, _ in state.links}:
        linked = state.linked_in(repository)
        children = {child for digest in linked for child in state.children_of(digest, linked)}
        referrers = {digest for digest in linked if state.manifests[digest].subject in linked}
        tagged = {digest for digest in linked if state.tags_of(repository, digest)}
        roots = tagged | (linked - children - referrers)
        covered = state.reach(roots, linked, children=True, referrers=True)
        roots |= linked - covered - children  # rings: no root covers them
        for root in roots:
            tags = state.tags_of(repository, root)
            name = f"{repository}:{tags[0][1]}" if tags else f"{repository}@{root}"
            found[name, root] = state.reach({root}, linked, children=True, referrers=True)
    return found


def groups(state: Figures, by: str) -> dict[Key, set[str]]:
    """Return the manifests of every row."""
    if by == "image":
        return image_groups(state)
    found: dict[Key, set[str]] = {("", ""): set()} if by == "registry" else {}
    for repository, digest in state.links:
        name = {"repository": repository, "namespace": namespace_of(repository), "registry": ""}[by]
        found.setdefault((name, ""), set()).add(digest)
    return found


def rows(state: Figures, by: str) -> list[Row]:
    """Return the rows, in order of their names."""
    members = groups(state, by)
    blobs = {key: state.blobs_of(manifests) for key, manifests in members.items()}
    order = sorted(members)
    attributed = dict.fromkeys(order, 0)
    for blob in set().union(*blobs.values()):
        sharing = [key for key in order if blob in blobs[key]]
        each, rest = divmod(state.blobs[blob].bytes, len(sharing))
        for place, key in enumerate(sharing):
            attributed[key] += each + (place < rest)
    found = []
    for key in order:
        others = set().union(*(blobs[other] for other in order if other != key))
        unique = state.size_of(blobs[key])
        exclusive = state.size_of(blobs[key] - others)
        logical = sum(state.size_of(set(state.manifests[digest].blobs())) for digest in members[key])
        found.append(Row(key[0], logical, unique, exclusive, unique - exclusive, attributed[key]))
    return found


def exclusive_rest(state: Figures, references: list[tuple[str, str, str]]) -> set[Link]:
    """Return the links that remain when exactly a set of references goes.

    A reference is ``(repository, "tag", name)`` or ``(repository, "digest", digest)``.
    """
    gone_tags = {(repository, name) for repository, kind, name in references if kind == "tag"}
    tags = {key: target for key, target in state.tags.items() if key[:2] not in gone_tags}

    def tagged(repository: str, digest: str) -> bool:
        return any(key[0] == repository and target == digest for key, target in tags.items())

    gone = {(repository, digest) for repository, kind, digest in references if kind == "digest"}
    for key, target in state.tags.items():
        if key[:2] in gone_tags and not tagged(key[0], target):
            gone.add((key[0], target))
    while True:
        rest = set(state.links) - gone
        more = set()
        for repository, digest in rest:
            if tagged(repository, digest):
                continue
            here = {other for where, other in rest if where == repository}
            went = {other for where, other in gone if where == repository}
            orphaned = state.parents_of(digest, went) and not state.parents_of(digest, here)
            if orphaned or state.manifests[digest].subject in went:
                more.add((repository, digest))
        if not more:
            return rest
        gone |= more


def exclusive_bytes(state: Figures, references: list[tuple[str, str, str]]) -> int:
    """Return by how much ``unique_bytes`` falls if exactly a set of references goes."""
    rest = {digest for _, digest in exclusive_rest(state, references)}
    return state.unique_bytes() - state.size_of(state.blobs_of(rest))
