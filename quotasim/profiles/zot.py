"""``zot``: zot with deduplicated local storage and its default collector."""

from dataclasses import replace
from types import MappingProxyType

from quotasim.accounting.basis import Basis, Scope
from quotasim.accounting.quota import Refusal
from quotasim.gc.policy import GcPolicy
from quotasim.profiles.base import LIMIT_FIELDS, RegistryProfile, Source
from quotasim.units import parse_duration


def _code(path: str, note: str) -> Source:
    return Source(f"project-zot/zot 6d19b445, {path}", "code", "2026-11-23", note)


def _assumed(note: str) -> Source:
    return Source("project-zot/zot 6d19b445, inferred", "assumed", "2026-11-25", note)


_GC = "pkg/storage/gc/gc.go"
_ROUTES = "pkg/api/routes.go"
_COMMON = "pkg/storage/common/common.go"
_NO_QUOTA = _code("pkg/api/quota.go", "the number of repositories is limited (429), bytes are not")
_HOUR = parse_duration("1h")
_POLICY = GcPolicy(
    roots="TAGS", referrers="stay", grace=_HOUR, drops_blob_links="idle", blob_grace="stored", rechecks=True
)

ZOT = RegistryProfile(
    name="zot",
    title="zot",
    scope=Scope.REGISTRY,
    basis=Basis.STORED,
    collection="automatic",
    untagged_after=_HOUR,
    collects_untagged_pushes=True,
    sweep_after=_HOUR,
    referrers="stay",
    delete_by_tag="tag",
    child_refusal=Refusal(405, "DENIED", "requested access to the resource is denied"),
    most_tags_on_delete=1,
    tags_refusal=Refusal(409, "MANIFEST_INVALID", "manifest invalid"),
    loose_blobs_after=2 * _HOUR,
    uploads_purged_after=_HOUR,
    uploads_purged_every=_HOUR,
    gc=_POLICY,
    gc_policies=MappingProxyType({"delete-referrers": replace(_POLICY, referrers="depend")}),
    sources=MappingProxyType(
        {
            "scope": _code(
                "pkg/storage/imagestore/imagestore.go", "hard links: one file for all repositories of a root"
            ),
            "basis": _assumed("nothing is charged; what its storage metric sees is files"),
            "counts_config": _code("pkg/storage/imagestore/imagestore.go", "configs are files like other blobs"),
            "counts_manifests": _code("pkg/storage/imagestore/imagestore.go", "manifests are files like other blobs"),
            "counts_foreign": _assumed("a foreign layer is not uploaded"),
            "limit": _NO_QUOTA,
            "reject_at_limit": _NO_QUOTA,
            "included": _NO_QUOTA,
            "warn_at": _NO_QUOTA,
            "refusal": _NO_QUOTA,
            "collection": _code(_GC, "each repository is collected every gcInterval"),
            "untagged_after": _code(_GC, "retention.delay, by default gcDelay, 1 h"),
            "collects_untagged_pushes": _code(_GC, "untagged is what has no tag, ever tagged or not"),
            "sweep_after": _assumed("gcInterval, 1 h, taken as the wait for the next pass: the longest it can be"),
            "referrers": _code(_GC, "deleteReferrers is off by default: what has a subject is never collected"),
            "stale_blob_links": _code(_GC, "a repository's blobs without a manifest are deleted there"),
            "report_lag": _assumed("files are counted when asked"),
            "delete_by_tag": _code(_COMMON, "removes the tag; of the last one an untagged entry stays"),
            "tag_refusal": _code(_ROUTES, "a tag can be deleted"),
            "child_refusal": _code(_ROUTES, "405 DENIED; the message is the specification's, assumed"),
            "children_go": _code(_COMMON, "children of a deleted index become untagged entries"),
            "most_tags_on_delete": _code(_COMMON, "a digest with several tags is a conflict"),
            "tags_refusal": _code(_ROUTES, "409 MANIFEST_INVALID; the message is the specification's, assumed"),
            "immutable_tags": _assumed("zot has none; access control may forbid updates"),
            "immutable_refusal": _assumed("zot has none"),
            "write_lock_blocks_delete": _assumed("zot has no locks"),
            "tag_needs_parts": _assumed("whether a manifest is checked again when it is tagged is not said"),
            "loose_blobs_after": _code(_GC, "gcDelay, and the wait for the next pass: the longest it can be"),
            "restorable_for": _code(
                _COMMON, "a deletion is final; an untagged manifest stays readable until it is collected"
            ),
            "collect_every": _code(_GC, "each repository every gcInterval; the wait is part of sweep_after"),
            "collect_batch": _assumed("no batches are described"),
            "review_jitter": _assumed("no jitter is described"),
            "uploads_purged_after": _code(_GC, "a pass removes uploads that are older than the delay"),
            "uploads_purged_every": _code(_GC, "gcInterval, 1 h"),
            "quarantine": _assumed("there is none"),
            "replicas": _assumed("a synchronised registry is one of its own"),
            "referrer_refusal": _code(_ROUTES, "a subject can be deleted"),
            **dict.fromkeys(LIMIT_FIELDS, _NO_QUOTA),
            "report_every": _assumed("files are counted when asked"),
            "gc_policies": _code(
                _GC,
                "delete-referrers, deleteReferrers of a retention policy: what has a subject goes once that has gone,"
                " round after round until nothing does; tags do not save it (one with several is left there)",
            ),
            "price": _assumed("software that one runs oneself: it has no price"),
            "gc": _code(_GC, "untagged, in no index, without a subject, older than the delay; then blobs as old"),
        }
    ),
)
