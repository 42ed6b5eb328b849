"""Clients that push at the same time, their requests interleaved at random from a seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from quotasim import lookup
from quotasim.accounting.quota import Verdict
from quotasim.errors import InvalidValue, UnknownBlob, UnknownUpload
from quotasim.kernels import NULL
from quotasim.model.oci import Blob, Image, Index, is_foreign, parse_reference
from quotasim.registry import Registry
from quotasim.units import parse_duration, parse_size

__all__ = ["ClientPush", "push_together"]


@dataclass(slots=True)
class ClientPush:
    """What became of one client's push.

    Attributes
    ----------
    reference : what was pushed as.
    accepted : whether its manifest was.
    refused_at : the request that was refused: ``"POST"``, ``"PATCH"``, ``"PUT blob"``, ``"PUT manifest"``, or None.
    verdict : the word on that request, or on the manifest.
    sent_bytes : bytes of blobs that the client sent; whatever became of them.
    finished_bytes : the part of these that are finished blobs: they stay, whatever became of the push.
    requests : how many requests it made.
    """

    reference: str
    accepted: bool = False
    refused_at: str | None = None
    verdict: Verdict | None = None
    sent_bytes: int = 0
    finished_bytes: int = 0
    requests: int = 0
    _open: set[int] = field(default_factory=set, repr=False)


def push_together(
    registry: Registry,
    pushes: Sequence[tuple[str, Image | Index]],
    *,
    seed: int = 0,
    chunk: int | str = "5 MiB",
    blobs_at_once: int = 5,
    pause: str = "0s",
    cancels: bool = False,
) -> list[ClientPush]:
    """Let clients push at the same time, each request at its own check point.

    A client asks for each blob (HEAD), uploads those that are not there, some at a time, and puts the manifest;
    children of an index before it. It gives up at the first refusal.

    Parameters
    ----------
    registry : changed.
    pushes : (reference, manifest) of each client.
    seed : of the order in which their requests arrive; the same seed gives the same order.
    chunk : bytes of a PATCH at most; the last part of a blob goes with its PUT.
    blobs_at_once : uploads of one client that run at a time.
    pause : time between two requests, whoever makes them.
    cancels : whether a client that gives up deletes its unfinished uploads; else they stay until they are purged.

    Returns
    -------
    One result a client, in the order of ``pushes``.

    Raises
    ------
    InvalidValue : ``chunk`` or ``blobs_at_once`` below 1.

    Notes
    -----
    Arrival and end of a PUT are two steps, so that two of them can overlap. O(requests).

    Examples
    --------
    Under Harbor what a client will add is reserved when its request arrives; so the second of two pushes is refused
    before it is too much, and the blobs that it had finished stay and count.

    >>> registry = Registry("harbor", limit=1000)
    >>> images = [Image([Blob.synthetic(f"{n}-{k}", 200) for k in range(3)]) for n in range(2)]
    >>> done = push_together(registry, [("a/app:1", images[0]), ("a/app:2", images[1])], blobs_at_once=1)
    >>> sum(push.accepted for push in done) < 2, registry.usage().charged_bytes <= 1000
    (True, True)
    """
    size = parse_size(chunk, name="chunk")
    if size < 1:
        raise InvalidValue("chunk", chunk, "at least 1 byte")
    if blobs_at_once < 1:
        raise InvalidValue("blobs_at_once", blobs_at_once, "at least 1")
    between = parse_duration(pause)
    random = np.random.default_rng(seed)
    results = [ClientPush(reference) for reference, _ in pushes]
    clients = [
        _Client(registry, result, manifest, size, blobs_at_once, random)
        for result, (_, manifest) in zip(results, pushes, strict=True)
    ]
    running = [client.steps() for client in clients]
    while running:
        which = int(random.integers(len(running)))
        if next(running[which], None) is None:
            running.pop(which)
        elif between:
            registry.advance(pause)
    for client in clients:
        if client.result.refused_at is not None and cancels:
            for upload in sorted(client.result._open):
                registry.cancel_upload(upload)
    return results


class _Client:
    """One client; its requests are the steps of a generator, one yielded after each."""

    def __init__(
        self,
        registry: Registry,
        result: ClientPush,
        manifest: Image | Index,
        chunk: int,
        at_once: int,
        random: np.random.Generator,
    ) -> None:
        self.registry = registry
        self.result = result
        self.manifest = manifest
        self.chunk = chunk
        self.at_once = at_once
        self.random = random
        self.repository = parse_reference(result.reference).repository

    def steps(self) -> Iterator[bool]:
        """Take one request after another, until all is there or one is refused."""
        for manifest in self._children_first(self.manifest):
            yield from self._blobs(manifest)
            if self.result.refused_at is None:
                yield from self._put(manifest)
            if self.result.refused_at is not None:
                return

    def _children_first(self, manifest: Image | Index) -> Iterator[Image | Index]:
        if isinstance(manifest, Index):
            for child in manifest.manifests:
                if isinstance(child, Image | Index):
                    yield from self._children_first(child)
        yield manifest

    def _blobs(self, manifest: Image | Index) -> Iterator[bool]:
        """Upload what the repository lacks of an image, several blobs at a time."""
        if isinstance(manifest, Index):
            return
        listed = [*manifest.layers, *([] if manifest.config is None else [manifest.config])]
        parts = {blob.digest: blob for blob in listed if not is_foreign(blob.media_type or "")}
        waiting = deque(self._blob(blob) for blob in parts.values())
        running: list[Iterator[bool]] = []
        while waiting or running:
            while waiting and len(running) < self.at_once:
                running.append(waiting.popleft())
            which = int(self.random.integers(len(running)))
            if next(running[which], None) is None:
                running.pop(which)
            else:
                yield True
            if self.result.refused_at is not None:
                return

    def _blob(self, blob: Blob) -> Iterator[bool]:
        """HEAD, and where it is not there POST, PATCH..., PUT."""
        registry, result = self.registry, self.result
        result.requests += 1
        if self._is_there(blob):
            yield True
            return
        begun = registry.start_upload(self.repository)
        if self._refused("POST", begun.accepted, begun.verdict) or begun.upload is None:
            yield True
            return
        upload, left = begun.upload, blob.size or 0
        result._open.add(upload)
        yield True
        try:
            while left > self.chunk:
                sent = registry.append(upload, self.chunk)
                if self._refused("PATCH", sent.accepted, sent.verdict):
                    result._open -= set() if sent.upload is not None else {upload}
                    yield True
                    return
                left -= self.chunk
                result.sent_bytes += self.chunk
                yield True
            arrived = registry.reserve_upload(upload, blob)
            if self._refused("PUT blob", arrived.accepted, arrived.verdict):
                yield True
                return
            yield True
            finished = registry.finish_upload(upload, blob)
        except UnknownUpload:  # purged meanwhile
            result.refused_at = "PUT blob"
            result._open.discard(upload)
            return
        if not self._refused("PUT blob", finished.accepted, finished.verdict):
            result._open.discard(upload)
            result.sent_bytes += left
            result.finished_bytes += blob.size or 0
        yield True

    def _put(self, manifest: Image | Index) -> Iterator[bool]:
        registry = self.registry
        last = manifest is self.manifest
        reference = self.result.reference if last else f"{self.repository}@{manifest.digest}"
        try:
            arrived = registry.reserve_manifest(reference, manifest)
            if self._refused("PUT manifest", arrived.accepted, arrived.verdict):
                yield True
                return
            yield True
            done = registry.put_manifest(reference, manifest, request=arrived.upload)
        except UnknownBlob:  # collected meanwhile
            self.result.refused_at = "PUT manifest"
            return
        if not self._refused("PUT manifest", done.accepted, done.verdict) and last:
            self.result.accepted, self.result.verdict = True, done.verdict
        yield True

    def _refused(self, request: str, accepted: bool, verdict: Verdict) -> bool:
        """Count a request, note its refusal, and say whether it was refused."""
        self.result.requests += 1
        if not accepted:
            self.result.refused_at, self.result.verdict = request, verdict
        return not accepted

    def _is_there(self, blob: Blob) -> bool:
        engine = self.registry.engine
        row = engine.content.find_blob(blob.digest)
        where = engine.names.repositories.find(self.repository)
        return row != NULL and where != NULL and lookup.has_blob(engine, where, row)
