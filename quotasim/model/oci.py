"""The nouns of the OCI specifications, for single calls: images, indexes, and all that they are made of.

What is written here follows the image-spec v1.1 (manifest.md, image-index.md). An `Image` or `Index` builds
the JSON of its manifest, so its digest and size are those a registry would see for these descriptors. The
parts are in `descriptor.py`, the grammar of digests and references in `reference.py`; import both from here.

No numpy: replays and imports work on arrays, not on these objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any, ClassVar, Final, Self

from quotasim.errors import InvalidValue, ManifestTooLarge
from quotasim.model.descriptor import (
    DOCKER_CONFIG,
    DOCKER_FOREIGN_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    EMPTY_CONFIG,
    FOREIGN_MEDIA_TYPES,
    INDEX_MEDIA_TYPES,
    MAX_SIZE,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    UNKNOWN_ARTIFACT,
    Blob,
    Descriptor,
    Kind,
    Role,
    check_media_type,
    checked_size,
    is_foreign,
    parse_platform,
)
from quotasim.model.reference import (
    MAX_REPOSITORY_LENGTH,
    Reference,
    format_digest,
    namespace_of,
    parse_digest,
    parse_reference,
    parse_repository,
    parse_tag,
    sha256_digest,
)

__all__ = [
    "DOCKER_CONFIG",
    "DOCKER_FOREIGN_LAYER",
    "DOCKER_LAYER_GZIP",
    "DOCKER_MANIFEST",
    "DOCKER_MANIFEST_LIST",
    "DOCKER_SCHEMA1",
    "DOCKER_SCHEMA1_SIGNED",
    "EMPTY_CONFIG",
    "FOREIGN_MEDIA_TYPES",
    "INDEX_MEDIA_TYPES",
    "MAX_REPOSITORY_LENGTH",
    "MAX_SIZE",
    "OCI_CONFIG",
    "OCI_EMPTY",
    "OCI_INDEX",
    "OCI_LAYER",
    "OCI_LAYER_GZIP",
    "OCI_LAYER_ZSTD",
    "OCI_MANIFEST",
    "UNKNOWN_ARTIFACT",
    "Blob",
    "Descriptor",
    "Image",
    "Index",
    "Kind",
    "Reference",
    "Role",
    "format_digest",
    "is_foreign",
    "namespace_of",
    "parse_digest",
    "parse_platform",
    "parse_reference",
    "parse_repository",
    "parse_tag",
    "sha256_digest",
]

_WRITTEN_MEDIA_TYPES: Final = INDEX_MEDIA_TYPES | {OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_SCHEMA1}
"""Manifests that can be written from their parts; a signed schema 1 manifest, for one, cannot."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class _Manifest:
    """What images and indexes have in common. Equal are those of one digest, size, media type and platform.

    `dataclasses.replace` cannot set a field: a digest would outlive the content that it was computed from.
    """

    kind: ClassVar[Kind]

    digest: str = field(init=False)
    size: int | None = field(init=False)
    media_type: str = field(init=False)
    platform: str | None = field(init=False)
    subject: Descriptor | None = field(init=False, compare=False)
    artifact_type: str | None = field(init=False, compare=False)
    annotations: tuple[tuple[str, str], ...] = field(init=False, compare=False)
    _content: bytes | None = field(init=False, compare=False)

    @property
    def descriptor(self) -> Descriptor:
        """How an index or a referrer mentions this manifest."""
        return Descriptor(self.digest, self.size, self.media_type, self.platform)

    def manifest_bytes(self) -> bytes | None:
        """Give the manifest itself, of which `digest` is the digest; None where only its digest was given.

        Compact JSON with the fields in the order of the specification's Go types, and sorted annotations.
        """
        return self._content

    def on(self, platform: str) -> Self:
        """Give the same manifest, said to be for a platform: an index mentions that, a manifest does not.

        The digest and the size stay as they are.
        """
        parse_platform(platform)
        other = object.__new__(type(self))
        other._set(**{item.name: getattr(self, item.name) for item in fields(self)} | {"platform": platform})
        return other

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _set_common(
        self,
        media_type: str,
        platform: str | None,
        subject: Image | Index | Descriptor | None,
        artifact_type: str | None,
        annotations: Mapping[str, str] | None,
    ) -> None:
        check_media_type("media_type", media_type)
        if platform is not None:
            parse_platform(platform)
        if artifact_type is not None:
            check_media_type("artifact_type", artifact_type)
        if not isinstance(subject, Image | Index | Descriptor | None):
            raise InvalidValue("subject", subject, "an Image, an Index or a Descriptor")
        if media_type not in (OCI_MANIFEST, OCI_INDEX):
            for name, value in (
                ("subject", subject),
                ("artifact_type", artifact_type),
                ("annotations", annotations),
            ):
                if value:
                    raise InvalidValue(name, value, f"absent from a manifest of media type {media_type}")
        if subject is not None:
            subject = Descriptor(subject.digest, subject.size, subject.media_type)
        self._set(
            media_type=media_type,
            platform=platform,
            subject=subject,
            artifact_type=artifact_type,
            annotations=_checked_annotations(annotations),
        )

    def _identify(
        self,
        digest: str | None,
        size: int | None,
        document: dict[str, object],
        parts: Iterable[Blob | Image | Index | Descriptor],
    ) -> None:
        """Take the digest and size that were given, or else write the document and compute them."""
        if digest is not None:
            parse_digest(digest)
            self._set(digest=digest, size=checked_size(size), _content=None)
            return
        if size is not None:
            raise InvalidValue("size", size, "given together with a digest, or not at all")
        if self.media_type not in _WRITTEN_MEDIA_TYPES:
            raise InvalidValue("digest", None, f"given for a manifest of media type {self.media_type}")
        mentioned = parts if self.subject is None else (*parts, self.subject)
        if any(part.size is None for part in mentioned):
            expected = "given where the size of a part is unknown, since the manifest cannot be written then"
            raise InvalidValue("digest", None, expected)
        content = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        self._set(digest=sha256_digest(content), size=len(content), _content=content)

    def _document(self, **body: object) -> dict[str, object]:
        """The fields of a manifest, ``body`` being those of an image or an index; without what is absent."""
        return {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            **({} if self.artifact_type is None else {"artifactType": self.artifact_type}),
            **body,
            **({} if self.subject is None else {"subject": _json_of(self.subject)}),
            **({"annotations": dict(self.annotations)} if self.annotations else {}),
        }


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Image(_Manifest):
    """An image manifest, or an artifact: a config and layers.

    Parameters
    ----------
    layers : the lowest first; the same blob may be listed more than once.
    config : None stands for the spec's empty config, which makes it an artifact. Schema 1 has no config.
    platform : ``os/architecture[/variant][:os version]``: what an index says of it; not part of the manifest.
    subject : the manifest that this one refers to, as a signature does; it need not be in the registry.
    artifact_type, annotations : as in the image-spec.
    media_type : OCI by default; or Docker's schema 2, or schema 1.
    digest, size : given only for a manifest whose JSON is not at hand, such as an imported one. ``config``
        None then means that it has none. Needed where a blob's size is unknown, and for signed schema 1.

    Attributes
    ----------
    digest, size : of the manifest itself; the size is None only where a digest was given without it.
    layers, config : with their media types filled in.

    Raises
    ------
    InvalidDigest, InvalidValue : an argument is not of that form.
    ManifestTooLarge : it lists more than 2**63 - 1 bytes.

    Examples
    --------
    >>> base, config = Blob.synthetic("base", 3_400_000), Blob.synthetic("config", 1_500)
    >>> image = Image([base], config, platform="linux/amd64")
    >>> image.size, image.layers[0].media_type
    (406, 'application/vnd.oci.image.layer.v1.tar+gzip')
    """

    kind: ClassVar[Kind] = Kind.IMAGE

    layers: tuple[Blob, ...] = field(init=False, compare=False)
    config: Blob | None = field(init=False, compare=False)

    def __init__(
        self,
        layers: Iterable[Blob] = (),
        config: Blob | None = None,
        *,
        platform: str | None = None,
        subject: Image | Index | Descriptor | None = None,
        artifact_type: str | None = None,
        annotations: Mapping[str, str] | None = None,
        media_type: str = OCI_MANIFEST,
        digest: str | None = None,
        size: int | None = None,
    ) -> None:
        layers = _checked_parts("layers", layers, Blob, "made of Blobs")
        if not isinstance(config, Blob | None):
            raise InvalidValue("config", config, "a Blob")
        if media_type in INDEX_MEDIA_TYPES:
            raise InvalidValue("media_type", media_type, "an image's, and this is an index's")
        schema1 = media_type in (DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED)
        if schema1 and config is not None:
            raise InvalidValue("config", config, "absent from a schema 1 manifest")
        if digest is None:
            if media_type == OCI_MANIFEST:
                config = EMPTY_CONFIG if config is None else config
                if artifact_type is None and config.media_type == OCI_EMPTY:
                    artifact_type = UNKNOWN_ARTIFACT
            elif media_type == DOCKER_MANIFEST and config is None:
                raise InvalidValue("config", config, "a Blob, since Docker's schema 2 knows no empty config")
        docker = schema1 or media_type == DOCKER_MANIFEST
        layer_type = DOCKER_LAYER_GZIP if docker else OCI_LAYER_GZIP
        config_type = DOCKER_CONFIG if docker else OCI_CONFIG
        self._set_common(media_type, platform, subject, artifact_type, annotations)
        self._set(
            layers=tuple(_with_media_type(layer, layer_type) for layer in layers),
            config=None if config is None else _with_media_type(config, config_type),
        )
        parts = self.layers if self.config is None else (self.config, *self.layers)
        if media_type == DOCKER_SCHEMA1:
            self._identify(digest, size, self._schema1_document(), ())
        else:
            body = {} if self.config is None else {"config": _json_of(self.config)}
            document = self._document(**body, layers=[_json_of(layer) for layer in self.layers])
            self._identify(digest, size, document, parts)
        listed = sum(part.size or 0 for part in parts) + (self.size or 0)
        if listed > MAX_SIZE:
            raise ManifestTooLarge(self.digest, listed, MAX_SIZE)

    def __repr__(self) -> str:
        platform = "" if self.platform is None else f", platform={self.platform!r}"
        return f"<Image {self.digest}, {len(self.layers)} layers{platform}>"

    def _schema1_document(self) -> dict[str, object]:
        """Top layer first. Schema 1 says its name, tag and architecture itself: one image may have many."""
        return {
            "schemaVersion": 1,
            "name": "",
            "tag": "",
            "architecture": "",
            "fsLayers": [{"blobSum": layer.digest} for layer in reversed(self.layers)],
            "history": [{"v1Compatibility": "{}"} for _ in self.layers],
        }


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Index(_Manifest):
    """An image index (Docker: a manifest list): other manifests, usually one for each platform.

    Parameters
    ----------
    manifests : images, indexes, or descriptors of manifests that need not be at hand.
    platform, subject, artifact_type, annotations : as in `Image`.
    media_type : OCI by default, or Docker's manifest list, where every child needs a platform.
    digest, size : as in `Image`.

    Attributes
    ----------
    manifests : as given.
    descriptors : what the index says of each of them.

    Raises
    ------
    InvalidDigest, InvalidValue : an argument is not of that form.

    Examples
    --------
    >>> image = Image([Blob.synthetic("base", 3_400_000)], Blob.synthetic("config", 1_500))
    >>> index = Index([image.on("linux/amd64"), image.on("linux/arm64")])
    >>> [child.platform for child in index.descriptors]
    ['linux/amd64', 'linux/arm64']
    """

    kind: ClassVar[Kind] = Kind.INDEX

    manifests: tuple[Image | Index | Descriptor, ...] = field(init=False, compare=False)

    def __init__(
        self,
        manifests: Iterable[Image | Index | Descriptor],
        *,
        platform: str | None = None,
        subject: Image | Index | Descriptor | None = None,
        artifact_type: str | None = None,
        annotations: Mapping[str, str] | None = None,
        media_type: str = OCI_INDEX,
        digest: str | None = None,
        size: int | None = None,
    ) -> None:
        kinds = Image | Index | Descriptor
        manifests = _checked_parts("manifests", manifests, kinds, "made of Images, Indexes and Descriptors")
        for child in manifests:
            if media_type == DOCKER_MANIFEST_LIST and child.platform is None:
                raise InvalidValue("manifests", child, "made of manifests with a platform, in a manifest list")
        if media_type not in INDEX_MEDIA_TYPES:
            raise InvalidValue("media_type", media_type, "an index's")
        self._set_common(media_type, platform, subject, artifact_type, annotations)
        self._set(manifests=manifests)
        document = self._document(manifests=[_json_of(child) for child in self.descriptors])
        self._identify(digest, size, document, manifests)

    @property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """What the index says of each of its manifests, in their order."""
        return tuple(child if isinstance(child, Descriptor) else child.descriptor for child in self.manifests)

    def __repr__(self) -> str:
        return f"<Index {self.digest}, {len(self.manifests)} manifests>"


