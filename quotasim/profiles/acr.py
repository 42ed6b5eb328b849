"""``acr-basic``, ``acr-standard``, ``acr-premium``: Azure Container Registry."""

from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

from quotasim.accounting.basis import Basis, Scope
from quotasim.accounting.price import Price
from quotasim.accounting.quota import Refusal
from quotasim.gc.policy import GcPolicy
from quotasim.profiles.base import RegistryProfile, Source
from quotasim.units import parse_duration, parse_size

_DOCS = "MicrosoftDocs/azure-management-docs d923d588, articles/container-registry/"


def _doc(page: str, note: str) -> Source:
    return Source(_DOCS + page, "doc", "2026-11-23", note)


def _assumed(note: str) -> Source:
    return Source("not documented", "assumed", "2026-11-23", note)


def _price(fee_per_day: str, included: str) -> Price:
    return Price(
        currency="USD",
        amount=Decimal("0.003"),
        unit_bytes=parse_size("1 GiB"),
        unit_days=1,
        included_bytes=parse_size(included),
        fee_per_day=Decimal(fee_per_day),
    )


# The vendor's example is of Basic alone. It says GB where its table of what is included says GiB, which is taken.
_BASIC_PRICE = Source(
    "https://learn.microsoft.com/ja-jp/azure/container-registry/container-registry-skus",
    "doc",
    "2026-11-26",
    "its example of Basic: 0.167 USD a day with 10 GB included, and 0.003 USD a day for each of 15 GB above",
)
_OTHER_PRICES = Source(
    "https://c3x.dev/resources/azure/azurerm_container_registry",
    "assumed",
    "2026-11-26",
    "the fees of a third party's table (0.667, 1.667 USD a day, and the full fee for each replica); the storage above "
    "what is included as in the vendor's example of Basic",
)

