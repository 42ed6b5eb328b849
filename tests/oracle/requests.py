"""Pushes in steps, restoring, and the vendor's counter (sections 5 and 6)."""

from __future__ import annotations

from dataclasses import replace

from .content import Blob, Manifest
from .figures import Upload
from .registry import Locked, NotThere, Operations, Refused


class NotRestorable(LookupError):
    """It is gone for good, was never deleted, or its tag has moved on."""


class OracleRegistry(Operations):
    """A registry made of sets and dicts, with everything that can be done to it."""

    next_upload = 0

    # Uploads

    def begin(self, repository: str) -> int | None:
        """Begin an upload; return its number, or None where it is refused."""
        if self.locked("write", (repository,)) or self._fails(self.rules.check_post, repository, 0):
            return None
        return self._open(Upload(repository, self.now))

    def append(self, number: int, size: int) -> bool:
        """Receive a part; return whether it was let in."""
        upload = self.uploads[number]
        refused = self._fails(self.rules.check_patch, upload.repository, size)
        if not refused:
            self.uploads[number] = replace(upload, bytes=upload.bytes + size)
        elif self.rules.patch_cancels:
            self._end(number)
        self._settle(self.now)
        return not refused

    def reserve(self, number: int, blob: Blob) -> bool:
        """Let the request arrive that finishes an upload; return whether it was let in."""
        upload = self.uploads[number]
        if upload.reserved is not None:
            return True
        needed = self._added_by(upload.repository, lambda: self._upload(upload.repository, blob))
        if self._fails(self.rules.check_put_blob, upload.repository, needed):
            return False
        self._reserve(number, needed)
        self._settle(self.now)
        return True

    def finish(self, number: int, blob: Blob) -> bool:
        """Finish an upload; return whether it was let in."""
        if not self.reserve(number, blob):
            return False
        upload = self.uploads[number]
        before = self.charge(self._scope(upload.repository))
        try:
            self._upload(upload.repository, blob)
        except Locked:
            self._roll_back(number)
            self.uploads[number] = replace(upload, reserved=None)
            self._settle(self.now)
            return False
        del self.uploads[number]
        self._counted_already(upload.repository, before)
        self._settle(self.now)
        return True

    def cancel(self, number: int) -> None:
        """Give an upload up."""
        self._end(number)
        self._settle(self.now)

    def purge(self, age: int) -> None:
        """Remove unfinished uploads that began so long ago."""
        for number, upload in list(self.uploads.items()):
            if upload.is_session and upload.began <= self.now - age:
                self._end(number)
        self._settle(self.now)

    def put_manifest(self, repository: str, manifest: Manifest, tag: str | None) -> bool:
        """Push a manifest whose parts are there; return whether it was let in."""
        there = self.blobs_in(repository)
        readable = {digest for where, digest in self.readable() if where == repository}
        parts = {blob.digest for blob in manifest.content().values() if not blob.foreign}
        if not parts <= there or not set(manifest.children or ()) <= there | readable:
            raise NotThere(repository)
        check, push = self.rules.check_put_manifest, ("push", repository, manifest, tag)
        if self.rules.basis == "TAGGED":  # there the limit sees what is left in the end
            accepted = check != "missing" or not self._fails("missing", repository, 0)
            return accepted and self.batch([push])[0]
        needed = self._added_by(repository, lambda: self._push(repository, manifest, None))
        if self._fails(check, repository, needed):
            return False
        was_there, backup = (repository, manifest.digest) in self.links, self._tables()
        try:
            self._push(repository, manifest, tag)
        except (Locked, Refused):
            self.__dict__ = backup
            return False
        if check == "afterwards" and self.is_over(self.counted(self._scope(repository))):
            self.__dict__ = backup  # it is taken in without its tag, and hidden where nothing else shows it
            self._push(repository, manifest, None)
            link = (repository, manifest.digest)
            linked = self.linked_in(repository)
            if not self.tags_of(*link) and not self.parents_of(manifest.digest, linked):
                self.hidden.add(link)
                self.candidates.pop(link, None)
                self.links[link] = replace(self.links[link], unkept_at=self.now)
                self.refused.append((self.now + self.rules.refused_after, link))
            elif not was_there or not self.tags_of(*link):
                self.candidates.pop(link, None)
                self.links[link] = replace(self.links[link], unkept_at=None)
            self._settle(self.now)
            return False
        self._settle(self.now)
        return True

    def copy(self, repository: str, digest: str, target: str, tag: str | None) -> bool:
        """Copy a manifest with what belongs to it; return whether it was let in."""
        self._require(repository, digest)
        readable = {other for where, other in self.readable() if where == repository}
        follows = self.rules.referrers in {"follow", "cascade"}
        tree = self.reach({digest}, self.linked_in(repository), children=True, referrers=follows)
        pieces = [(other, None) for other in sorted(tree & readable - {digest})] + [(digest, tag)]

        backup, before = self._tables(), self.charge(self._scope(target))
        try:
            for other, name in pieces:
                self._push(target, self.manifests[other], name)
        except (Locked, Refused):
            self.__dict__ = backup
            return False
        needed, done = self.charge(self._scope(target)) - before, self._tables()
        self.__dict__ = backup
        if self._fails(self.rules.check_copy, target, needed):
            return False
        self.__dict__ = done
        self._settle(self.now)
        return True

    # Restoring

    def restore(self, repository: str, digest: str | None, name: str | None, *, force: bool = False) -> None:
        """Bring back a hidden manifest, or a tag that was taken from one."""
        if self.rules.restorable_for is None:
            raise NotRestorable
        key = (repository, name or "", "")
        if name is not None:
            digest = self.last_target.get(key)
        if digest is None or (repository, digest) not in self.links:
            raise NotRestorable
        link = (repository, digest)
        if name is None and link not in self.hidden:
            raise NotRestorable
        if name is not None and (self.tags.get(key) == digest or (key in self.tags and not force)):
            raise NotRestorable
        tags = {key} if name is not None else self.last_tags.get(link, set())
        free = [tag for _, tag, _ in sorted(tags) if (repository, tag, "") not in self.tags or force]
        if not free and self.rules.delete_by_tag == "expire":
            raise NotRestorable
        self._forbid("write", [(repository,), *((repository, "tag", tag) for tag in free)])
        if self.rules.immutable_tags != "off" and any((repository, tag, "") in self.tags for tag in free):
            raise Refused("immutable")
        if link in self.hidden:
            self._show(*link)
        for tag in free:
            self._bind(repository, tag, digest)
        self._settle(self.now)

    # The vendor's counter

    def miscount(self, repository: str, size: int) -> None:
        """Let the counter of a scope go wrong."""
        name = self._scope(repository)
        if name not in self.standing:
            self.drift[name] = self.drift.get(name, 0) + size
        self._settle(self.now)

    def recount(self) -> None:
        """Count all scopes anew."""
        self.drift.clear()
        self.standing.clear()
        self._settle(self.now)

    def start_backfill(self, scopes: list[str]) -> None:
        """Let the counters stand still at 0, and be counted in turn."""
        assert self.rules.backfill is not None
        delay, every, batch = self.rules.backfill
        self.drift.clear()
        self.standing = {name: self.now + delay + place // batch * every for place, name in enumerate(scopes)}
        self._settle(self.now)

    # Inside

    def _open(self, upload: Upload) -> int:
        number = self.next_upload
        self.next_upload += 1
        self.uploads[number] = upload
        return number

    def _end(self, number: int) -> None:
        self._roll_back(number)
        del self.uploads[number]

    def _reserve(self, number: int, needed: int) -> None:
        upload = self.uploads[number]
        self.uploads[number] = replace(upload, reserved=needed if self.rules.reserves else 0)
        if self.rules.reserves:
            name = self._scope(upload.repository)
            self.drift[name] = self.drift.get(name, 0) + needed

    def _roll_back(self, number: int) -> None:
        upload = self.uploads[number]
        name = self._scope(upload.repository)
        if self.rules.reserves and upload.reserved is not None and self.counted(name) >= upload.reserved:
            self.drift[name] = self.drift.get(name, 0) - upload.reserved

    def _counted_already(self, repository: str, before: int) -> None:
        """Let the counter stand although the charge has moved: it moved when the request came."""
        name = self._scope(repository)
        if self.rules.reserves:
            self.drift[name] = self.drift.get(name, 0) - (self.charge(name) - before)
