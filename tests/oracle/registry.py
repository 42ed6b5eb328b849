"""What is done to a registry: operations, batches, locks, quota (section 3)."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from .collection import Collection
from .content import Blob, GcRules, Manifest
from .figures import Link, LinkTimes, TagKey
from .runs import Run


class NotThere(LookupError):
    """A reference names nothing."""


class Locked(PermissionError):
    """A lock forbids the operation."""


class Refused(PermissionError):
    """The kind refuses the operation.

    The argument says which rule: "tag", "child", "tags", "referrer" or "immutable".
    """


class Operations(Collection):
    """A registry made of sets and dicts. A single operation is a batch of one."""

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
        blob = self.blobs[digest]
        needed = self._added_by(target, lambda: self._upload(target, blob))
        if self._fails(self.rules.check_mount, target, needed):
            return False
        try:
            self._upload(target, blob)
        except Locked:
            return False
        self._settle(self.now)
        return True

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

    def branch(self) -> Self:
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
        counted = 0 if limit is None else self.counted(name)
        try:
            operation(*arguments)
        except (Locked, Refused):
            self.__dict__ = backup
            return False
        if limit is None:
            return True
        added = self.charge(name) - before
        if added > 0 and self.is_over(counted + added):
            self.__dict__ = backup
            return False
        return True

    def is_over(self, counted: int) -> bool:
        """Say whether so many bytes are past the limit."""
        limit = self.rules.limit
        return limit is not None and (counted > limit or (counted == limit and self.rules.reject_at_limit))

    def _scope(self, repository: str) -> str:
        return self.scope_name(self.rules.scope, repository)

    def _added_by(self, repository: str, act: Callable[[], object]) -> int:
        """Return what doing something would add to the charge of a scope."""
        backup, before = self._tables(), self.charge(self._scope(repository))
        rules, self.locks = self.locks, {}
        try:
            act()
            return self.charge(self._scope(repository)) - before
        finally:
            self.__dict__ = backup
            self.locks = rules

    def _fails(self, check: str, repository: str, needed: int) -> bool:
        """Say whether a request that adds so much fails at a check point."""
        counted = self.counted(self._scope(repository))
        if check == "used":
            return self.is_over(counted)
        if check == "uploading":
            mine = sum(upload.bytes for upload in self.uploads.values() if upload.repository == repository)
            return self.is_over(counted + mine)
        return check == "missing" and needed > 0 and self.is_over(counted + needed)

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
                self._store(digest)
        self.was_used = True
        if any(not blob.foreign for blob in manifest.content().values()):
            self.had_blobs.add(repository)
        if (repository, manifest.digest) not in self.links:
            self.links[repository, manifest.digest] = LinkTimes(self.now)
        else:
            self.links[repository, manifest.digest] = replace(
                self.links[repository, manifest.digest], pushed_at=self.now
            )
        self.steps += 1
        self.last_pushed[repository, manifest.digest] = self.steps
        if (repository, manifest.digest) in self.hidden:
            self._show(repository, manifest.digest)
        # Where links are left behind, one to the manifest's own bytes is no business of a push.
        named = manifest.content() if self.rules.stale_blob_links else manifest.blobs()
        brought = {(repository, digest) for digest in named}
        self.blob_links -= brought
        self.removed_blobs -= brought
        if tag is not None:
            self._bind(repository, tag, manifest.digest)
        elif self.rules.collects_untagged_pushes and not self.tags_of(repository, manifest.digest):
            self._loses_keeper(repository, manifest.digest)

    def _store(self, digest: str) -> None:
        self.stored[digest] = self.now
        self.steps += 1
        self.last_stored[digest] = self.steps

    def _upload(self, repository: str, blob: Blob) -> None:
        self._forbid("write", [(repository,)])
        self.blobs.setdefault(blob.digest, blob)
        self._store(blob.digest)
        self.was_used = True
        self.had_blobs.add(repository)
        self.blob_links.add((repository, blob.digest))
        self.linked_at[repository, blob.digest] = self.now
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
        self.last_tags[repository, expected] = {(repository, name, "")}

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
        if (repository, digest) not in self.links or (repository, digest) in self.hidden:
            return  # a drop of the same batch has taken it along
        rules, tags = self.rules, self.tags_of(repository, digest)
        self._forbid("delete", self._lockable(repository, {digest}))
        if rules.keeps_children and self.parents_of(digest, self.linked_in(repository)):
            raise Refused("child")
        if rules.keeps_subjects and self.referrers_of(digest, self.linked_in(repository)):
            raise Refused("referrer")
        if rules.immutable_tags == "keep" and tags:
            raise Refused("immutable")
        if rules.most_tags_on_delete is not None and len(tags) > rules.most_tags_on_delete:
            raise Refused("tags")
        if rules.delete_by_tag == "expire":
            for key in tags:
                self._unbind(key)
            self.last_tags[repository, digest] = set(tags)
        elif rules.keeps_deleted:
            self._hide(repository, self._going_along(repository, digest))
        else:
            self._remove(repository, self._going_along(repository, digest))
        self._count_anew(repository)

    def _hide(self, repository: str, going: set[str]) -> None:
        """Delete manifests of which the kind keeps what is deleted."""
        for digest in sorted(going):
            tags = self.tags_of(repository, digest)
            for key in tags:
                self._unbind(key)
            self._loses_keeper(repository, digest)
            self.hidden.add((repository, digest))
            self.last_tags[repository, digest] = set(tags)

    def _show(self, repository: str, digest: str) -> None:
        """Let clients find a hidden manifest again."""
        link = (repository, digest)
        self.hidden.discard(link)
        self.candidates.pop(link, None)
        self.links[link] = replace(self.links[link], unkept_at=None)

    def _count_anew(self, repository: str) -> None:
        """Count the scope of a repository anew, where the vendor does so after a deletion."""
        if self.rules.recounts:
            self.drift.pop(self.scope_name(self.rules.scope, repository), None)

    def _going_along(self, repository: str, digest: str) -> set[str]:
        """Return what goes at once with a manifest that is deleted, itself included."""
        linked, going = self.linked_in(repository), {digest}
        while True:
            more = set()
            for other in linked - going - {digest for where, digest in self.hidden if where == repository}:
                tags = self.tags_of(repository, other)
                if any(self.locked("delete", thing) for thing in self._lockable(repository, {other})):
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
        going = {digest for digest in self.linked_in(repository) if (repository, digest) not in self.hidden}
        self._forbid("delete", self._lockable(repository, going))
        if self.rules.keeps_deleted:
            self._hide(repository, going)
        else:
            self._remove(repository, going)
        if going:
            self._count_anew(repository)
        self._unlink_blobs({link for link in self.blob_links if link[0] == repository})

    # What a collection under way does.

    def start_run(self, policy: GcRules, known: Callable[[], set[str]]) -> Run:
        """Begin a collection."""
        return Run(self, policy, known)

    def collect_one(self, kind: str, thing: tuple[str, ...]) -> None:
        """Delete one thing, if it is there."""
        if kind == "link" and thing in self.links:
            for key in self.tags_of(*thing):
                self._unbind(key)
            self._unlink(*thing)
        elif kind == "blob link":
            self._unlink_blobs({(thing[0], thing[1])})
        elif kind == "blob":
            self.stored.pop(thing[0], None)

    def end_of_step(self, *, done: bool) -> None:
        """Count anew after the last one, where the kind does."""
        if done and self.rules.recounts:
            self.drift.clear()
        self._settle(self.now)

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
            locks, last = self.locks.get((repository, "tag", name), frozenset()), self.last_target.get(key)
            self._unbind(key)
            if last is None:
                del self.last_target[key]  # it was moved, not taken away
            else:
                self.last_target[key] = last
            self.locks[repository, "tag", name] = locks  # a tag that moves is the same tag
        self.tags[key] = digest
        self.tagged_at[key] = self.now
        self.hidden.discard((repository, digest))

    def _unbind(self, key: TagKey) -> None:
        repository, digest = key[0], self.tags.pop(key)
        self.locks.pop((repository, "tag", key[1]), None)
        self.last_target[key] = digest
        self.last_tags[repository, digest] = set()
        if not self.tags_of(repository, digest):
            self._loses_keeper(repository, digest)
            if self.rules.delete_by_tag == "expire" and not self.parents_of(digest, self.linked_in(repository)):
                self.hidden.add((repository, digest))

    def _unlink(self, repository: str, digest: str) -> None:
        """Let a link without tags go, and note whom that makes a candidate and what it releases."""
        manifest = self.manifests[digest]
        del self.links[repository, digest]
        self.hidden.discard((repository, digest))
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
        if self.rules.keeps_deleted and (repository, digest) in self.hidden:
            return  # it waits since it was deleted
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
            if self.locked(what, thing):
                raise Locked(what, thing)

    def locked(self, what: str, thing: tuple[str, ...]) -> bool:
        """Say whether a lock of exactly this thing forbids ``what``."""
        locks = self.locks.get(thing, frozenset())
        return what in locks or (what == "delete" and "write" in locks and self.rules.write_lock_blocks_delete)
