"""The real registry and ours side by side: the same operations on both, and the comparison of what both hold.

Every operation compares what the two say of it; `Twins.compare` what is on disk: the digests and sizes of all blobs,
the links and tags of every repository, and the bytes of its unfinished uploads. What has been swept in spite of a
manifest is part of the comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import pytest

import quotasim as qs
from quotasim import lookup
from quotasim.errors import CollectionAborted, UnknownBlob, UnknownReference, UnknownUpload

from .client import Reply
from .disk import Disk
from .documents import Document, Payload, WidePayload
from .server import Collection, RealRegistry

T = TypeVar("T")

PROFILE = "distribution-2.8"
_NO_FOLDER = "Path not found: /docker/registry/v2/"
_NEVER_TAGGED = re.compile(r"failed to retrieve tags unknown repository name=(\S+)")
_WRONG = f"sha256:{'0' * 64}"


def pick(things: Iterable[T], which: int) -> T:
    """Return one of some things."""
    listed = list(things)
    return listed[which % len(listed)]


@dataclass
class Upload:
    """An upload on both, unfinished or not.

    Attributes
    ----------
    number : what ours calls it.
    part : the blob that it is to become.
    reply : the real registry's last reply that says where it goes on.
    sent : how many bytes of the blob have been sent.
    is_open : whether it has neither been finished nor cancelled.
    is_stuck : whether it was finished with a wrong digest *and* bytes: the real registry keeps those bytes, but says
        nowhere how the upload goes on, and refuses whatever is asked of it at the old place.
    """

    number: int
    repository: str
    part: Payload
    reply: Reply
    sent: int = 0
    is_open: bool = True
    is_stuck: bool = False

    @property
    def rest(self) -> bytes:
        """What is still to be sent."""
        return self.part.content[self.sent :]


class Twins:
    """One registry twice.

    Parameters
    ----------
    real : an empty one. With a cache of descriptors it is restarted after each collection, as its manual asks for: a
        warm cache answers for what is gone, and ours has none.
    wide : blobs that may be uploaded by their sha512.
    """

    def __init__(self, real: RealRegistry, wide: Iterable[WidePayload] = ()) -> None:
        self.real = real
        self.ours = qs.Registry(PROFILE)
        self.filed = {part.digest: part.filed for part in wide}
        self.collections = self.aborted = 0
        self.uploads: list[Upload] = []

    # What ours holds

    def links(self) -> list[tuple[str, str]]:
        """Return every linked manifest as (repository, digest), whether or not its bytes are stored."""
        linked = self.ours.engine.state.read("linked")
        labels = [lookup.link_label(self.ours.engine, link) for link in range(linked.size) if linked[link]]
        return sorted(tuple(label.split("@")) for label in labels)

    def tags(self) -> dict[str, dict[str, str]]:
        """Return the digest that each tag points to, by repository and name."""
        engine, found = self.ours.engine, {}
        for tag, link in enumerate(engine.state.read("tag_link").tolist()):
            if link >= 0:
                repository = engine.names.repositories.values[engine.names.tag_repository[tag]]
                found.setdefault(repository, {})[engine.names.tag_label(tag)] = lookup.digest_of(engine, link)
        return found

    def blob_links(self) -> dict[str, set[str]]:
        """Return the digests that each repository links as blobs, whether or not their bytes are stored."""
        engine, content = self.ours.engine, self.ours.engine.content
        names, graph = engine.names.repositories.values, content.graph()
        found: dict[str, set[str]] = {}
        for link in range(engine.state.read("linked").size):
            manifest = engine.names.links.second[link]
            if engine.state.read("linked")[link] and graph.kind[manifest] == qs.Image.kind:
                layers = {content.digest(blob) for blob in content.targets(manifest) if not graph.flags[blob] & 2}
                found.setdefault(names[engine.names.links.first[link]], set()).update(layers)
        for repository, blob in zip(*engine.state.removed_blob_links(), strict=True):
            found.get(names[repository], set()).discard(content.digest(blob))
        for repository, blob in zip(*engine.state.explicit_blob_links(), strict=True):
            found.setdefault(names[repository], set()).add(content.digest(blob))
        return found

    def sizes(self) -> dict[str, int]:
        """Return the size of each stored blob, by the sha256 that the real registry files it under."""
        content, stored = self.ours.engine.content, self.ours.engine.state.read("stored")
        blobs = {content.digest(blob): int(content.graph().size[blob]) for blob in range(stored.size) if stored[blob]}
        return {self.filed.get(digest, digest): size for digest, size in blobs.items()}

    # Operations

    def push(self, repository: str, document: Document, tag: str | None = None, *, ask: bool = False) -> None:
        """Push a document with all its parts, which must be accepted."""
        self._send(repository, document, tag, ask=ask)
        reference = f"{repository}@{document.digest}" if tag is None else f"{repository}:{tag}"
        assert self.ours.push(reference, document.model).accepted

    def _send(self, repository: str, document: Document, tag: str | None, *, ask: bool) -> None:
        client = self.real.client
        for part in document.payloads:
            if not (ask and client.head_blob(repository, part.digest).status == 200):
                assert client.upload(repository, part.content, part.digest).status == 201
        for child in document.children:
            self._send(repository, child, None, ask=ask)
        reply = client.send(repository, document, tag)
        assert reply.status == 201, (document.description, reply)

    def upload(self, repository: str, part: Payload) -> None:
        """Upload a blob."""
        assert self.real.client.upload(repository, part.content, part.digest).status == 201
        assert self.ours.upload(repository, part.blob()).accepted

    def mount(self, digest: str, source: str, target: str, otherwise: Payload | None = None) -> bool:
        """Mount a blob; return whether its source has it.

        If not, the real registry has begun an upload. That is cancelled, or with ``otherwise`` goes on as one of that.
        """
        reply = self.real.client.mount(target, digest, source)
        assert reply.status in (201, 202), reply
        if reply.status == 202 and otherwise is None:
            self.real.client.cancel(reply)
        elif reply.status == 202:
            self._begun(target, otherwise, reply)
        return self._agreed(reply.status == 201, lambda: self.ours.mount(digest, source, target), UnknownBlob)

    def delete_blob(self, repository: str, digest: str) -> bool:
        """Delete a blob in one repository; return whether it was there."""
        status = self.real.client.delete_blob(repository, digest).status
        assert status in (202, 404), status
        return self._agreed(status == 202, lambda: self.ours.delete_blob(repository, digest), UnknownBlob)

    def put(self, repository: str, document: Document, tag: str | None = None) -> bool:
        """Put a manifest alone, as a client does that believes its parts to be there; return whether they are.

        Neither is asked where the real registry may have a part by its other name only.
        """
        content = self.ours.engine.content
        wide = {digest for digest in self.filed if content.find_blob(digest) >= 0}
        if not set(document.references).isdisjoint(wide | {self.filed[digest] for digest in wide}):
            return False
        reply = self.real.client.send(repository, document, tag)
        assert reply.status == 201 or set(reply.codes) == {"MANIFEST_BLOB_UNKNOWN"}, reply
        reference = f"{repository}@{document.digest}" if tag is None else f"{repository}:{tag}"
        return self._agreed(reply.status == 201, lambda: self.ours.put_manifest(reference, document.model), UnknownBlob)

    def tag(self, repository: str, digest: str, tag: str) -> bool:
        """Tag a linked manifest, as clients do: fetch it and put it by the tag; return whether that could be done.

        Neither is asked where only the real registry can have a part: swept by its sha512, kept by its sha256.
        """
        if self._is_kept_under_another_name(digest):
            return False
        client = self.real.client
        found = client.get_manifest(repository, digest)
        assert found.status in (200, 404), found
        done, why = False, UnknownReference
        if found.status == 200:
            reply = client.put_manifest(repository, tag, found.body, found.headers["content-type"])
            done, why = reply.status == 201, UnknownBlob
            assert done or reply.codes[0] == "MANIFEST_BLOB_UNKNOWN", reply
        return self._agreed(done, lambda: self.ours.tag(f"{repository}@{digest}", tag), why)

    def _is_kept_under_another_name(self, manifest: str) -> bool:
        content, stored = self.ours.engine.content, self.ours.engine.state.read("stored")
        parts = content.targets(content.find_manifest(manifest)).tolist()
        swept = {content.digest(blob) for blob in parts if not stored[blob]} & set(self.filed)
        return any(self.filed[digest] in self.sizes() for digest in swept)

    def delete(self, repository: str, digest: str) -> bool:
        """Delete a manifest by its digest; return whether it was there."""
        status = self.real.client.delete_manifest(repository, digest).status
        assert status in (202, 404), status
        return self._agreed(status == 202, lambda: self.ours.delete(f"{repository}@{digest}"), UnknownReference)

    # Uploads in steps

    def start(self, repository: str, part: Payload) -> Upload:
        """Begin an upload."""
        reply = self.real.client.begin(repository)
        assert (reply.status, reply.headers["range"]) == (202, "0-0"), reply
        return self._begun(repository, part, reply)

    def _begun(self, repository: str, part: Payload, reply: Reply) -> Upload:
        number = self.ours.start_upload(repository).upload
        assert number is not None
        self.uploads.append(Upload(number, repository, part, reply))
        return self.uploads[-1]

    def append(self, upload: Upload, size: int) -> bool:
        """Send up to so many bytes more; return whether they were taken."""
        chunk = upload.rest[:size]
        reply = self.real.client.append(upload.reply, chunk)
        if not self._goes_on(upload, reply, lambda: self.ours.append(upload.number, len(chunk))):
            return False
        upload.sent += len(chunk)
        upload.reply = reply
        # A range cannot say that there is nothing: 0-0 is no byte, and one.
        assert (reply.status, reply.headers["range"]) == (202, f"0-{max(upload.sent - 1, 0)}"), reply
        assert self.ours.append(upload.number, len(chunk)).received_bytes == upload.sent
        return True

    def finish(self, upload: Upload, *, wrongly: bool = False) -> bool:
        """Send the rest and the digest, or a wrong one; return whether there is a blob now."""
        digest = _WRONG if wrongly else upload.part.digest
        reply = self.real.client.finish(upload.reply, upload.rest, digest)
        if not self._goes_on(upload, reply, lambda: self.ours.finish_upload(upload.number, upload.part.blob())):
            return False
        if wrongly:
            assert reply.told == (400, ("DIGEST_INVALID",)), reply
            # The bytes came before the digest could be wrong, and stay. Ours has no call that fails so.
            self.ours.append(upload.number, len(upload.rest))
            upload.is_stuck = bool(upload.rest)
            upload.sent = upload.part.size
            return False
        assert reply.status == 201, reply
        assert self.ours.finish_upload(upload.number, upload.part.blob()).accepted
        upload.is_open = False
        return True

    def cancel(self, upload: Upload) -> bool:
        """Give an upload up; return whether it was there."""
        reply = self.real.client.cancel(upload.reply)
        if not self._goes_on(upload, reply, lambda: self.ours.cancel_upload(upload.number)):
            return False
        assert reply.status == 204, reply
        assert self.ours.cancel_upload(upload.number) == upload.sent
        upload.is_open = False
        return True

    def _goes_on(self, upload: Upload, reply: Reply, ours: Callable[[], object]) -> bool:
        """Return whether an upload can go on; if it has ended ``ours`` must say so too."""
        if upload.is_stuck:
            assert reply.told == (404, ("BLOB_UPLOAD_INVALID",)), reply
        elif not upload.is_open:
            assert reply.told == (404, ("BLOB_UPLOAD_UNKNOWN",)), reply
            with pytest.raises(UnknownUpload):
                ours()
        return upload.is_open and not upload.is_stuck

    def received(self) -> dict[str, list[int]]:
        """Return the bytes of each unfinished upload of ours, in order of size, by repository."""
        found: dict[str, list[int]] = {}
        for one in sorted(self.ours.uploads(), key=lambda one: one.received_bytes):
            found.setdefault(one.repository, []).append(one.received_bytes)
        return found

    def _agreed(self, done: bool, ours: Callable[[], object], refused: type[qs.QuotaSimError]) -> bool:
        """Do it on ours, which must say that it is not there exactly where the real registry did."""
        try:
            ours()
        except refused:
            assert not done, "the real registry did it"
        else:
            assert done, "the real registry refused it"
        return done

    def collect(self, *, delete_untagged: bool = False) -> Collection:
        """Collect on both, and compare what is said and what is left."""
        self.collections += 1
        before, held, unfinished = self.real.disk(), self.sizes(), self.ours.uploads()
        done = self.real.collect(delete_untagged=delete_untagged)
        if self.real.cache is not None:
            self.real.restart()
        policy = "delete-untagged" if delete_untagged else "default"
        if done.code:
            self.aborted += 1
            at = _NEVER_TAGGED.search(done.err)
            assert at is not None or _NO_FOLDER in done.err, done
            with pytest.raises(CollectionAborted) as refused:
                self.ours.plan_gc(policy)
            assert refused.value.repository == (None if at is None else at[1])
            assert self.real.disk() == before
        else:
            plan = self.ours.plan_gc(policy)
            assert sorted(done.manifests) == sorted(digest for _, digest in plan.removed)
            self.ours.apply(plan)
            assert done.blobs == sorted(set(held) - set(self.sizes()))
            assert _uploads(self.real.disk()) == _uploads(before)
            assert self.ours.uploads() == unfinished
        self.compare()
        return done

    # Comparison

    def compare(self) -> None:
        """Compare what both hold."""
        disk = self.real.disk()
        assert self.sizes() == disk.sizes
        there = disk.repositories.items()
        assert self.tags() == {name: one.tags for name, one in there if one.tags}
        assert self.links() == sorted((name, digest) for name, one in there for digest in one.revisions)
        assert self.received() == {name: sizes for name, one in there if (sizes := _received(one.uploads))}
        assert self.ours.usage().upload_bytes == disk.upload_bytes
        # What was uploaded by its sha512 is linked under both names there.
        left_out = {*self.filed, *self.filed.values()}
        links = {name: set(one.layers) - left_out for name, one in there}
        found = {name: digests - left_out for name, digests in self.blob_links().items()}
        assert _without_empty(found) == _without_empty(links)
        if not any(self.ours.engine.content.find_blob(digest) >= 0 for digest in self.filed):
            assert self.ours.usage().stored_bytes == disk.stored_bytes


def _uploads(disk: Disk) -> dict[str, dict[str, dict[str, bytes]]]:
    """Every file of every upload, those that a cancelled one leaves behind included."""
    return {name: one.uploads for name, one in disk.repositories.items() if one.uploads}


def _received(uploads: dict[str, dict[str, bytes]]) -> list[int]:
    """The bytes of each unfinished upload of a repository, in order of size. A cancelled one has no data any more."""
    return sorted(len(files["data"]) for files in uploads.values() if "data" in files)


def _without_empty(links: dict[str, set[str]]) -> dict[str, set[str]]:
    return {name: digests for name, digests in links.items() if digests}
