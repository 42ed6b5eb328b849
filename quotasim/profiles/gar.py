"""``gar``: Google Artifact Registry, Docker format. Little of its accounting is documented.

Its repository is the first component of a name here: what it calls an image is a repository of the distribution
specification.
"""

from decimal import Decimal
from types import MappingProxyType

from quotasim.accounting.basis import Basis, Scope
from quotasim.accounting.price import Price
from quotasim.accounting.quota import Refusal
from quotasim.gc.policy import GcPolicy
from quotasim.profiles.base import LIMIT_FIELDS, RegistryProfile, Source
from quotasim.units import parse_duration, parse_size

_DELETE = "https://cloud.google.com/sdk/gcloud/reference/artifacts/docker/images/delete"
_CLEANUP = "Artifact Registry documentation, cleanup-policy-overview"
_REFERRING = "users' reports of GOOGLE_MANIFEST_REFERRING_MANIFEST"
_CLEANER = "https://github.com/GoogleCloudPlatform/gcr-cleaner/issues/118"


def _doc(where: str, note: str) -> Source:
    return Source(where, "doc", "2026-11-25", note)


def _assumed(note: str) -> Source:
    return Source("not documented", "assumed", "2026-11-25", note)


_NO_LIMIT = _assumed("no limit in bytes was found")

GAR = RegistryProfile(
    name="gar",
    title="Google Artifact Registry",
    scope=Scope.NAMESPACE,
    basis=Basis.REFERENCED,
    counts_config=False,
    counts_manifests=False,
    collection="automatic",
    untagged_after=None,
    sweep_after=parse_duration("1d"),
    referrers="pin",
    report_lag=parse_duration("1d"),
    delete_by_tag="tag",
    child_refusal=Refusal(
        400,
        "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE",
        "Manifest is still referenced by one or more parent images: {parents}",
    ),
    referrer_refusal=Refusal(
        400,
        "GOOGLE_MANIFEST_REFERRING_MANIFEST",
        "Manifest is still referenced by one or more manifests as their subject: {referrers}",
    ),
    most_tags_on_delete=0,
    tags_refusal=Refusal(400, "GOOGLE_MANIFEST_DANGLING_TAG", "Manifest is still referenced by tag: {tags}"),
    immutable_refusal=Refusal(400, None, "the repository's tags are immutable: {reference}"),
    uploads_purged_after=parse_duration("168h"),
    uploads_purged_every=parse_duration("24h"),
    price=Price(
        currency="USD",
        amount=Decimal("0.10"),
        unit_bytes=parse_size("1 GB"),
        unit_days=30,
        included_bytes=parse_size("0.5 GB"),
    ),
    gc=GcPolicy(roots="ALL", referrers="pin", grace=parse_duration("1d"), honour_blob_links=True, rechecks=True),
    sources=MappingProxyType(
        {
            "scope": _assumed("each layer once in a repository of theirs, which is a namespace here"),
            "basis": _assumed("layers of every image, tagged or not"),
            "counts_config": _assumed("as in ECR, layers only"),
            "counts_manifests": _assumed("as in ECR, layers only"),
            "counts_foreign": _assumed("a foreign layer is not uploaded"),
            "limit": _NO_LIMIT,
            "reject_at_limit": _NO_LIMIT,
            "included": _NO_LIMIT,
            "warn_at": _NO_LIMIT,
            "refusal": _NO_LIMIT,
            "collection": _assumed("what is deleted is removed by the service"),
            "untagged_after": _doc(_CLEANUP, "untagged images stay unless a cleanup policy deletes them"),
            "collects_untagged_pushes": _doc(_CLEANUP, "untagged images stay unless a cleanup policy deletes them"),
            "sweep_after": _assumed("a day, as cleanup policies take about one"),
            "referrers": Source(
                _REFERRING,
                "issue",
                "2026-11-25",
                "a manifest with referrers cannot be deleted",
            ),
            "stale_blob_links": _assumed("layers without an image are not shown"),
            "report_lag": _assumed("a day, as cost figures have it"),
            "delete_by_tag": Source(
                _CLEANER, "issue", "2026-11-23", "cleaners delete each tag first, which leaves the manifest"
            ),
            "tag_refusal": _doc(_DELETE, "a tag can be deleted"),
            "child_refusal": Source(
                _CLEANER, "issue", "2026-11-23", "the code; that the parent's digest ends the message is reported too"
            ),
            "children_go": _assumed("children stay; cleaners delete them after their index"),
            "most_tags_on_delete": _doc(_DELETE, "deleting by digest fails while a tag is on it"),
            "tags_refusal": Source(
                "users' reports of GOOGLE_MANIFEST_DANGLING_TAG", "issue", "2026-11-25", "code and message; 400 assumed"
            ),
            "immutable_tags": _assumed("off unless the repository is set so: 'keep' is its rule then"),
            "immutable_refusal": _assumed("the wording was not found"),
            "write_lock_blocks_delete": _assumed("Artifact Registry has no locks"),
            "tag_needs_parts": _assumed("whether a manifest is checked again when it is tagged is not said"),
            "referrer_refusal": Source(
                _REFERRING, "issue", "2026-11-25", "the code is from users' reports, and the wording is assumed"
            ),
            "loose_blobs_after": _assumed("layers without an image are not shown, and stay here"),
            "restorable_for": _assumed("a deletion is final"),
            "collect_every": _assumed("what is released goes within the day that sweep_after waits"),
            "collect_batch": _assumed("no batches are described"),
            "review_jitter": _assumed("no jitter is described"),
            "uploads_purged_after": _assumed("not said; the default of CNCF distribution is taken"),
            "uploads_purged_every": _assumed("not said; the default of CNCF distribution is taken"),
            "quarantine": _assumed("there is none"),
            "replicas": _assumed("a multi-region repository is charged as one"),
            **dict.fromkeys(LIMIT_FIELDS, _NO_LIMIT),
            "report_every": _assumed("a lag is assumed, no cache"),
            "gc_policies": _assumed("no other way of running the collector is modelled"),
            "price": Source(
                "https://cloud.google.com/artifact-registry/pricing",
                "doc",
                "2026-11-26",
                "0.10 USD per GB and month above 0.5 GB, which are free once for a billing account",
            ),
            "gc": _assumed("what no image names goes within a day"),
        }
    ),
)
