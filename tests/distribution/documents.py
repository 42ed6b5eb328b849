"""What is pushed: tiny blobs of real bytes, and manifests of every kind with their exact bytes.

`image` and `index` take the bytes that `quotasim.Image` and `quotasim.Index` write, so that a digest is the same in the
engine and on the real registry's disk. `written` takes a JSON that these cannot write (layers with urls, no media type
in it, ...); `Document.model` then is a quotasim object with the digest and size of those bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import quotasim as qs
from quotasim.model.oci import (
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    INDEX_MEDIA_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Blob,
    Descriptor,
)

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x", "linux/ppc64le", "linux/riscv64")
EMPTY = b"{}"


@dataclass(frozen=True, repr=False)
class Payload:
    """A blob with its bytes."""

    content: bytes

    def __repr__(self) -> str:
        return f"<{self.size} bytes, {self.digest[:19]}>"

    @property
    def digest(self) -> str:
        """The sha256 of the bytes."""
        return sha256(self.content)

    @property
    def sha512(self) -> str:
        """The other digest of the bytes, which a client may upload them by."""
        return f"sha512:{hashlib.sha512(self.content).hexdigest()}"

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.content)

    def blob(self, media_type: str | None = None, *urls: str) -> Blob:
        """Give the blob as quotasim knows it."""
        return Blob(self.digest, self.size, media_type, urls)


@dataclass(frozen=True, repr=False)
class WidePayload(Payload):
    """A blob that its client calls by its sha512. The real registry files its bytes under their sha256 all the same."""

    @property
    def digest(self) -> str:
        """The sha512 of the bytes."""
        return self.sha512

    @property
    def filed(self) -> str:
        """The sha256 of the bytes."""
        return sha256(self.content)


@dataclass(frozen=True, repr=False)
class Document:
    """A manifest, its bytes, and what it is made of. Shown by its description, since a test may fail with dozens.

    Attributes
    ----------
    media_type, content : what is pushed, and as what.
    model : the same as a quotasim object: equal digest, equal size, equal parts.
    description : what it is, in a few words, for a failing test to print.
    payloads : the config and the layers that can be uploaded, each once, in the order of the manifest.
    children : the manifests that an index lists and that are at hand, each once.
    references : every digest that it names directly, in its order and with repeats, but not the subject.
    subject : the digest of its subject.
    """

    media_type: str
    content: bytes
    model: qs.Image | qs.Index
    description: str
    payloads: tuple[Payload, ...] = ()
    children: tuple[Document, ...] = ()
    references: tuple[str, ...] = ()
    subject: str | None = None

    def __repr__(self) -> str:
        return f"<{self.description}>"

    @property
    def digest(self) -> str:
        """The sha256 of the bytes."""
        return sha256(self.content)

    @property
    def size(self) -> int:
        """The manifest's own bytes."""
        return len(self.content)

    def parts(self) -> dict[str, int]:
        """Give the size of all that a push of this stores, by digest: itself, its blobs, its children's."""
        found = {part.digest: part.size for part in self.payloads} | {self.digest: self.size}
        for child in self.children:
            found |= child.parts()
        return found


def payload(seed: str, size: int = 40) -> Payload:
    """Make a blob of ``size`` bytes that depend on the seed alone. Nobody looks into them: they need be no archive."""
    return Payload(hashlib.shake_256(seed.encode()).digest(size))


