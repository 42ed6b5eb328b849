"""What a server with a cache believes, told from what it was asked: sets of digests, and no more.

It is the smallest description that predicts the answers of the real registry while it runs on after a collection. Ours
has no such memory. Only image manifests, each put by the one tag that its repository has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from .documents import Document


class Memory:
    """A registry whose server remembers descriptors until it is restarted.

    Every call returns the status that the real registry answers with.

    Attributes
    ----------
    disk : the digests whose bytes are stored.
    layers, revisions : the digests that each repository links as blobs and as manifests.
    tagged : the digest that the tag of each repository points to.
    known : the digests that the server takes to be stored, whatever the disk holds.
    known_in : the blobs that it takes to be linked in a repository, whatever the disk holds.
    """

    def __init__(self) -> None:
        self.disk: set[str] = set()
        self.layers: defaultdict[str, set[str]] = defaultdict(set)
        self.revisions: defaultdict[str, set[str]] = defaultdict(set)
        self.tagged: dict[str, str] = {}
        self.restart()

    def restart(self) -> None:
        """Forget all that is not on the disk."""
        self.known: set[str] = set()
        self.known_in: defaultdict[str, set[str]] = defaultdict(set)

    def _is_stored(self, digest: str) -> bool:
        if digest in self.disk:
            self.known.add(digest)
        return digest in self.known

    def _has(self, repository: str, digest: str) -> bool:
        if digest not in self.known_in[repository] and digest in self.layers[repository] and self._is_stored(digest):
            self.known_in[repository].add(digest)
        return digest in self.known_in[repository]

    # Blobs

    def upload(self, repository: str, digest: str) -> int:
        """An upload is always written, since its bytes have come."""
        self.disk.add(digest)
        self.layers[repository].add(digest)
        self.known.add(digest)
        self.known_in[repository].add(digest)
        return 201

    def head(self, repository: str, digest: str) -> int:
        """HEAD of a blob."""
        return 200 if self._has(repository, digest) else 404

    def mount(self, digest: str, source: str, target: str) -> int:
        """A mount writes a link, and asks no disk."""
        if not self._has(source, digest):
            return 202
        self.layers[target].add(digest)
        return 201

    def delete_blob(self, repository: str, digest: str) -> int:
        """A deletion of a blob takes it from this repository's memory too."""
        if not self._has(repository, digest):
            return 404
        self.layers[repository].discard(digest)
        self.known_in[repository].discard(digest)
        return 202

    # Manifests

    def put(self, repository: str, document: Document) -> int:
        """A manifest is written only if it is not taken to be stored; that it was written is not remembered."""
        if not all([self._has(repository, digest) for digest in document.references]):
            return 400
        if not self._is_stored(document.digest):
            self.disk.add(document.digest)
        self.revisions[repository].add(document.digest)
        self.tagged[repository] = document.digest
        return 201

    def get(self, repository: str, digest: str) -> int:
        """GET of a manifest: links are read from the disk, and its bytes too in the end."""
        there = digest in self.revisions[repository] and self._is_stored(digest)
        return 200 if there and digest in self.disk else 404

    def delete(self, repository: str, digest: str) -> int:
        """DELETE of a manifest asks whether it is stored, and so remembers that."""
        if digest not in self.revisions[repository] or not self._is_stored(digest):
            return 404
        self.revisions[repository].discard(digest)
        if self.tagged.get(repository) == digest:
            del self.tagged[repository]
        return 202

    def collect(self, parts: Callable[[str], set[str]], *, delete_untagged: bool) -> None:
        """Sweep what no manifest with bytes names; the server hears nothing of it. ``parts``: what a manifest names."""
        roots = set()
        for repository, revisions in self.revisions.items():
            readable = revisions & self.disk
            kept = readable & {self.tagged.get(repository)} if delete_untagged else readable
            revisions -= readable - kept
            roots |= kept
        self.disk &= roots.union(*(parts(digest) for digest in roots))
