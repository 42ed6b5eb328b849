"""What the oracle knows of content, and the rules it follows: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Blob:
    """Bytes with a name. ``size`` is None where it is not known."""

    digest: str
    size: int | None
    foreign: bool = False

    @property
    def bytes(self) -> int:
        """Return the size, an unknown one as 0 (section 1 of the semantics)."""
        return 0 if self.size is None else self.size


@dataclass(frozen=True)
class Manifest:
    """An image manifest (``children`` is None) or an image index (``children`` are digests)."""

    own: Blob
    config: Blob | None = None
    layers: tuple[Blob, ...] = ()
    children: tuple[str, ...] | None = None
    subject: str | None = None

    @property
    def digest(self) -> str:
        """Return the digest of the manifest's own bytes."""
        return self.own.digest

    @property
    def is_index(self) -> bool:
        """Say whether this is an image index."""
        return self.children is not None

    def listing(self) -> list[tuple[str, Blob]]:
        """Return every (role, blob) as listed, repeats included. An index lists its own bytes only."""
        found = [("manifest", self.own)]
        if self.config is not None:
            found.append(("config", self.config))
        found.extend(("layer", layer) for layer in self.layers)
        return found

    def blobs(self) -> dict[str, Blob]:
        """Return the blobs of the manifest, each once, by digest."""
        return {blob.digest: blob for _, blob in self.listing()}

    def content(self) -> dict[str, Blob]:
        """Return the config and the layers, each once, by digest."""
        return {blob.digest: blob for role, blob in self.listing() if role != "manifest"}


def image(
    digest: str, size: int | None, layers: list[Blob], config: Blob | None = None, subject: str | None = None
) -> Manifest:
    """Return an image manifest."""
    return Manifest(Blob(digest, size), config, tuple(layers), None, subject)


def index(digest: str, size: int | None, children: list[str], subject: str | None = None) -> Manifest:
    """Return an image index."""
    return Manifest(Blob(digest, size), None, (), tuple(children), subject)


def namespace_of(repository: str) -> str:
    """Return the first path component; a one-component name lies in ``library``."""
    return repository.split("/")[0] if "/" in repository else "library"


@dataclass(frozen=True)
class GcRules:
    """One garbage collection policy (section 4); ``grace`` in microseconds."""

    roots: str = "ALL"
    index_children: str = "recursive"
    referrers: str = "ignore"
    grace: int = 0
    counts_pulls: bool = False
    blob_grace: str = "stored or released"
    honour_blob_links: bool = False
    drops_blob_links: str = "never"
    honour_sha512: bool = True
    repositories: str = "ALL"
    marks: str = "by repository"
    rechecks: bool = False
    needs_blobs: bool = False
    tagless: str = "walk"


@dataclass(frozen=True)
class Rules:
    """One registry kind (sections 2 and 3); times in microseconds, ``limit`` in bytes."""

    scope: str = "REGISTRY"
    basis: str = "REFERENCED"
    counts_foreign: bool = False
    stores_foreign: bool = False
    counts_config: bool = True
    counts_manifests: bool = True
    limit: int | None = None
    reject_at_limit: bool = False
    collection: str = "manual"
    untagged_after: int | None = None
    sweep_after: int = 0
    referrers: str = "ignore"
    stale_blob_links: bool = False
    report_lag: int = 0
    tag_needs_parts: bool = False
    write_lock_blocks_delete: bool = False
    delete_by_tag: str = "manifest"
    collects_untagged_pushes: bool = False
    children_go: bool = False
    keeps_children: bool = False
    most_tags_on_delete: int | None = None
    immutable_tags: str = "off"
    keeps_subjects: bool = False
    loose_after: int | None = None
    restorable_for: int | None = None
    collect_every: int = 0
    purge_after: int | None = None
    purge_every: int = 0
    check_post: str = "none"
    check_patch: str = "none"
    check_put_blob: str = "missing"
    check_put_manifest: str = "missing"
    check_mount: str = "missing"
    check_copy: str = "missing"
    reserves: bool = False
    patch_cancels: bool = False
    refused_after: int = 0
    own_counter: bool = False
    recounts: bool = False
    backfill: tuple[int, int, int] | None = None
    report_every: int = 0
    gc: GcRules = field(default_factory=GcRules)

    @property
    def keeps_deleted(self) -> bool:
        """Say whether what is deleted stays, hidden, for some time."""
        return self.restorable_for is not None and self.delete_by_tag != "expire"