def _json_of(part: Blob | Descriptor) -> dict[str, object]:
    content: dict[str, object] = {"mediaType": part.media_type, "digest": part.digest, "size": part.size}
    if isinstance(part, Blob) and part.urls:
        content["urls"] = list(part.urls)
    if isinstance(part, Descriptor) and part.platform is not None:
        content["platform"] = parse_platform(part.platform)
    return content


def _with_media_type(blob: Blob, media_type: str) -> Blob:
    return blob if blob.media_type is not None else Blob(blob.digest, blob.size, media_type, blob.urls)


def _checked_parts(name: str, parts: Iterable[Any], kind: type | UnionType, expected: str) -> tuple[Any, ...]:
    if not isinstance(parts, Iterable):
        raise InvalidValue(name, parts, expected)
    parts = tuple(parts)
    for part in parts:
        if not isinstance(part, kind):
            raise InvalidValue(name, part, expected)
    return parts


def _checked_annotations(annotations: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    if not isinstance(annotations, Mapping | None):
        raise InvalidValue("annotations", annotations, "a mapping of texts by text")
    pairs = (annotations or {}).items()
    for pair in pairs:
        for text in pair:
            # A lone surrogate has no UTF-8 form, so JSON cannot carry it.
            if not isinstance(text, str) or any("\ud800" <= character <= "\udfff" for character in text):
                raise InvalidValue("annotations", dict([pair]), "a mapping of texts by text")
    return tuple(sorted(pairs))
