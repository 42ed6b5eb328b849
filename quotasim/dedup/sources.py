"""Which layers to measure: files, and the layers of the images of an OCI image layout."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from quotasim.dedup.streams import BlobFile, Broken, open_regular
from quotasim.errors import InputRejected, InvalidDigest, InvalidValue, Problem
from quotasim.model.oci import FOREIGN_MEDIA_TYPES, OCI_LAYER_GZIP, parse_digest

__all__ = ["Layer", "layers_of"]

_Kind = TypeVar("_Kind", bound=msgspec.Struct)

MAX_MANIFEST_BYTES: Final = 4 * 2**20
"""A manifest has at most 4 MiB in the distribution spec."""

MAX_DEPTH: Final = 8
MAX_DOCUMENTS: Final = 100_000

_ARCHIVES: Final = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer to be measured.

    Attributes
    ----------
    path : of its blob: a tar archive, plain or compressed with gzip or zstd.
    name : what problems call it; None is the name of the file.
    digest, size : what the blob must have, as its descriptor says it; None is not checked.
    mentions : how often images list it; every figure but the unique ones counts it so often.
    is_archive : whether it is a tar archive. If not, it is hashed and has no files.

    Raises
    ------
    InvalidDigest, InvalidValue : an attribute is not of that form.
    """

    path: Path
    name: str | None = None
    digest: str | None = None
    size: int | None = None
    mentions: int = 1
    is_archive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if self.digest is not None:
            parse_digest(self.digest)
        if self.mentions < 1:
            raise InvalidValue("mentions", self.mentions, "a whole number from 1 on")

    @property
    def title(self) -> str:
        """What problems call it."""
        return self.path.name if self.name is None else self.name


class _Descriptor(msgspec.Struct, rename="camel"):
    digest: str
    size: int
    media_type: str = ""


class _Document(msgspec.Struct):
    """An image manifest or an image index, whichever it is."""

    layers: list[_Descriptor] | None = None
    manifests: list[_Descriptor] | None = None


class _LayoutFile(msgspec.Struct):
    version: str = msgspec.field(name="imageLayoutVersion")


def layers_of(source: str | os.PathLike[str] | Layer) -> tuple[Layer, ...]:
    """The layers of a source.

    Parameters
    ----------
    source : a layer's file; or the directory of an OCI image layout: the layers of all images that its index leads to,
        each blob once, with its mentions. An image that two indexes list counts once; a layer that one image lists
        twice counts twice. Foreign layers whose blob is not there are left out. Manifests are checked against their
        digests here, layers when they are read.

    Raises
    ------
    InputRejected : the layout is broken: a manifest is absent, or is not what its descriptor says, or is no manifest;
        one layer has two sizes.
    InvalidValue : it is neither a file nor such a directory.

    Notes
    -----
    Reads manifests only; at most 100,000 of them, 4 MiB each, indexes 8 deep.
    """
    if isinstance(source, Layer):
        return (source,)
    path = Path(source)
    if not path.is_dir():
        return (Layer(path=path),)
    if not (path / "oci-layout").exists():
        raise InvalidValue("source", str(path), "a layer's file, or the directory of an OCI image layout")
    try:
        return tuple(_Layout(path).layers())
    except Broken as error:
        raise InputRejected([Problem(str(path), None, None, str(error))]) from None