def image(
    layers: Iterable[Payload | Blob] = (),
    config: Payload | None = None,
    *,
    docker: bool = False,
    subject: Document | Descriptor | None = None,
    artifact_type: str | None = None,
    config_media_type: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Document:
    """Make an OCI image manifest, or one of Docker's schema 2. Without a config an OCI image has the empty one.

    A layer given as a `Blob` lies elsewhere: it says its media type and urls itself, and is not pushed.
    """
    listed = tuple(layers)
    refers = subject.model if isinstance(subject, Document) else subject
    model = qs.Image(
        [layer if isinstance(layer, Blob) else layer.blob() for layer in listed],
        None if config is None else config.blob(config_media_type),
        subject=refers,
        artifact_type=artifact_type,
        annotations=annotations,
        media_type=DOCKER_MANIFEST if docker else OCI_MANIFEST,
    )
    said = [f"{'schema 2' if docker else 'OCI'} image of {len(listed)} layers"]
    said += [f"artifact type {artifact_type}"] * (artifact_type is not None)
    parts = [Payload(EMPTY) if config is None else config, *listed]
    payloads = [part for part in parts if isinstance(part, Payload)]
    return _document(model, payloads, (), [part.digest for part in parts], said)


def index(
    children: Iterable[Document | Descriptor],
    *,
    docker: bool = False,
    subject: Document | Descriptor | None = None,
    artifact_type: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Document:
    """Make an OCI index, or a manifest list of Docker's. A descriptor stands for any digest, even a layer's.

    A manifest list says a platform of each child: one after the other of ``PLATFORMS``.
    """
    listed = tuple(children)
    mentioned = [child.model if isinstance(child, Document) else child for child in listed]
    if docker:
        mentioned = [_on_platform(child, PLATFORMS[at % len(PLATFORMS)]) for at, child in enumerate(mentioned)]
    model = qs.Index(
        mentioned,
        subject=subject.model if isinstance(subject, Document) else subject,
        artifact_type=artifact_type,
        annotations=annotations,
        media_type=DOCKER_MANIFEST_LIST if docker else OCI_INDEX,
    )
    said = [f"{'manifest list' if docker else 'OCI index'} of {len(listed)}"]
    at_hand = dict.fromkeys(child for child in listed if isinstance(child, Document))
    return _document(model, (), at_hand, [child.digest for child in listed], said)


def _on_platform(child: qs.Image | qs.Index | Descriptor, platform: str) -> qs.Image | qs.Index | Descriptor:
    if isinstance(child, Descriptor):
        return Descriptor(child.digest, child.size, child.media_type, platform)
    return child.on(platform)


def _document(
    model: qs.Image | qs.Index,
    payloads: Iterable[Payload],
    children: Iterable[Document],
    references: Iterable[str],
    said: list[str],
) -> Document:
    content = model.manifest_bytes()
    assert content is not None, model
    subject = None if model.subject is None else model.subject.digest
    said += [f"subject {subject}"] * (subject is not None)
    return Document(
        model.media_type,
        content,
        model,
        f"{', '.join(said)}, {model.digest}",
        tuple(dict.fromkeys(payloads)),
        tuple(children),
        tuple(references),
        subject,
    )


def written(
    media_type: str,
    fields: Mapping[str, Any],
    *,
    payloads: Iterable[Payload] = (),
    children: Iterable[Document] = (),
    description: str,
) -> Document:
    """Make a document of fields that quotasim does not write: as compact JSON, whatever they say.

    ``payloads`` and ``children`` are those that can be pushed before it; what it references is read from the fields.
    The model has the sizes that the fields claim, unknown where they claim less than nothing.
    """
    content = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    config, layers, listed = fields.get("config"), fields.get("layers", ()), fields.get("manifests", ())
    refers = fields.get("subject")
    own: dict[str, Any] = {"media_type": media_type, "digest": sha256(content), "size": len(content)}
    if refers is not None and media_type in (OCI_MANIFEST, OCI_INDEX):
        own["subject"] = Descriptor(refers["digest"], refers["size"], refers["mediaType"])
    model: qs.Image | qs.Index
    if media_type in INDEX_MEDIA_TYPES:
        platform = PLATFORMS[0] if media_type == DOCKER_MANIFEST_LIST else None
        model = qs.Index([Descriptor(*_mentioned(one), platform) for one in listed], **own)
    else:
        model = qs.Image([Blob(*_mentioned(one)) for one in layers], config and Blob(*_mentioned(config)), **own)
    return Document(
        media_type,
        content,
        model,
        f"{description}, {own['digest']}",
        tuple(dict.fromkeys(payloads)),
        tuple(children),
        tuple(one["digest"] for one in [*([config] if config else []), *layers, *listed]),
        None if model.subject is None else model.subject.digest,
    )


def _mentioned(part: Mapping[str, Any]) -> tuple[str, int | None, str]:
    return part["digest"], part["size"] if part["size"] >= 0 else None, part["mediaType"]


def fields_of(
    part: Payload | Document, media_type: str | None = None, size: int | None = None, **more: object
) -> dict[str, Any]:
    """Describe a blob or a manifest as a manifest's JSON does, for `written`; ``size``: another one than the truth."""
    kind = media_type or (part.media_type if isinstance(part, Document) else DOCKER_LAYER_GZIP)
    return {"mediaType": kind, "digest": part.digest, "size": part.size if size is None else size, **more}


def sha256(content: bytes) -> str:
    """Give the digest of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
