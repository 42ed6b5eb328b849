"""The grammar of names: digests, and references to what lies in a registry.

Digests are those of the image-spec v1.1 (descriptor.md, "Digests"), references those of the distribution-spec
v1.1 (spec.md, "Pulling manifests"). Import these names from `quotasim.model.oci`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from quotasim.errors import InvalidDigest, InvalidReference

# -- digests ------------------------------------------------------------------------------------------

_HEX_LENGTH: Final = {"sha256": 64, "sha512": 128}
_HEX: Final = re.compile(r"[0-9a-f]+")


def parse_digest(digest: str) -> bytes:
    """Check a digest and give its raw bytes: 32 of them for sha256, 64 for sha512.

    Raises
    ------
    InvalidDigest : another algorithm, another length, or anything but lower-case hexadecimal digits.

    Examples
    --------
    >>> parse_digest("sha256:" + "0f" * 32).hex()[:8]
    '0f0f0f0f'
    """
    if not isinstance(digest, str):
        raise InvalidDigest(digest, "it is no string")
    algorithm, colon, text = digest.partition(":")
    length = _HEX_LENGTH.get(algorithm)
    if not colon or length is None:
        raise InvalidDigest(digest, "it must begin with 'sha256:' or 'sha512:'")
    if len(text) != length:
        raise InvalidDigest(digest, f"{algorithm} has {length} digits, and this has {len(text)}")
    if _HEX.fullmatch(text) is None:
        raise InvalidDigest(digest, "its digits must be hexadecimal, in lower case")
    return bytes.fromhex(text)


def format_digest(raw: bytes) -> str:
    """Write the digest of 32 (sha256) or 64 (sha512) raw bytes; the inverse of `parse_digest`.

    Raises
    ------
    InvalidDigest : another number of bytes.

    Examples
    --------
    >>> format_digest(bytes(32))[:15]
    'sha256:00000000'
    """
    for algorithm, length in _HEX_LENGTH.items():
        if 2 * len(raw) == length:
            return f"{algorithm}:{bytes(raw).hex()}"
    raise InvalidDigest(raw, f"a digest has 32 or 64 bytes, and this has {len(raw)}")


def sha256_digest(content: bytes) -> str:
    """Digest of some content, as a registry would write it.

    Examples
    --------
    >>> sha256_digest(b"{}")[:19]
    'sha256:44136fa355b3'
    """
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


# -- references ---------------------------------------------------------------------------------------

MAX_REPOSITORY_LENGTH: Final = 255

_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_UNTAGGED: Final = "untagged"


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository and what is meant in it: one tag, one manifest by digest, or every untagged manifest.

    Exactly one of ``tag``, ``digest`` and ``untagged`` is set. `parse_reference` reads what ``str()`` gives.

    Raises
    ------
    InvalidReference, InvalidDigest : none or several of them are set, or a part breaks the grammar.

    Examples
    --------
    >>> print(Reference("team-a/web", tag="v1"))
    team-a/web:v1
    """

    repository: str
    tag: str | None = None
    digest: str | None = None
    untagged: bool = False

    def __post_init__(self) -> None:
        parse_repository(self.repository)
        if (self.tag is not None) + (self.digest is not None) + self.untagged != 1:
            raise InvalidReference(self.repository, "it must name one of a tag, a digest and 'untagged'")
        if self.tag is not None:
            parse_tag(self.tag)
        if self.digest is not None:
            parse_digest(self.digest)

    def __str__(self) -> str:
        if self.tag is not None:
            return f"{self.repository}:{self.tag}"
        return f"{self.repository}@{_UNTAGGED if self.untagged else self.digest}"


def parse_reference(reference: str) -> Reference:
    """Read ``repository``, ``repository:tag``, ``repository@digest`` or ``repository@untagged``.

    A repository alone means its tag ``latest``, as everywhere; never the repository itself.

    Raises
    ------
    InvalidReference : it breaks the grammar of names, tags or digests, or has both a tag and a digest.

    Examples
    --------
    >>> parse_reference("1gb").tag, parse_reference("team-a/web@untagged").untagged
    ('latest', True)
    """
    if not isinstance(reference, str):
        raise InvalidReference(reference, "it is no string")
    name, at, digest = reference.partition("@")
    path, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    repository = path + slash + last
    if at and colon:
        raise InvalidReference(reference, "it must have a tag or a digest, not both")
    try:
        if not at:
            return Reference(repository, tag=tag if colon else "latest")
        if digest == _UNTAGGED:
            return Reference(repository, untagged=True)
        return Reference(repository, digest=digest)
    except (InvalidReference, InvalidDigest) as error:
        raise InvalidReference(reference, error.reason) from None


def parse_repository(name: str) -> str:
    """Check a repository's name and give it back.

    Raises
    ------
    InvalidReference : empty, longer than 255, or not lower-case components as in ``team-a/web_app/base.1``.
    """
    if not isinstance(name, str):
        raise InvalidReference(name, "it is no string")
    if len(name) > MAX_REPOSITORY_LENGTH:
        reason = f"a repository's name has at most {MAX_REPOSITORY_LENGTH} characters, and this has {len(name)}"
        raise InvalidReference(name, reason)
    if _REPOSITORY.fullmatch(name) is None:
        reason = (
            "a repository's name is made of lower-case letters and digits, with single '.', '_', '__' or "
            "dashes between them, in components parted by '/'"
        )
        raise InvalidReference(name, reason)
    return name


def parse_tag(tag: str) -> str:
    """Check a tag's name and give it back.

    Raises
    ------
    InvalidReference : empty, longer than 128, or not letters, digits, ``_``, ``.`` and ``-``.
    """
    if not isinstance(tag, str) or _TAG.fullmatch(tag) is None:
        reason = "a tag has 1 to 128 letters, digits, '_', '.' and '-', and begins with none of the last two"
        raise InvalidReference(tag, reason)
    return tag


def namespace_of(repository: str) -> str:
    """Name of the namespace that a repository lies in: its first component, or ``library`` if it is the only.

    Examples
    --------
    >>> namespace_of("team-a/web/base"), namespace_of("alpine")
    ('team-a', 'library')
    """
    first, slash, _ = repository.partition("/")
    return first if slash else "library"
