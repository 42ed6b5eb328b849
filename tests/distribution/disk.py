"""What a registry has on disk, read from its tree: ``docker/registry/v2`` below the root, as distribution lays it out.

    blobs/<algorithm>/<2 hex>/<hex>/data
    repositories/<name>/_layers/<algorithm>/<hex>/link
    repositories/<name>/_manifests/revisions/<algorithm>/<hex>/link
    repositories/<name>/_manifests/tags/<tag>/current/link
    repositories/<name>/_manifests/tags/<tag>/index/<algorithm>/<hex>/link
    repositories/<name>/_uploads/<uuid>/{data,startedat,hashstates/<algorithm>/<offset>}

Only files count: the program leaves empty directories behind, which hold nothing and mean nothing to it, but for the
two of `Repository.folders` and `Repository.ever_tagged`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_V2 = Path("docker", "registry", "v2")


@dataclass
class Repository:
    """What one repository has on disk.

    Attributes
    ----------
    folders : which of ``_layers``, ``_manifests`` and ``_uploads`` there are. Without ``_layers`` neither the
        collector nor the catalogue sees the repository.
    ever_tagged : whether there is a directory of tags, even an empty one. Without it ``--delete-untagged`` aborts.
    layers : the digest that each blob link points to, by the digest it is named after; they differ for sha512.
    revisions : the digests of linked manifests.
    tags : the digest that each tag points to now.
    tag_index : every digest that each tag has an entry of, the present one included.
    uploads : the files of each unfinished upload, by its uuid and their path in it.
    """

    folders: set[str] = field(default_factory=set)
    ever_tagged: bool = False
    layers: dict[str, str] = field(default_factory=dict)
    revisions: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    tag_index: dict[str, set[str]] = field(default_factory=dict)
    uploads: dict[str, dict[str, bytes]] = field(default_factory=dict)


@dataclass
class Disk:
    """What a registry has on disk: the bytes of each blob by digest, and the repositories by name."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)

    @property
    def digests(self) -> set[str]:
        """The digests that are stored."""
        return set(self.blobs)

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each stored blob, in bytes."""
        return {digest: len(content) for digest, content in self.blobs.items()}

    @property
    def stored_bytes(self) -> int:
        """The sum of the sizes of all ``data`` files of blobs; links and uploads are not in it."""
        return sum(len(content) for content in self.blobs.values())

    @property
    def upload_bytes(self) -> int:
        """The sum of the sizes of the ``data`` files of unfinished uploads."""
        uploads = [files for repository in self.repositories.values() for files in repository.uploads.values()]
        return sum(len(files.get("data", b"")) for files in uploads)

    def damaged(self) -> list[str]:
        """Give the digests whose bytes are not the ones that the digest is of."""
        return [
            digest
            for digest, content in self.blobs.items()
            if hashlib.new(digest.partition(":")[0], content).hexdigest() != digest.partition(":")[2]
        ]


def read_disk(root: Path) -> Disk:
    """Read the tree below ``root``; nothing is there yet until the first push. The server must be at rest."""
    found = Disk()
    base = root / _V2
    for place in _folders(base / "blobs"):
        for prefix in _folders(place):
            for blob in _folders(prefix):
                content = _content(blob / "data")
                if content is not None:
                    found.blobs[f"{place.name}:{blob.name}"] = content
    repositories = base / "repositories"
    waiting = [*_folders(repositories)]
    while waiting:
        place = waiting.pop()
        inner = list(_folders(place))
        waiting += [one for one in inner if not one.name.startswith("_")]
        own = {one.name for one in inner if one.name.startswith("_")}
        if own:
            found.repositories[place.relative_to(repositories).as_posix()] = _repository(place, own)
    return found


def _repository(place: Path, folders: set[str]) -> Repository:
    tags = place / "_manifests" / "tags"
    found = Repository(folders, tags.is_dir())
    found.layers = dict(_links(place / "_layers"))
    found.revisions = {digest for digest, _ in _links(place / "_manifests" / "revisions")}
    for tag in _folders(tags):
        current = _content(tag / "current" / "link")
        if current is not None:
            found.tags[tag.name] = current.decode()
        found.tag_index[tag.name] = {digest for digest, _ in _links(tag / "index")}
    for upload in _folders(place / "_uploads"):
        files = (path for path in upload.rglob("*") if path.is_file())
        found.uploads[upload.name] = {path.relative_to(upload).as_posix(): path.read_bytes() for path in files}
    return found


def _links(place: Path) -> Iterator[tuple[str, str]]:
    """Yield (digest that the link is named after, digest in it); a directory that lost its link is none."""
    for algorithm in _folders(place):
        for one in _folders(algorithm):
            target = _content(one / "link")
            if target is not None:
                yield f"{algorithm.name}:{one.name}", target.decode()


def _folders(place: Path) -> Iterator[Path]:
    """Yield the directories in a directory, in the order of their names; none if it is not there."""
    try:
        with os.scandir(place) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return
    for name in names:
        yield place / name


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
