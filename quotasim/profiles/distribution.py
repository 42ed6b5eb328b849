"""``distribution-2.8``: CNCF distribution (registry:2) as Debian ships it, version 2.8.2, filesystem storage."""

from dataclasses import replace
from types import MappingProxyType

from quotasim.accounting.basis import Basis, Scope
from quotasim.gc.policy import GcPolicy
from quotasim.profiles.base import RegistryProfile, Source


def _ran(note: str) -> Source:
    return Source("docker-registry 2.8.2+ds1-1 (Debian), run on loopback", "ran", "2026-11-23", note)


_NO_QUOTA = Source(
    "distribution/distribution 0d6b721d, registry/", "code", "2026-11-23", "no quota and no usage counter in the source"
)

_PLAIN = GcPolicy(
    roots="ALL",
    index_children="direct",
    referrers="ignore",
    grace=0,
    honour_blob_links=False,
    honour_sha512=False,
    repositories="WITH_BLOBS",
    needs_blobs=True,
)

DISTRIBUTION_2_8 = RegistryProfile(
    name="distribution-2.8",
    title="CNCF distribution 2.8",
    scope=Scope.REGISTRY,
    basis=Basis.STORED,
    collection="manual",
    referrers="ignore",
    stale_blob_links=True,
    delete_by_tag="refuse",
    tag_needs_parts=True,
    gc=_PLAIN,
    gc_policies=MappingProxyType({"delete-untagged": replace(_PLAIN, roots="TAGS", needs_tags=True)}),
    sources=MappingProxyType(
        {
            "scope": _ran("one blob store for all repositories; a blob pushed to two repositories is one data file"),
            "basis": _ran("nothing is counted but the disk itself"),
            "counts_config": _ran("configs are ordinary blobs on disk"),
            "counts_manifests": _ran("manifests are ordinary blobs on disk"),
            "counts_foreign": _ran("a foreign layer is accepted by its url and not stored"),
            "limit": _NO_QUOTA,
            "reject_at_limit": _NO_QUOTA,
            "included": _NO_QUOTA,
            "collection": _ran("nothing leaves the disk but by running garbage-collect"),
            "untagged_after": _ran("untagged revisions stay for ever without --delete-untagged"),
            "sweep_after": _ran("nothing is swept by itself"),
            "referrers": _ran("the subject field is ignored everywhere"),
            "stale_blob_links": _ran("_layers links are never removed, neither by DELETE nor by garbage-collect"),
            "report_lag": _NO_QUOTA,
            "delete_by_tag": _ran(
                "DELETE by tag is 400 DIGEST_INVALID; skopeo resolves it and deletes the digest with all tags"
            ),
            "tag_needs_parts": _ran(
                "a tag is put by putting the manifest again: 400 MANIFEST_BLOB_UNKNOWN for a layer without link, or a "
                "child without a revision, in that repository"
            ),
            "write_lock_blocks_delete": _NO_QUOTA,
            "gc": _ran(
                "all revisions are roots; a manifest marks its direct references only; orphan blobs go at once; a "
                "repository without _layers is not walked; sha512 names do not mark; an unused root fails"
            ),
            "gc_policies": _ran(
                "--delete-untagged: revisions that no tag of their repository points to go; the run fails at a "
                "repository that has a revision and never had a tag"
            ),
        }
    ),
)
