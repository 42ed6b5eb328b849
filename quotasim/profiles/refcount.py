"""``refcount``: a rule set of our own, the simplest that counts every byte. The reference for replays of history."""

from types import MappingProxyType

from quotasim.accounting.basis import Basis, Scope
from quotasim.gc.policy import GcPolicy
from quotasim.profiles.base import LIMIT_FIELDS, RegistryProfile, Source

_OWN = Source(
    "docs/semantics.md, section 3", "own", "2026-11-24", "plain reference counting; no vendor works exactly so"
)

REFCOUNT = RegistryProfile(
    name="refcount",
    title="plain reference counting",
    scope=Scope.REGISTRY,
    basis=Basis.REFERENCED,
    counts_foreign=True,
    collection="automatic",
    untagged_after=0,
    sweep_after=0,
    referrers="follow",
    gc=GcPolicy(roots="TAGS", index_children="recursive", referrers="follow", honour_blob_links=True, rechecks=True),
    sources=MappingProxyType(
        dict.fromkeys(
            (
                *LIMIT_FIELDS,
                "warn_at",
                "refusal",
                "collects_untagged_pushes",
                "tag_refusal",
                "child_refusal",
                "children_go",
                "most_tags_on_delete",
                "tags_refusal",
                "immutable_tags",
                "immutable_refusal",
                "scope",
                "basis",
                "counts_config",
                "counts_manifests",
                "counts_foreign",
                "limit",
                "reject_at_limit",
                "included",
                "collection",
                "untagged_after",
                "sweep_after",
                "referrers",
                "stale_blob_links",
                "report_lag",
                "delete_by_tag",
                "tag_needs_parts",
                "write_lock_blocks_delete",
                "price",
                "gc",
                "gc_policies",
                "loose_blobs_after",
                "restorable_for",
                "collect_every",
                "collect_batch",
                "review_jitter",
                "uploads_purged_after",
                "uploads_purged_every",
                "quarantine",
                "replicas",
                "referrer_refusal",
                "report_every",
            ),
            _OWN,
        )
    ),
)
