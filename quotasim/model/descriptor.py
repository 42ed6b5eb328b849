"""Media types, and the descriptors that carry them: blobs, and mentions of manifests.

After the image-spec v1.1 (media-types.md, descriptor.md). Import these names from `quotasim.model.oci`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self

from quotasim.errors import InvalidValue
from quotasim.model.reference import parse_digest, sha256_digest
from quotasim.units import whole_number

# -- media types --------------------------------------------------------------------------------------

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN_LAYER: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER_SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"

UNKNOWN_ARTIFACT: Final = "application/vnd.unknown.artifact.v1"
"""What an image with the empty config gets as its ``artifactType``, which the spec then requires."""

FOREIGN_MEDIA_TYPES: Final = frozenset(
    {
        DOCKER_FOREIGN_LAYER,
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    }
)
"""Layers that clients fetch from elsewhere and never upload."""

INDEX_MEDIA_TYPES: Final = frozenset({OCI_INDEX, DOCKER_MANIFEST_LIST})

MAX_SIZE: Final = 2**63 - 1
"""The largest size of a descriptor, and the most bytes that one manifest may list."""

_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_PLATFORM: Final = re.compile(r"([a-z0-9_.-]+)/([a-z0-9_.-]+)(?:/([A-Za-z0-9_.-]+))?(?::([A-Za-z0-9_.-]+))?")


class Kind(IntEnum):
    """What a manifest is, as the catalogue's ``kind`` column and the kernels number it."""

    IMAGE = 0
    INDEX = 1


class Role(IntFlag):
    """What a manifest names a blob as. A bit mask: one blob can be config and layer at once."""

    CONFIG = 1
    LAYER = 2
    CHILD = 4


def is_foreign(media_type: str | None) -> bool:
    """Whether a layer of this media type is fetched from elsewhere, and so neither uploaded nor stored.

    Examples
    --------
    >>> is_foreign(DOCKER_FOREIGN_LAYER), is_foreign(OCI_LAYER_GZIP), is_foreign(None)
    (True, False, False)
    """
    return media_type in FOREIGN_MEDIA_TYPES


# -- blobs and descriptors ----------------------------------------------------------------------------


def checked_size(size: object) -> int | None:
    """Give the int that a size is, or None if it is unknown; bools and floats are no sizes.

    Raises
    ------
    InvalidValue : another type, or outside 0 to 2**63 - 1.
    """
    if size is None:
        return None
    return whole_number(size, name="size", expected="bytes from 0 to 2**63 - 1, or None where unknown", most=MAX_SIZE)


def check_media_type(name: str, media_type: object) -> None:
    """Refuse what is no media type (RFC 6838, section 4.2), as the argument ``name``.

    Raises
    ------
    InvalidValue : not ``type/subtype``.
    """
    if not isinstance(media_type, str) or _MEDIA_TYPE.fullmatch(media_type) is None:
        raise InvalidValue(name, media_type, f"a media type such as {OCI_LAYER_GZIP!r}")


@dataclass(frozen=True, slots=True)
class Blob:
    """Some content, by digest and size: a layer, or a config.

    Attributes
    ----------
    digest : ``sha256:`` or ``sha512:`` and lower-case hexadecimal digits.
    size : bytes as stored (compressed), 0 to 2**63 - 1; None where it is not known.
    media_type : None stands for the usual one of its role in the manifest's format, which `Image` fills in.
    urls : where a client may fetch it, as foreign layers say it: part of the manifest's JSON, and nothing else here.

    Raises
    ------
    InvalidDigest, InvalidValue : an attribute is not of that form.
    """

    digest: str
    size: int | None
    media_type: str | None = None
    urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parse_digest(self.digest)
        object.__setattr__(self, "size", checked_size(self.size))
        if self.media_type is not None:
            check_media_type("media_type", self.media_type)
        is_list = isinstance(self.urls, tuple | list)
        if not is_list or not all(isinstance(url, str) and url.isascii() for url in self.urls):
            raise InvalidValue("urls", self.urls, "a list of urls, which are ASCII texts")
        object.__setattr__(self, "urls", tuple(self.urls))

    @classmethod
    def synthetic(cls, label: str, size: int | None, media_type: str | None = None) -> Self:
        """Make a blob that stands for content which does not exist, for examples and simulations.

        Its digest is the sha256 of the *label*: equal labels are the same blob, so give them the same size.

        Examples
        --------
        >>> Blob.synthetic("alpine base", 3_408_729).digest[:19]
        'sha256:c0f929e696c8'
        """
        return cls(sha256_digest(label.encode()), size, media_type)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A mention of a manifest: as the child of an index, or as the subject of a referrer. It may be absent.

    Attributes
    ----------
    digest, size : as in `Blob`.
    media_type : of the manifest.
    platform : ``os/architecture``, with ``/variant`` and ``:os version`` if there are any; None if not said.

    Raises
    ------
    InvalidDigest, InvalidValue : an attribute is not of that form.
    """

    digest: str
    size: int | None
    media_type: str = OCI_MANIFEST
    platform: str | None = None

    def __post_init__(self) -> None:
        parse_digest(self.digest)
        object.__setattr__(self, "size", checked_size(self.size))
        check_media_type("media_type", self.media_type)
        if self.platform is not None:
            parse_platform(self.platform)


EMPTY_CONFIG: Final = Blob("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", 2, OCI_EMPTY)
"""The empty descriptor of the image-spec: the two bytes ``{}``."""


def parse_platform(platform: str) -> dict[str, str]:
    """Read ``os/architecture[/variant][:os version]`` into the platform object of an index.

    Raises
    ------
    InvalidValue : it is not of that form.

    Examples
    --------
    >>> parse_platform("linux/arm/v7")
    {'architecture': 'arm', 'os': 'linux', 'variant': 'v7'}
    >>> parse_platform("windows/amd64:10.0.14393")
    {'architecture': 'amd64', 'os': 'windows', 'os.version': '10.0.14393'}
    """
    match = _PLATFORM.fullmatch(platform) if isinstance(platform, str) else None
    if match is None:
        raise InvalidValue("platform", platform, "os/architecture[/variant][:os version], such as 'linux/arm/v7'")
    system, architecture, variant, version = match.groups()
    parts = {"architecture": architecture, "os": system, "os.version": version, "variant": variant}
    return {key: value for key, value in parts.items() if value is not None}
