"""What happens: operations, batches, locks, quota, time, collection, `plan_gc` (sections 3 and 4)."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

from .content import Blob, GcRules, Manifest, Rules
from .figures import Figures, Link, LinkTimes, TagKey


class NotThere(LookupError):
    """A reference names nothing."""


class Locked(PermissionError):
    """A lock forbids the operation."""


class Refused(PermissionError):
    """The kind refuses the operation; the argument says which rule: "tag", "child", "tags" or "immutable"."""


class CollectionAborted(RuntimeError):
    """A collection fails at this repository, or (None) because nothing was ever stored."""


@dataclass(frozen=True)
class GcPlan:
    """What a collection at one time would remove, unlink and sweep."""

    removed: frozenset[Link]
    unlinked: frozenset[Link]
    swept: frozenset[str]
    reclaimable_bytes: int


class OracleRegistry(Figures):
    """A registry made of sets and dicts. A single operation is a batch of one."""

    def __init__(self, rules: Rules, start: int = 0) -> None:
        super().__init__(rules)
        self.now = start
        self.candidates: dict[Link, int] = {}  # link -> when it last became a candidate for collection
        self.locks: dict[tuple[str, ...], frozenset[str]] = {}  # what is forbidden to whom
        self.pulled: dict[Link, int] = {}
        self.charges: list[tuple[int, int]] = []  # (time, charged bytes from then on)
        self.removals: list[tuple[int, Link]] = []  # what automatic collection removed, and when
        self.sweeps: list[tuple[int, str]] = []

    # Operations. Each is a batch of one; `batch` takes several.

    def push(self, repository: str, manifest: Manifest, tag: str | None = None) -> bool:
        """Push a manifest; return whether the limit lets it in."""
        return self.batch([("push", repository, manifest, tag)])[0]

    def push_all(self, repository: str, manifests: list[Manifest], tag: str | None = None) -> bool:
        """Push manifests in one batch, the last one with the tag, as an index follows its children."""
        pieces = [("push", repository, manifest, None) for manifest in manifests[:-1]]
        return all(self.batch([*pieces, ("push", repository, manifests[-1], tag)]))

    def upload(self, repository: str, blob: Blob) -> bool:
        """Upload a blob; return whether the limit lets it in."""
        return self.batch([("upload", repository, blob)])[0]

    def mount(self, digest: str, source: str, target: str) -> bool:
        """Link a blob that one repository has in another; return whether the limit lets it in."""
        self._require_blob(source, digest)
        return self.batch([("upload", target, self.blobs[digest])])[0]

    def delete_blob(self, repository: str, digest: str) -> None:
        """Take a blob from a repository; manifests that name it hold it as before."""
        self._require_blob(repository, digest)
        self.batch([("delete_blob", repository, digest)])

    def tag(self, repository: str, digest: str, name: str) -> None:
        """Point a tag to a manifest linked in the repository."""
        self.batch([("tag", repository, digest, name)])

    def untag(self, repository: str, name: str) -> None:
        """Let a tag point to nothing."""
        self.batch([("untag", repository, name, self.target(repository, name))])

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest in a repository with all its tags there."""
        self._require(repository, digest)
        self.batch([("delete", repository, digest)])

    def delete_repository(self, repository: str) -> None:
        """Delete every manifest of a repository, then its explicit blob links."""
        self.batch([("delete_repository", repository)])

    def batch(self, operations: list[tuple]) -> list[bool]:
        """Apply operations at one time, adds before drops; return for each whether it was let in."""
        adding = [operation[0] in {"push", "tag", "upload"} for operation in operations]
        adds = [place for place, is_add in enumerate(adding) if is_add]
        drops = [place for place, is_add in enumerate(adding) if not is_add]
        accepted, backup = [True] * len(operations), self._tables()
        try:
            for place in adds + drops:
                kind, *arguments = operations[place]
                act = getattr(self, f"_{kind}")
                if kind in {"push", "upload"}:  # each upload is refused or let in for itself
                    accepted[place] = self._let_in(act, *arguments)
                else:
                    act(*arguments)
        except (Locked, NotThere, Refused):
            self.__dict__ = backup
            raise
        self._settle(self.now)
        return accepted

    def advance(self, microseconds: int) -> None:
        """Let time pass; what comes due on the way happens at its due time."""
        self._settle(self.now + microseconds)

    def pull(self, repository: str, digest: str) -> None:
        """Note a pull."""
        self._require(repository, digest)
        self.pulled[repository, digest] = self.now

    def lock(self, *thing: str, write: bool = True, delete: bool = True) -> None:
        """Lock (False: forbid) a (repository), a (repository, digest) or a (repository, "tag", name)."""
        wanted = {"write": write, "delete": delete}
        self.locks[thing] = frozenset(name for name, allowed in wanted.items() if not allowed)

    def target(self, repository: str, name: str) -> str:
        """Return what a tag points to."""
        if (repository, name, "") not in self.tags:
            raise NotThere(repository, name)
        return self.tags[repository, name, ""]

    def branch(self) -> OracleRegistry:
        """Return a copy; its tables hold immutable things only, so copying the tables is enough."""
        other = copy.copy(self)
        other.__dict__ = self._tables()
        return other

    def _tables(self) -> dict[str, object]:
        return {name: copy.copy(table) for name, table in self.__dict__.items()}

    # Quota.

    def _let_in(self, operation: Callable[..., None], *arguments: object) -> bool:
        """Push or upload; take it back if a lock forbids it or it adds bytes above the limit."""
        limit, name = self.rules.limit, self.scope_name(self.rules.scope, str(arguments[0]))
        before, backup = 0 if limit is None else self.charge(name), self._tables()
        try:
            operation(*arguments)
        except (Locked, Refused):
            self.__dict__ = backup
            return False
        if limit is None:
            return True
        after = self.charge(name)
        if after > before and (after > limit or (after == limit and self.rules.reject_at_limit)):
            self.__dict__ = backup
            return False
        return True

    # What each operation does to the tables.

    def _push(self, repository: str, manifest: Manifest, tag: str | None) -> None:
        self._forbid("write", [(repository,), (repository, manifest.digest)])
        if tag is not None:
            self._forbid("write", [(repository, "tag", tag)])
        self.manifests.setdefault(manifest.digest, manifest)
        for digest, blob in manifest.blobs().items():
            self.blobs.setdefault(digest, blob)
        for digest, blob in manifest.blobs().items():
            if digest not in self.stored and (not blob.foreign or self.rules.stores_foreign):
                self.stored[digest] = self.now
        self.was_used = True
        if any(not blob.foreign for blob in manifest.content().values()):
            self.had_blobs.add(repository)
        if (repository, manifest.digest) not in self.links:
            self.links[repository, manifest.digest] = LinkTimes(self.now)
        else:
            self.links[repository, manifest.digest] = replace(
                self.links[repository, manifest.digest], pushed_at=self.now
            )
        # Where links are left behind, one to the manifest's own bytes is no business of a push.
        named = manifest.content() if self.rules.stale_blob_links else manifest.blobs()
        brought = {(repository, digest) for digest in named}
        self.blob_links -= brought
        self.removed_blobs -= brought
        if tag is not None:
            self._bind(repository, tag, manifest.digest)
        elif self.rules.collects_untagged_pushes and not self.tags_of(repository, manifest.digest):
            self._loses_keeper(repository, manifest.digest)

    def _upload(self, repository: str, blob: Blob) -> None:
        self._forbid("write", [(repository,)])
        self.blobs.setdefault(blob.digest, blob)
        self.stored[blob.digest] = self.now
        self.was_used = True
        self.had_blobs.add(repository)
        self.blob_links.add((repository, blob.digest))
        self.removed_blobs.discard((repository, blob.digest))

    def _delete_blob(self, repository: str, digest: str) -> None:
        self._forbid("delete", [(repository,)])
        self._unlink_blobs({(repository, digest)})

    def _tag(self, repository: str, digest: str, name: str) -> None:
        self._require(repository, digest)
        if self.rules.tag_needs_parts:
            manifest, there = self.manifests[digest], self.blobs_in(repository)
            readable = {other for where, other in self.readable() if where == repository}
            parts = {blob.digest for blob in manifest.content().values() if not blob.foreign}
            if not parts <= there or not set(manifest.children or ()) <= there | readable:
                raise NotThere(repository, digest)
        self._forbid("write", [(repository,), (repository, "tag", name)])
        self._bind(repository, name, digest)

    def _untag(self, repository: str, name: str, expected: str) -> None:
        if self.tags.get((repository, name, "")) != expected:
            return  # an add of the same batch has moved the tag
        self._forbid("delete", [(repository,), (repository, "tag", name)])
        if self.rules.immutable_tags == "keep":
            raise Refused("immutable")
        self._unbind((repository, name, ""))

    def _delete_tag(self, repository: str, name: str, digest: str) -> None:
        """Do what the kind does when a client deletes by tag."""
        if self.tags.get((repository, name, "")) != digest:
            return  # a drop of the same batch has taken it along
        rule, last = self.rules.delete_by_tag, len(self.tags_of(repository, digest)) == 1
        if rule == "refuse":
            raise Refused("tag")
        if rule in {"tag", "expire"} or (rule == "last tag" and not last):
            self._untag(repository, name, digest)
        else:
            self._delete(repository, digest)

    def _delete(self, repository: str, digest: str) -> None:
        if (repository, digest) not in self.links:
            return  # a drop of the same batch has taken it along
        rules, tags = self.rules, self.tags_of(repository, digest)
        self._forbid("delete", self._lockable(repository, {digest}))
        if rules.keeps_children and self.parents_of(digest, self.linked_in(repository)):
            raise Refused("child")
        if rules.immutable_tags == "keep" and tags:
            raise Refused("immutable")
        if rules.most_tags_on_delete is not None and len(tags) > rules.most_tags_on_delete:
            raise Refused("tags")
        if rules.delete_by_tag == "expire":
            for key in tags:
                self._unbind(key)
        else:
            self._remove(repository, self._going_along(repository, digest))

    def _going_along(self, repository: str, digest: str) -> set[str]:
        """Return what goes at once with a manifest that is deleted, itself included."""
        linked, going = self.linked_in(repository), {digest}
        while True:
            more = set()
            for other in linked - going:
                tags = self.tags_of(repository, other)
                if any(self._locked("delete", thing) for thing in self._lockable(repository, {other})):
                    continue
                if self.rules.immutable_tags == "keep" and tags:
                    continue
                cascades = self.rules.referrers == "cascade" and self.manifests[other].subject in going
                parents = self.parents_of(other, linked)
                if cascades or (self.rules.children_go and parents and parents <= going and not tags):
                    more.add(other)
            if not more:
                return going
            going |= more

    def _delete_allowed(self, repository: str, digest: str) -> None:
        with contextlib.suppress(Locked, Refused):
            self._delete(repository, digest)

    def _delete_repository(self, repository: str) -> None:
        self._forbid("delete", self._lockable(repository, self.linked_in(repository)))
        self._remove(repository, self.linked_in(repository))
        self._unlink_blobs({link for link in self.blob_links if link[0] == repository})

    def _unlink_blobs(self, gone: set[Link]) -> None:
        unlinked = gone & self.blob_links
        self.blob_links -= unlinked
        self.removed_blobs |= gone
        for _, blob in unlinked:
            if not self.holders(blob) and blob not in self.linked_blobs():
                self.released[blob] = self.now

    def _remove(self, repository: str, going: set[str]) -> None:
        """Remove manifests with their tags."""
        for digest in sorted(going):
            for key in self.tags_of(repository, digest):
                self._unbind(key)
        if self.rules.stale_blob_links:
            self.blob_links -= {(repository, digest) for digest in going}
        for digest in sorted(going):
            self._unlink(repository, digest)

    def _lockable(self, repository: str, digests: set[str]) -> list[tuple[str, ...]]:
        """Return the things whose locks protect some manifests: their repository, themselves, their tags."""
        tags = [key for digest in digests for key in self.tags_of(repository, digest)]
        things: list[tuple[str, ...]] = [(repository,), *((repository, digest) for digest in digests)]
        return things + [(where, "tag", name) for where, name, _ in tags]

    def _bind(self, repository: str, name: str, digest: str) -> None:
        key = (repository, name, "")
        if self.rules.immutable_tags != "off" and self.tags.get(key, digest) != digest:
            raise Refused("immutable")
        self.had_tags.add(repository)
        if key in self.tags and self.tags[key] != digest:
            locks = self.locks.get((repository, "tag", name), frozenset())
            self._unbind(key)
            self.locks[repository, "tag", name] = locks  # a tag that moves is the same tag
        self.tags[key] = digest

    def _unbind(self, key: TagKey) -> None:
        repository, digest = key[0], self.tags.pop(key)
        self.locks.pop((repository, "tag", key[1]), None)
        if not self.tags_of(repository, digest):
            self._loses_keeper(repository, digest)

    def _unlink(self, repository: str, digest: str) -> None:
        """Let a link without tags go, and note whom that makes a candidate and what it releases."""
        manifest = self.manifests[digest]
        del self.links[repository, digest]
        self.candidates.pop((repository, digest), None)
        self.locks.pop((repository, digest), None)
        left = self.linked_in(repository)
        for child in self.children_of(digest, left):
            if not self.parents_of(child, left):
                self._loses_keeper(repository, child)
        if self.rules.referrers in {"follow", "cascade"}:
            for referrer in self.referrers_of(digest, left):
                self._loses_keeper(repository, referrer)
        if self.pins() and manifest.subject in left and not self.referrers_of(manifest.subject, left):
            self._loses_keeper(repository, manifest.subject)
        for blob in manifest.blobs():
            if not self.holders(blob):
                self.released[blob] = self.now
        if self.rules.stale_blob_links:
            left_behind = {(repository, b.digest) for b in manifest.content().values() if not b.foreign}
            self.blob_links |= left_behind - self.removed_blobs

    def _loses_keeper(self, repository: str, digest: str) -> None:
        """Note that what kept a link went: its last tag, parent or pinning referrer, or its subject where that does."""
        self.links[repository, digest] = replace(self.links[repository, digest], unkept_at=self.now)
        self.candidates[repository, digest] = self.now

    def _require(self, repository: str, digest: str) -> None:
        if (repository, digest) not in self.readable():
            raise NotThere(repository, digest)

    def _require_blob(self, repository: str, digest: str) -> None:
        if digest not in self.blobs_in(repository):
            raise NotThere(repository, digest)

    def _forbid(self, what: str, things: list[tuple[str, ...]]) -> None:
        for thing in things:
            if self._locked(what, thing):
                raise Locked(what, thing)

    def _locked(self, what: str, thing: tuple[str, ...]) -> bool:
        """Say whether a lock of exactly this thing forbids ``what``."""
        locks = self.locks.get(thing, frozenset())
        return what in locks or (what == "delete" and "write" in locks and self.rules.write_lock_blocks_delete)

    # Automatic collection: due links, then due blobs, at each instant at which anything is due.

    def due_links(self) -> dict[Link, int]:
        """Return when each candidate is looked at."""
        wait = self.rules.untagged_after
        return {} if wait is None else {link: since + wait for link, since in self.candidates.items()}

    def due_sweeps(self) -> dict[str, int]:
        """Return when each blob that nothing holds is swept."""
        held = self.blobs_of(self.live()) | self.linked_blobs()
        return {
            blob: max(at, self.released.get(blob, at)) + self.rules.sweep_after
            for blob, at in self.stored.items()
            if blob not in held
        }

    def collectable(self, repository: str, digest: str) -> bool:
        """Say whether a candidate, being due, is collected."""
        left = self.linked_in(repository)
        locked = self._locked("delete", (repository,)) or self._locked("delete", (repository, digest))
        rule, subject = self.rules.referrers, self.manifests[digest].subject
        held = (
            self.tags_of(repository, digest)
            or self.parents_of(digest, left)
            or (rule in {"follow", "cascade"} and subject in left)
            or (rule in {"stay", "stay and pin"} and subject is not None)
            or (self.pins() and self.referrers_of(digest, left))
        )
        return not held and not locked

    def pins(self) -> bool:
        """Say whether a referrer keeps its subject."""
        return self.rules.referrers in {"pin", "stay and pin"}

    def _settle(self, until: int) -> None:
        """Note the charge, then let everything due up to a time happen, each at its own time."""
        self._note_charge()
        while self.rules.collection == "automatic":
            due = sorted([*self.due_links().values(), *self.due_sweeps().values()])
            if not due or due[0] > until:
                break
            self.now = max(self.now, due[0])
            self._collect()
            self._note_charge()
        self.now = until

    def _collect(self) -> None:
        while ready := sorted(link for link, at in self.due_links().items() if at <= self.now):
            for link in ready:
                if self.candidates.get(link) is None or self.due_links()[link] > self.now:
                    continue  # what went before it has taken it along, or has made it wait again
                del self.candidates[link]
                if self.collectable(*link):
                    self.removals.append((self.now, link))
                    self._unlink(*link)
        for blob in sorted(blob for blob, at in self.due_sweeps().items() if at <= self.now):
            self.sweeps.append((self.now, blob))
            del self.stored[blob]

    def _note_charge(self) -> None:
        charge = self.charged_bytes()
        if not self.charges or self.charges[-1][1] != charge:
            self.charges.append((self.now, charge))

    def instants(self) -> set[int]:
        """Return the times after now at which something may change by itself."""
        shown = {at + self.rules.report_lag for at, _ in self.charges}
        due = {*self.due_links().values(), *self.due_sweeps().values()}
        return {at for at in shown | (due if self.rules.collection == "automatic" else set()) if at > self.now}

    def charge_at(self, time: int) -> int:
        """Return the charge after everything that happened up to a time."""
        seen = [charge for at, charge in self.charges if at <= time]
        return seen[-1] if seen else 0

    def reported_bytes(self) -> int:
        """Return the charge as it was ``report_lag`` ago."""
        return self.charge_at(self.now - self.rules.report_lag)

    def reclaimable_bytes(self) -> int:
        """Return what the rules' own collector would free now."""
        try:
            return self.plan_gc().reclaimable_bytes
        except CollectionAborted:
            return 0

    # Garbage collection (section 4).

    def come_upon(self, policy: GcRules) -> set[Link]:
        """Return the links that a collection looks at, where their manifests can be read."""
        every = policy.repositories == "ALL"
        return {link for link in self.readable() if every or link[0] in self.had_blobs}

    def kept(self, policy: GcRules, at: int) -> set[Link]:
        """Return the links from which a collection marks."""
        seen = self.come_upon(policy)
        if policy.roots == "ALL":
            return seen
        found: set[Link] = set()
        for repository in {where for where, _ in seen}:
            linked = {digest for where, digest in seen if where == repository}
            roots = {digest for digest in linked if self.tags_of(repository, digest)}
            for digest in linked - roots:
                times = self.links[repository, digest]
                since = max(times.pushed_at, times.pushed_at if times.unkept_at is None else times.unkept_at)
                if at - since < policy.grace:
                    roots.add(digest)
                if policy.referrers in {"stay", "stay and pin"} and self.manifests[digest].subject is not None:
                    roots.add(digest)
            recursive, follow = policy.index_children == "recursive", policy.referrers == "follow"
            pin = policy.referrers in {"pin", "stay and pin"}
            reached = self.reach(roots, linked, children=recursive, referrers=follow, subjects=pin)
            found |= {(repository, digest) for digest in reached}
        return found

    def aborts(self, policy: GcRules) -> tuple[bool, str | None]:
        """Say whether a collection fails, and at which repository (None: nothing was ever stored)."""
        if policy.needs_blobs and not self.was_used:
            return True, None
        never_tagged = {where for where, _ in self.come_upon(policy)} - self.had_tags
        if policy.needs_tags and policy.roots == "TAGS" and never_tagged:
            return True, min(never_tagged, key=lambda name: name.split("/"))
        return False, None

    def plan_gc(self, policy: GcRules | None = None) -> GcPlan:
        """Return what a collection now would do."""
        policy = policy or self.rules.gc
        aborts, where = self.aborts(policy)
        if aborts:
            raise CollectionAborted(where)
        seen = self.come_upon(policy)
        kept = self.kept(policy, self.now)
        marked = self.blobs_of({digest for _, digest in kept})
        for _, digest in kept:
            marked |= set(self.manifests[digest].children or ())
        if not policy.honour_sha512:
            marked = {blob for blob in marked if not blob.startswith("sha512:")}
        if policy.honour_blob_links:
            marked |= self.linked_blobs()
        dropped = set() if policy.drops_blob_links == "never" else set(self.blob_links)
        for link in sorted(dropped):
            young = link[1] in self.stored and self.now - self.stored[link[1]] < policy.grace
            if young or (policy.drops_blob_links == "unmarked" and link[1] in marked):
                dropped.discard(link)
        swept = {
            blob
            for blob, at in self.stored.items()
            if blob not in marked and self.now - max(at, self.released.get(blob, at)) >= policy.grace
        }
        removed = frozenset(seen - kept)
        return GcPlan(removed, frozenset(dropped), frozenset(swept), self.size_of(swept))

    def apply(self, plan: GcPlan) -> None:
        """Do what a plan says."""
        for repository, digest in sorted(plan.removed):
            self._unlink(repository, digest)
        self._unlink_blobs(set(plan.unlinked))
        for blob in plan.swept:
            del self.stored[blob]
        self._settle(self.now)
