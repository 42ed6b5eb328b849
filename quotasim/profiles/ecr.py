"""``ecr``: Amazon Elastic Container Registry, private repositories. Little of its accounting is documented."""

from decimal import Decimal
from types import MappingProxyType

from quotasim.accounting.basis import Basis, Scope
from quotasim.accounting.price import Price
from quotasim.accounting.quota import Refusal
from quotasim.gc.policy import GcPolicy
from quotasim.profiles.base import LIMIT_FIELDS, RegistryProfile, Source
from quotasim.units import parse_duration, parse_size

_DELETE = "https://docs.aws.amazon.com/cli/latest/reference/ecr/batch-delete-image.html"
_MUTABILITY = "https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html"
_LIFECYCLE = "Amazon ECR user guide, lifecycle_policy_examples"
_COST = "https://handbook.vantage.sh"


def _doc(where: str, note: str) -> Source:
    return Source(where, "doc", "2026-11-25", note)


def _assumed(note: str) -> Source:
    return Source("not documented", "assumed", "2026-11-25", note)


_NO_LIMIT = _assumed("images are limited in number, bytes are not")

ECR = RegistryProfile(
    name="ecr",
    title="Amazon ECR",
    scope=Scope.REPOSITORY,
    basis=Basis.REFERENCED,
    counts_config=False,
    counts_manifests=False,
    collection="automatic",
    untagged_after=None,
    sweep_after=parse_duration("1d"),
    referrers="ignore",
    report_lag=parse_duration("1d"),
    delete_by_tag="last tag",
    child_refusal=Refusal(
        200, "ImageReferencedByManifestList", "Requested image referenced by manifest list: [{parents}]"
    ),
    immutable_refusal=Refusal(
        400,
        "TAG_INVALID",
        "The image tag '{tag}' already exists in the '{repository}' repository and cannot be overwritten because the "
        "repository is immutable.",
    ),
    uploads_purged_after=parse_duration("168h"),
    uploads_purged_every=parse_duration("24h"),
    price=Price(currency="USD", amount=Decimal("0.10"), unit_bytes=parse_size("1 GB"), unit_days=30),
    gc=GcPolicy(roots="ALL", referrers="follow", grace=parse_duration("1d"), honour_blob_links=True, rechecks=True),
    sources=MappingProxyType(
        {
            "scope": Source(_COST, "assumed", "2026-11-23", "a third party sums unique layers of each repository"),
            "basis": Source(_COST, "assumed", "2026-11-23", "layers of every image, tagged or not"),
            "counts_config": Source(_COST, "assumed", "2026-11-23", "the same method counts layers only"),
            "counts_manifests": Source(_COST, "assumed", "2026-11-23", "the same method counts layers only"),
            "counts_foreign": _assumed("a foreign layer is not uploaded"),
            "limit": _NO_LIMIT,
            "reject_at_limit": _NO_LIMIT,
            "included": _NO_LIMIT,
            "warn_at": _NO_LIMIT,
            "refusal": _NO_LIMIT,
            "collection": _assumed("what is deleted is removed by the service"),
            "untagged_after": _doc(_LIFECYCLE, "untagged images stay unless a lifecycle rule expires them"),
            "collects_untagged_pushes": _doc(_LIFECYCLE, "untagged images stay unless a lifecycle rule expires them"),
            "sweep_after": _assumed("a day, as long as a lifecycle policy takes at most"),
            "referrers": _assumed("what the loss of a subject does was not found"),
            "stale_blob_links": _assumed("layers without an image are not shown"),
            "report_lag": _assumed("a day, as cost figures have it"),
            "delete_by_tag": _doc(_DELETE, "removes the tag; with the last tag the image is deleted"),
            "tag_refusal": _doc(_DELETE, "a tag can be deleted"),
            "child_refusal": Source(
                _DELETE,
                "doc",
                "2026-11-25",
                "a failure code in a response with status 200; the wording is from users' reports",
            ),
            "children_go": _assumed("children stay; users delete the index first and its images after it"),
            "most_tags_on_delete": _doc(_DELETE, "by digest an image is deleted with all its tags"),
            "tags_refusal": _doc(_DELETE, "by digest an image is deleted with all its tags"),
            "immutable_tags": _doc(_MUTABILITY, "off unless the repository is set so: 'move' is its rule then"),
            "immutable_refusal": Source(
                "https://github.com/aws/containers-roadmap/issues/862",
                "issue",
                "2026-11-25",
                "what docker push printed ('tag invalid: ...'); the API says ImageTagAlreadyExistsException",
            ),
            "write_lock_blocks_delete": _assumed("ECR has no locks"),
            "tag_needs_parts": _assumed("whether a manifest is checked again when it is tagged is not said"),
            "referrer_refusal": _assumed("what the loss of a subject does was not found"),
            "loose_blobs_after": _assumed("layers without an image are not shown, and stay here"),
            "restorable_for": _assumed("a deletion is final"),
            "collect_every": _assumed("what is released goes within the day that sweep_after waits"),
            "collect_batch": _assumed("no batches are described"),
            "review_jitter": _assumed("no jitter is described"),
            "uploads_purged_after": _assumed("not said; the default of CNCF distribution is taken"),
            "uploads_purged_every": _assumed("not said; the default of CNCF distribution is taken"),
            "quarantine": _assumed("there is none"),
            "replicas": _assumed("a replicated repository is charged for itself"),
            **dict.fromkeys(LIMIT_FIELDS, _NO_LIMIT),
            "report_every": _assumed("a lag is assumed, no cache"),
            "gc_policies": _assumed("no other way of running the collector is modelled"),
            "price": Source(
                "https://cloudburn.io/blog/amazon-ecr-pricing",
                "assumed",
                "2026-11-26",
                "a third party, of the vendor's page in March 2026: 0.10 USD per GB and month in US East, of "
                "compressed layers; what is free for new accounts is left out",
            ),
            "gc": _assumed("what no image names goes within a day"),
        }
    ),
)
