"""CNCF distribution: ``distribution-2.8``, as Debian ships 2.8.2 (registry:2), was run; ``distribution-3`` was read."""

from dataclasses import replace
from types import MappingProxyType

from quotasim.accounting.basis import Basis, Scope
from quotasim.accounting.quota import Refusal
from quotasim.gc.policy import GcPolicy
from quotasim.profiles.base import LIMIT_FIELDS, RegistryProfile, Source
from quotasim.units import parse_duration


def _ran(note: str, date: str = "2026-11-23") -> Source:
    return Source("docker-registry 2.8.2+ds1-1 (Debian), run on loopback", "ran", date, note)


_NO_QUOTA = Source(
    "distribution/distribution 0d6b721d, registry/", "code", "2026-11-23", "no quota and no usage counter in the source"
)
_NO_SETTING = Source(
    "distribution/distribution 0d6b721d, registry/", "code", "2026-11-23", "neither locks nor immutable tags"
)


def _read(path: str, note: str) -> Source:
    return Source(f"distribution/distribution 0d6b721d, {path}", "code", "2026-11-23", note)


_GC = "registry/storage/garbagecollect.go"
_MANIFESTS = "registry/handlers/manifests.go"

_UPLOADS = "registry/storage/purgeuploads.go, docs/content/about/configuration.md"

# What no version has: quotas and what goes with them, waits, quarantine.
_NONE = {
    **dict.fromkeys((*LIMIT_FIELDS, "report_every"), _NO_QUOTA),
    "loose_blobs_after": _read("registry/storage/garbagecollect.go", "nothing leaves the disk by itself"),
    "restorable_for": _read("registry/handlers/manifests.go", "a deletion is final"),
    "collect_batch": _read("registry/storage/garbagecollect.go", "a run takes everything"),
    "review_jitter": _read("registry/storage/garbagecollect.go", "nothing waits"),
    "collect_every": _read("registry/storage/garbagecollect.go", "nothing is collected by itself"),
    "quarantine": _NO_SETTING,
    "price": Source(
        "distribution/distribution 0d6b721d, inferred",
        "assumed",
        "2026-11-26",
        "software that one runs oneself: no price",
    ),
    "replicas": _NO_SETTING,
    "referrer_refusal": _read("registry/", "no code looks at a subject"),
    "uploads_purged_after": _read(_UPLOADS, "uploadpurging.age, 168 h by default"),
    "uploads_purged_every": _read(
        _UPLOADS, "uploadpurging.interval, 24 h by default; the random minutes before the first purge are left out"
    ),
}

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

_PLAIN_3 = replace(_PLAIN, index_children="recursive", drops_blob_links="unmarked", marks="in turn", needs_blobs=False)