ACR_PREMIUM = RegistryProfile(
    name="acr-premium",
    title="Azure Container Registry, Premium",
    scope=Scope.REGISTRY,
    basis=Basis.REFERENCED,
    limit=parse_size("100 TiB"),
    included=parse_size("500 GiB"),
    refusal=Refusal(None, None, "The operation is disallowed."),
    collection="automatic",
    untagged_after=None,
    sweep_after=parse_duration("5min"),
    referrers="cascade",
    report_lag=parse_duration("5min"),
    delete_by_tag="manifest",
    write_lock_blocks_delete=True,
    collect_every=parse_duration("24h"),
    uploads_purged_after=parse_duration("168h"),
    uploads_purged_every=parse_duration("24h"),
    replicas="billed",
    price=_price("1.667", "500 GiB"),
    gc=GcPolicy(roots="ALL", referrers="follow", grace=parse_duration("5min"), honour_blob_links=True, rechecks=True),
    sources=MappingProxyType(
        {
            "scope": _doc(
                "container-registry-faq.yml", "a layer shared by images of the registry is stored and counted once"
            ),
            "basis": _assumed(
                "layers and manifests of what is pushed count (StorageUsed); whether loose uploads do is not said"
            ),
            "counts_config": _assumed("configs are blobs like layers"),
            "counts_manifests": _doc("monitor-container-registry-reference.md", "StorageUsed includes manifest files"),
            "counts_foreign": _assumed("foreign layers are never uploaded, so they cannot count"),
            "limit": _doc("container-registry-skus.md", "storage limit: Basic and Standard 40 TiB, Premium 100 TiB"),
            "reject_at_limit": _assumed("whether the limit itself may be reached is not said"),
            "included": _doc(
                "container-registry-skus.md", "included storage 10, 100, 500 GiB: above it costs, and refuses nothing"
            ),
            "warn_at": _assumed("no warning of its own; what is above the included storage is billed"),
            "refusal": _doc("container-registry-faq.yml", "the text; HTTP status and code are not said"),
            "collection": _doc("container-registry-delete.md", "space is recovered asynchronously after a delete"),
            "untagged_after": _doc(
                "container-registry-retention-policy.md", "untagged manifests stay unless a policy is set"
            ),
            "collects_untagged_pushes": _doc(
                "container-registry-retention-policy.md", "untagged manifests stay unless a policy is set"
            ),
            "sweep_after": _assumed("'a few minutes' taken as five"),
            "referrers": _doc("container-registry-manage-artifact.md", "deleting the subject deletes its referrers"),
            "stale_blob_links": _assumed("a repository's links to blobs are not visible"),
            "report_lag": _doc("container-registry-faq.yml", "usage follows within a few minutes; five are assumed"),
            "delete_by_tag": _doc(
                "container-registry-delete.md", "deleting by tag deletes the manifest and all its tags"
            ),
            "tag_refusal": _doc("container-registry-delete.md", "a tag can be deleted"),
            "child_refusal": Source(
                "https://github.com/Azure/acr-cli/issues/131",
                "issue",
                "2026-11-23",
                "children of tagged indexes were deleted; whether the service refuses it now is not known",
            ),
            "children_go": Source(
                "https://github.com/Azure/azure-sdk/issues/2676", "issue", "2026-11-23", "deleting an index leaves them"
            ),
            "most_tags_on_delete": _doc("container-registry-delete.md", "a digest is deleted with all its tags"),
            "tags_refusal": _doc("container-registry-delete.md", "a digest is deleted with all its tags"),
            "immutable_tags": _doc("container-registry-image-lock.md", "off: single tags are locked instead"),
            "immutable_refusal": _doc("container-registry-image-lock.md", "off: single tags are locked instead"),
            "tag_needs_parts": _assumed("whether a manifest is checked again when it is tagged is not said"),
            "write_lock_blocks_delete": _doc(
                "container-registry-image-lock.md", "write-enabled false blocks deletion too"
            ),
            "price": _OTHER_PRICES,
            "gc": _assumed("everything linked is a root; unreferenced blobs go after the same few minutes"),
            "loose_blobs_after": _assumed("what becomes of blobs that no manifest names is not said: they stay"),
            "restorable_for": _doc(
                "container-registry-soft-delete-policy.md", "off by default; 1 to 90 days where it is on"
            ),
            "collect_every": _doc(
                "container-registry-soft-delete-policy.md", "the purge of soft deleted artifacts runs daily"
            ),
            "collect_batch": _assumed("no batches are described"),
            "review_jitter": _assumed("no jitter is described"),
            "uploads_purged_after": _assumed("not said; the default of CNCF distribution is taken"),
            "uploads_purged_every": _assumed("not said; the default of CNCF distribution is taken"),
            "quarantine": _doc(
                "container-registry-faq.yml", "off by default; where it is on, what is pushed waits for a scan"
            ),
            "replicas": _doc(
                "container-registry-geo-replication.md", "a replicated GiB counts once, and is paid for in each region"
            ),
            "referrer_refusal": _doc(
                "container-registry-manage-artifact.md", "referrers are deleted with their subject"
            ),
            "check_post": _assumed("at which request the service looks at its limit is not said; at PUT, it is taken"),
            "check_patch": _assumed("at which request the service looks at its limit is not said; at PUT, it is taken"),
            "check_mount": _assumed("blobs by themselves are not counted here"),
            "check_put_blob": _assumed(
                "blobs by themselves are not counted here, so that it is the manifest that is refused"
            ),
            "check_put_manifest": _doc(
                "container-registry-faq.yml", "a push is refused at the limit; at this request, it is taken"
            ),
            "check_copy": _assumed("an import is looked at as a push"),
            "reserves": _assumed("nothing is said of reservations"),
            "patch_refusal_cancels": _assumed("PATCH is not refused"),
            "refused_after": _assumed("nothing is taken in that is then refused"),
            "counter": _assumed("usage is taken to be counted from the content"),
            "recounts": _assumed("usage is taken to be counted from the content"),
            "backfill": _assumed("usage is taken to be counted from the content"),
            "report_every": _doc("container-registry-faq.yml", "follows within a few minutes; no cache is described"),
            "gc_policies": _assumed("the service collects by itself, and nobody can run it another way"),
        }
    ),
)

ACR_STANDARD = replace(
    ACR_PREMIUM,
    name="acr-standard",
    title="Azure Container Registry, Standard",
    limit=parse_size("40 TiB"),
    included=parse_size("100 GiB"),
    replicas="none",
    price=_price("0.667", "100 GiB"),
)

ACR_BASIC = replace(
    ACR_PREMIUM,
    name="acr-basic",
    title="Azure Container Registry, Basic",
    limit=parse_size("40 TiB"),
    included=parse_size("10 GiB"),
    replicas="none",
    price=_price("0.167", "10 GiB"),
    sources=MappingProxyType({**ACR_PREMIUM.sources, "price": _BASIC_PRICE}),
)
