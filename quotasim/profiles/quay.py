"""``quay``: Quay with quota management; tags expire into the time machine."""

from types import MappingProxyType

from quotasim.accounting.basis import Basis, Scope
from quotasim.accounting.quota import Refusal
from quotasim.gc.policy import GcPolicy
from quotasim.profiles.base import Backfill, RegistryProfile, Source
from quotasim.units import parse_duration


def _code(path: str, note: str) -> Source:
    return Source(f"quay/quay ffba0c70, {path}", "code", "2026-11-23", note)


def _assumed(note: str) -> Source:
    return Source("quay/quay ffba0c70, inferred", "assumed", "2026-11-25", note)


_QUOTA = "data/model/quota.py"
_GC = "data/model/gc.py"
_TAG = "data/model/oci/tag.py"
_UPLOADS = "endpoints/v2/blob.py"
_REGISTRY = "data/registry_model/registry_oci_model.py"
_TIME_MACHINE = parse_duration("14d")

QUAY = RegistryProfile(
    name="quay",
    title="Quay",
    scope=Scope.NAMESPACE,
    basis=Basis.REFERENCED,
    counts_manifests=False,
    reject_at_limit=True,
    refusal=Refusal(403, "DENIED", "Quota has been exceeded on namespace"),
    collection="automatic",
    untagged_after=_TIME_MACHINE,
    collects_untagged_pushes=True,
    sweep_after=0,
    referrers="stay and pin",
    delete_by_tag="expire",
    loose_blobs_after=parse_duration("3600s"),
    restorable_for=_TIME_MACHINE,
    collect_every=parse_duration("30s"),
    collect_batch=10,
    uploads_purged_after=parse_duration("2d"),
    uploads_purged_every=parse_duration("1h"),
    check_post="used",
    check_patch="uploading",
    check_put_blob="uploading",
    check_put_manifest="afterwards",
    check_mount="used",
    check_copy="none",
    patch_refusal_cancels=True,
    refused_after=parse_duration("30s"),
    counter="own",
    backfill=Backfill(delay=parse_duration("1800s"), every=parse_duration("15s"), batch=100),
    gc=GcPolicy(roots="TAGS", referrers="stay and pin", grace=_TIME_MACHINE, honour_blob_links=True, rechecks=True),
    sources=MappingProxyType(
        {
            "scope": _code(_QUOTA, "each blob once in a namespace (and, in figures of their own, in a repository)"),
            "basis": _code(_QUOTA, "blobs of every manifest, tagged, expired or not"),
            "counts_config": _assumed("configs are blobs of a manifest like layers"),
            "counts_manifests": _code(_QUOTA, "the manifest's own text is no blob of the sum"),
            "counts_foreign": _assumed("foreign layers are not uploaded, so they have no storage"),
            "limit": _code("data/model/namespacequota.py", "none unless one is set for the namespace or by default"),
            "reject_at_limit": _code("data/model/namespacequota.py", "triggers where the size is at least the limit"),
            "included": _code("data/model/namespacequota.py", "no such thing"),
            "warn_at": _code("data/model/namespacequota.py", "none by default; a quota may have Warning percentages"),
            "refusal": _code("endpoints/v2/errors.py", "QuotaExceeded"),
            "collection": _code("workers/gc", "a worker takes a repository with garbage every 30 s"),
            "untagged_after": _code(_TAG, "removed_tag_expiration_s of the namespace, two weeks by default"),
            "collects_untagged_pushes": _assumed(
                "a push by digest gets a hidden tag that expires; the time machine's wait is taken for it"
            ),
            "sweep_after": _code(_GC, "the pass that collects a manifest removes its storage too"),
            "referrers": _code(_GC, "a subject with referrers is kept, and referrers have hidden tags without end"),
            "stale_blob_links": _code(_GC, "rows of ManifestBlob go with the manifest"),
            "report_lag": _code(_QUOTA, "totals change with the manifest"),
            "delete_by_tag": _code(_TAG, "sets the end of the tag's lifetime; a digest ends all its tags"),
            "tag_refusal": _code(_TAG, "a tag can be deleted"),
            "child_refusal": _code(_GC, "a manifest with a parent index is kept by the collector, none is refused"),
            "children_go": _code(_GC, "children are collected after their index"),
            "most_tags_on_delete": _code(_TAG, "all tags of a digest end"),
            "tags_refusal": _code(_TAG, "all tags of a digest end"),
            "immutable_tags": _assumed("off: tag immutability came later than the version read"),
            "immutable_refusal": _assumed("not read"),
            "write_lock_blocks_delete": _assumed("Quay has no locks"),
            "tag_needs_parts": _assumed("whether a manifest is checked again when it is tagged is not said"),
            "loose_blobs_after": _code(_GC, "a blob that was uploaded and is in no manifest expires after 3,600 s"),
            "restorable_for": _code(_TAG, "an ended tag can be restored within removed_tag_expiration_s"),
            "collect_every": _code("workers/gc", "polls every 30 s"),
            "collect_batch": _code("workers/gc", "one repository and ten tags at a time"),
            "review_jitter": _code("workers/gc", "none"),
            "uploads_purged_after": _assumed("a worker removes uploads after two days; read from memory"),
            "uploads_purged_every": _assumed("that worker runs every hour; read from memory"),
            "quarantine": _assumed("there is none"),
            "replicas": _assumed("storage replication is not charged"),
            "referrer_refusal": _code(_GC, "a subject is kept by the collector, and its deletion is not refused"),
            "check_post": _code(_UPLOADS, "the namespace's size, whatever is to come"),
            "check_patch": _code(
                _UPLOADS, "the size and the repository's unfinished uploads, before the chunk is written"
            ),
            "check_put_blob": _code(_UPLOADS, "the same as for a chunk"),
            "check_put_manifest": _code(_REGISTRY, "the manifest is made and counted, and then the size is looked at"),
            "check_mount": _code(_UPLOADS, "a mount is a POST"),
            "check_copy": _assumed("there is none"),
            "reserves": _code(_UPLOADS, "nothing is reserved: what runs at a time passes together"),
            "patch_refusal_cancels": _code(_UPLOADS, "a refused chunk cancels the upload"),
            "refused_after": _code(
                "workers/gc", "an expired hidden tag hands it to the worker, which polls every 30 s"
            ),
            "counter": _code(_QUOTA, "rows per namespace; a failure may be swallowed (QUOTA_SUPPRESS_FAILURES)"),
            "recounts": _code(_QUOTA, "only changes are added and subtracted"),
            "backfill": _code(
                "workers/quotatotalworker.py",
                "starts after 1,800 s, 100 rows every 15 s; until then nothing is counted",
            ),
            "report_every": _code(_QUOTA, "the row is shown as it is"),
            "gc_policies": _assumed("no other way of running the collector is modelled"),
            "price": _assumed("software that one runs oneself; what Quay.io asks was not found by the byte"),
            "gc": _code(_GC, "kept: with a tag, expired ones within the time machine too, a parent or a referrer"),
        }
    ),
)