class _Layout:
    """An OCI image layout that may be anything: nothing in it is believed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[str] = set()
        self._layers: dict[str, Layer] = {}

    def layers(self) -> Iterator[Layer]:
        self._decode("oci-layout", self._content(self._path / "oci-layout", "oci-layout"), _LayoutFile)
        index = self._decode("index.json", self._content(self._path / "index.json", "index.json"), _Document)
        self._walk("index.json", index, 0)
        yield from self._layers.values()

    def _walk(self, name: str, document: _Document, depth: int) -> None:
        if document.layers is not None and document.manifests is not None:
            message = f"{name} has both layers and manifests, so that it can be read in two ways"
            raise Broken(message)
        if depth > MAX_DEPTH:
            message = f"{name} lies {depth} indexes deep; the limit is {MAX_DEPTH}"
            raise Broken(message)
        for layer in document.layers or ():
            self._add(name, layer)
        for child in document.manifests or ():
            if child.digest in self._seen:
                continue
            self._seen.add(child.digest)
            if len(self._seen) > MAX_DOCUMENTS:
                message = f"has more than {MAX_DOCUMENTS:,} manifests, which is the limit"
                raise Broken(message)
            self._walk(child.digest, self._document(name, child), depth + 1)

    def _document(self, parent: str, descriptor: _Descriptor) -> _Document:
        path = self._blob(parent, descriptor)
        content = self._content(path, descriptor.digest)
        found = hashlib.new(descriptor.digest.partition(":")[0], content).hexdigest()
        try:
            _compare(descriptor.digest, descriptor.size, found, len(content))
        except Broken as error:
            message = f"{descriptor.digest} {error}"
            raise Broken(message) from None
        return self._decode(descriptor.digest, content, _Document)

    def _blob(self, parent: str, descriptor: _Descriptor) -> Path:
        """Where a blob lies; its digest is checked before it becomes a path."""
        try:
            parse_digest(descriptor.digest)
        except InvalidDigest as error:
            message = f"{parent}: {error}"
            raise Broken(message) from None
        if descriptor.size < 0:
            message = f"{parent} gives {descriptor.digest} the size {descriptor.size:,}"
            raise Broken(message)
        algorithm, _, digits = descriptor.digest.partition(":")
        return self._path / "blobs" / algorithm / digits

    def _add(self, parent: str, descriptor: _Descriptor) -> None:
        path = self._blob(parent, descriptor)
        if descriptor.media_type in FOREIGN_MEDIA_TYPES and not path.exists():
            return
        known = self._layers.get(descriptor.digest)
        if known is not None:
            if known.size != descriptor.size:
                message = f"{descriptor.digest} has the size {known.size:,}, and {descriptor.size:,} in {parent}"
                raise Broken(message)
            self._layers[descriptor.digest] = replace(known, mentions=known.mentions + 1)
            return
        self._layers[descriptor.digest] = Layer(
            path=path,
            name=f"{self._path.name}/{descriptor.digest}",
            digest=descriptor.digest,
            size=descriptor.size,
            is_archive=(descriptor.media_type or OCI_LAYER_GZIP).startswith(_ARCHIVES),
        )

    def _content(self, path: Path, name: str) -> bytes:
        try:
            with open_regular(path) as file:
                # Of an unbuffered file one read may give less than it has.
                content = b""
                while len(content) <= MAX_MANIFEST_BYTES and (more := file.read(MAX_MANIFEST_BYTES + 1 - len(content))):
                    content += more
        except Broken as error:
            message = f"{name} {error}"
            raise Broken(message) from None
        if len(content) > MAX_MANIFEST_BYTES:
            message = f"{name} is longer than {MAX_MANIFEST_BYTES:,} bytes, the most that a manifest may have"
            raise Broken(message)
        return content

    @staticmethod
    def _decode(name: str, content: bytes, kind: type[_Kind]) -> _Kind:
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            message = f"{name} cannot be read: {error}"
            raise Broken(message) from None


def check_blob(layer: Layer, blob: BlobFile) -> None:
    """Compare a layer that was read to its end with what it was said to be.

    Raises
    ------
    Broken : it has another size or digest.
    """
    if layer.digest is not None:
        _compare(layer.digest, layer.size, blob.hexdigest(layer.digest.partition(":")[0]), blob.size)
    elif layer.size is not None and layer.size != blob.size:
        message = f"has {blob.size:,} bytes, and should have {layer.size:,}"
        raise Broken(message)


def _compare(digest: str, size: int | None, found_digits: str, found_size: int) -> None:
    """Compare what a descriptor says with what there is.

    Raises
    ------
    Broken : they differ.
    """
    if size is not None and size != found_size:
        message = f"has {found_size:,} bytes, and its descriptor says {size:,}"
        raise Broken(message)
    algorithm, _, digits = digest.partition(":")
    if found_digits != digits:
        message = f"has the digest {algorithm}:{found_digits}, and its descriptor says {digest}"
        raise Broken(message)