DISTRIBUTION_2_8 = RegistryProfile(
    name="distribution-2.8",
    title="CNCF distribution 2.8",
    scope=Scope.REGISTRY,
    basis=Basis.STORED,
    collection="manual",
    referrers="ignore",
    stale_blob_links=True,
    delete_by_tag="resolve",
    tag_refusal=Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content"),
    tag_needs_parts=True,
    uploads_purged_after=parse_duration("168h"),
    uploads_purged_every=parse_duration("24h"),
    gc=_PLAIN,
    gc_policies=MappingProxyType({"delete-untagged": replace(_PLAIN, roots="TAGS", tagless="fail")}),
    sources=MappingProxyType(
        {
            **_NONE,
            "scope": _ran("one blob store for all repositories; a blob pushed to two repositories is one data file"),
            "basis": _ran("nothing is counted but the disk itself"),
            "counts_config": _ran("configs are ordinary blobs on disk"),
            "counts_manifests": _ran("manifests are ordinary blobs on disk"),
            "counts_foreign": _ran("a foreign layer is accepted by its url and not stored"),
            "limit": _NO_QUOTA,
            "reject_at_limit": _NO_QUOTA,
            "included": _NO_QUOTA,
            "warn_at": _NO_QUOTA,
            "refusal": _NO_QUOTA,
            "collection": _ran("nothing leaves the disk but by running garbage-collect"),
            "untagged_after": _ran("untagged revisions stay for ever without --delete-untagged"),
            "collects_untagged_pushes": _ran("a revision that was never tagged stays for ever too"),
            "sweep_after": _ran("nothing is swept by itself"),
            "referrers": _ran("the subject field is ignored everywhere"),
            "stale_blob_links": _ran("_layers links are never removed, neither by DELETE nor by garbage-collect"),
            "report_lag": _NO_QUOTA,
            "delete_by_tag": _ran(
                "DELETE by tag is 400 DIGEST_INVALID; skopeo resolves it and deletes the digest with all tags"
            ),
            "tag_refusal": _ran("status, code and message; the same for an unknown tag"),
            "child_refusal": _ran("deleting a child of a tagged index is 202"),
            "children_go": _ran("deleting an index leaves its children"),
            "most_tags_on_delete": _ran("a digest is deleted with all its tags"),
            "tags_refusal": _ran("a digest is deleted with all its tags"),
            "immutable_tags": _NO_SETTING,
            "immutable_refusal": _NO_SETTING,
            "write_lock_blocks_delete": _NO_SETTING,
            "tag_needs_parts": _ran(
                "a tag is put by putting the manifest again: 400 MANIFEST_BLOB_UNKNOWN for a layer without link, or a "
                "child without a revision, in that repository"
            ),
            "uploads_purged_after": _ran(
                "uploadpurging.age: 168 h if not set; counted from an upload's beginning, whatever came since",
                "2026-11-25",
            ),
            "uploads_purged_every": _ran(
                "uploadpurging.interval: 24 h if not set; the random minutes before the first purge are left out",
                "2026-11-25",
            ),
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

DISTRIBUTION_3 = replace(
    DISTRIBUTION_2_8,
    name="distribution-3",
    title="CNCF distribution 3",
    delete_by_tag="tag",
    tag_refusal=None,
    gc=_PLAIN_3,
    gc_policies=MappingProxyType({"delete-untagged": replace(_PLAIN_3, roots="TAGS", tagless="skip")}),
    sources=MappingProxyType(
        {
            **_NONE,
            "scope": _read("registry/storage/paths.go", "one blob store for all repositories"),
            "basis": _NO_QUOTA,
            "counts_config": _read("registry/storage/paths.go", "configs are ordinary blobs"),
            "counts_manifests": _read("registry/storage/paths.go", "manifests are ordinary blobs"),
            "counts_foreign": Source(
                "as distribution-2.8", "assumed", "2026-11-25", "a foreign layer is accepted by its url and not stored"
            ),
            "limit": _NO_QUOTA,
            "reject_at_limit": _NO_QUOTA,
            "included": _NO_QUOTA,
            "warn_at": _NO_QUOTA,
            "refusal": _NO_QUOTA,
            "collection": _read(_GC, "nothing leaves the disk but by running garbage-collect"),
            "untagged_after": _read(_GC, "untagged revisions are roots without --delete-untagged"),
            "collects_untagged_pushes": _read(_GC, "untagged revisions are roots without --delete-untagged"),
            "sweep_after": _read(_GC, "nothing is swept by itself"),
            "referrers": _read("registry/", "no code looks at a subject"),
            "stale_blob_links": _read(_MANIFESTS, "deleting a manifest leaves its _layers links until a collection"),
            "report_lag": _NO_QUOTA,
            "delete_by_tag": _read(_MANIFESTS, "202, and the tag is gone; of a digest all tags go with it"),
            "tag_refusal": _read(_MANIFESTS, "a tag can be deleted"),
            "child_refusal": _read(_MANIFESTS, "no check for indexes that list it"),
            "children_go": _read(_MANIFESTS, "children stay"),
            "most_tags_on_delete": _read(_MANIFESTS, "a digest is deleted with all its tags"),
            "tags_refusal": _read(_MANIFESTS, "a digest is deleted with all its tags"),
            "immutable_tags": _NO_SETTING,
            "immutable_refusal": _NO_SETTING,
            "write_lock_blocks_delete": _NO_SETTING,
            "tag_needs_parts": Source(
                "as distribution-2.8", "assumed", "2026-11-25", "a tag is put by putting the manifest again"
            ),
            "gc_policies": _read(
                _GC,
                "--delete-untagged: revisions that no tag of their repository points to go, unless their digest is "
                "marked elsewhere; a repository that never had a tag is passed over, and its manifests are swept",
            ),
            "gc": _read(
                _GC,
                "all revisions are roots; children are followed, unless they are marked already; _layers links to what "
                "is not marked by then go, in the order of the walk; a repository without _layers is not walked "
                "(catalog.go); that sha512 names do not mark, as in 2.8, is assumed",
            ),
        }
    ),
)
