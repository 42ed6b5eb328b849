"""What a collection marks, repository by repository, and what it then calls garbage (section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from .content import GcRules
from .figures import Figures, Link


class CollectionAborted(RuntimeError):
    """A collection fails at this repository, or (None) because nothing was ever stored."""


@dataclass(frozen=True)
class GcPlan:
    """What a collection at one time would remove, unlink and sweep."""

    removed: frozenset[Link]
    unlinked: frozenset[Link]
    swept: frozenset[str]
    reclaimable_bytes: int


def place(repository: str) -> tuple[str, ...]:
    """Return where a repository comes in a walk: its own links lie in the entry ``_layers`` of its directory."""
    return (*repository.split("/"), "_layers")


class Marking:
    """A collection that walks one repository after another, over a registry that may change meanwhile."""

    def __init__(self, registry: Figures, policy: GcRules, since: int | None = None) -> None:
        self.registry, self.policy = registry, policy
        self.since = since  # what was pushed after this step is kept like what is tagged
        self.marked: set[str] = set()
        self.untagged: set[Link] = set()
        self.unmarked: set[Link] = set()  # blob links that pointed to what was not marked by then
        self.last: tuple[str, ...] = ()
        self.listings: dict[tuple[str, ...], set[str]] = {}  # what lay in each directory when the walk came to it
        self.enter((), registry.repositories())

    def enter(self, directory: tuple[str, ...], known: set[str]) -> None:
        """List a directory, if that was not done."""
        entries = {place(name) for name in known if place(name)[: len(directory)] == directory}
        self.listings.setdefault(directory, {entry[len(directory)] for entry in entries})

    def waiting(self) -> list[str]:
        """Return the repositories that are still to come."""
        ahead = {name for name in self.registry.repositories() if place(name) > self.last and self._is_listed(name)}
        return sorted(ahead, key=place)

    def _is_listed(self, repository: str) -> bool:
        entry = place(repository)
        return all(entry[k] in self.listings.get(entry[:k], {entry[k]}) for k in range(len(entry)))

    def aborts(self) -> tuple[bool, str | None]:
        """Say whether the collection will fail, and at which repository (None: nothing was ever stored)."""
        if self.policy.needs_blobs and not self.registry.was_used:
            return True, None
        if self.policy.tagless == "fail" and self.policy.roots == "TAGS":
            for repository in self.waiting():
                if self.come_upon(repository) and repository not in self.registry.had_tags:
                    return True, repository
        return False, None

    def come_upon(self, repository: str) -> set[str]:
        """Return the manifests of a repository that can be read, if it is walked."""
        if self.policy.repositories == "WITH_BLOBS" and repository not in self.registry.had_blobs:
            return set()
        return {digest for where, digest in self.registry.on_disk() if where == repository}

    def walk(self, repository: str) -> None:
        """Mark one repository as it is now."""
        registry, policy = self.registry, self.policy
        self.last = place(repository)
        seen = self.come_upon(repository)
        if policy.roots == "TAGS" and repository not in registry.had_tags:
            if policy.tagless == "skip":
                seen = set()
            elif policy.tagless == "fail" and seen:
                raise CollectionAborted(repository)
        if policy.marks == "in turn":
            self._walk_in_turn(repository, seen)
        else:
            kept = self._kept(repository, seen)
            self.marked |= registry.blobs_of(kept)
            for digest in kept:
                self.marked |= set(registry.manifests[digest].children or ())
            self.untagged |= {(repository, digest) for digest in seen - kept}

    def _walk_in_turn(self, repository: str, seen: set[str]) -> None:
        registry = self.registry
        roots = self._roots(repository, seen)
        for root in roots:
            self.marked.add(root)
            waiting = [root]
            while waiting:
                manifest = registry.manifests[waiting.pop()]
                named = [*manifest.content(), *(manifest.children or ())]
                for digest in named:
                    if digest not in self.marked:
                        self.marked.add(digest)
                        if digest in seen:
                            waiting.append(digest)
        self.untagged |= {(repository, digest) for digest in seen - roots}
        self.unmarked |= {(repository, blob) for blob in registry.blobs_in(repository) - self.honoured()}

    def honoured(self) -> set[str]:
        """Return what is marked, without the names that do not count."""
        return {blob for blob in self.marked if self.policy.honour_sha512 or not blob.startswith("sha512:")}

    def _roots(self, repository: str, seen: set[str]) -> set[str]:
        registry, policy = self.registry, self.policy
        if policy.roots == "ALL":
            return set(seen)
        roots = {digest for digest in seen if registry.tags_of(repository, digest)}
        if policy.referrers == "depend":
            roots = {digest for digest in roots if registry.manifests[digest].subject is None}
        for digest in seen - roots:
            times = registry.links[repository, digest]
            since = max(times.pushed_at, times.pushed_at if times.unkept_at is None else times.unkept_at)
            if policy.counts_pulls:
                since = max(since, registry.pulled.get((repository, digest), since))
            if registry.now - since < policy.grace:
                roots.add(digest)
            if self.since is not None and registry.last_pushed[repository, digest] > self.since:
                roots.add(digest)
            if policy.referrers in {"stay", "stay and pin"} and registry.manifests[digest].subject is not None:
                roots.add(digest)
        return roots

    def _kept(self, repository: str, seen: set[str]) -> set[str]:
        policy = self.policy
        if policy.roots == "ALL":
            return seen
        return self.registry.reach(
            self._roots(repository, seen),
            seen,
            children=policy.index_children == "recursive",
            referrers=policy.referrers in {"follow", "depend"},
            subjects=policy.referrers in {"pin", "stay and pin"},
        )

    def plan(self) -> GcPlan:
        """Return what goes, now that every repository is walked."""
        registry, policy = self.registry, self.policy
        if policy.needs_blobs and not registry.was_used:
            raise CollectionAborted(None)
        marked = self.honoured()
        if policy.honour_blob_links:
            marked |= registry.linked_blobs()
        removed = self.untagged
        if policy.marks == "in turn":
            removed = {link for link in removed if link[1] not in self.marked}
        swept = {
            blob
            for blob, at in registry.stored.items()
            if blob not in marked and registry.now - self._placed(blob, at) >= policy.grace
        }
        return GcPlan(
            frozenset(removed), frozenset(self._dropped(removed, marked)), frozenset(swept), registry.size_of(swept)
        )

    def _placed(self, blob: str, at: int) -> int:
        """Return from when on grace is counted for a blob that was stored at a time."""
        registry = self.registry
        return at if self.policy.blob_grace == "stored" else max(at, registry.released.get(blob, at))

    def _dropped(self, removed: set[Link], marked: set[str]) -> set[Link]:
        """Return the blob links that go."""
        registry, policy = self.registry, self.policy
        old = {blob for blob, at in registry.stored.items() if registry.now - at >= policy.grace}
        if policy.drops_blob_links == "never":
            return set()
        if policy.drops_blob_links == "idle":
            return {link for link in registry.blob_links if link[1] in old or link[1] not in registry.stored}
        if policy.marks == "in turn":
            links = self.unmarked
        else:
            links = {link for link in registry.blob_links if link[1] not in marked}
            for repository, digest in removed:
                named = {(repository, blob) for blob in registry.manifests[digest].content()}
                links |= {link for link in named - registry.removed_blobs if link[1] not in marked}
        return {link for link in links if link[1] in old}
