"""The real registry and ours side by side: the same operations on both, and the comparison of what both hold.

Every operation compares what the two say of it; `Twins.compare` what is on disk: the digests and sizes of all blobs,
and the links and tags of every repository. What has been swept in spite of a manifest is part of the comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

import quotasim as qs
from quotasim import lookup
from quotasim.errors import CollectionAborted, UnknownBlob, UnknownReference

from .documents import Document, Payload, WidePayload
from .server import Collection, RealRegistry

T = TypeVar("T")

PROFILE = "distribution-2.8"
_NO_FOLDER = "Path not found: /docker/registry/v2/"
_NEVER_TAGGED = re.compile(r"failed to retrieve tags unknown repository name=(\S+)")


def pick(things: Iterable[T], which: int) -> T:
    """Return one of some things."""
    listed = list(things)
    return listed[which % len(listed)]


class Twins:
    """One registry twice.

    Parameters
    ----------
    real : an empty one, without a cache of descriptors.
    wide : blobs that may be uploaded by their sha512.
    """

    def __init__(self, real: RealRegistry, wide: Iterable[WidePayload] = ()) -> None:
        assert real.cache is None, "a warm cache answers for what is gone"
        self.real = real
        self.ours = qs.Registry(PROFILE)
        self.filed = {part.digest: part.filed for part in wide}
        self.collections = self.aborted = 0

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

    def mount(self, digest: str, source: str, target: str) -> bool:
        """Mount a blob; return whether its source has it."""
        reply = self.real.client.mount(target, digest, source)
        assert reply.status in (201, 202), reply
        if reply.status == 202:
            self.real.client.cancel(reply)
        return self._agreed(reply.status == 201, lambda: self.ours.mount(digest, source, target), UnknownBlob)

    def delete_blob(self, repository: str, digest: str) -> bool:
        """Delete a blob in one repository; return whether it was there."""
        status = self.real.client.delete_blob(repository, digest).status
        assert status in (202, 404), status
        return self._agreed(status == 202, lambda: self.ours.delete_blob(repository, digest), UnknownBlob)

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
        before, held = self.real.disk(), self.sizes()
        done = self.real.collect(delete_untagged=delete_untagged)
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
        # What was uploaded by its sha512 is linked under both names there.
        left_out = {*self.filed, *self.filed.values()}
        links = {name: set(one.layers) - left_out for name, one in there}
        found = {name: digests - left_out for name, digests in self.blob_links().items()}
        assert _without_empty(found) == _without_empty(links)
        if not any(self.ours.engine.content.find_blob(digest) >= 0 for digest in self.filed):
            assert self.ours.usage().stored_bytes == disk.stored_bytes


def _without_empty(links: dict[str, set[str]]) -> dict[str, set[str]]:
    return {name: digests for name, digests in links.items() if digests}
