"""``gitlab``: the GitLab container registry with its metadata database and online garbage collection."""

from types import MappingProxyType

from quotasim.accounting.basis import Basis, Scope
from quotasim.accounting.quota import Refusal
from quotasim.gc.policy import GcPolicy
from quotasim.profiles.base import LIMIT_FIELDS, RegistryProfile, Source
from quotasim.units import parse_duration

# Read in a fork that adds a benchmark tool only; the original is gitlab.com/gitlab-org/container-registry.
_REPOSITORY = "tigrisdata/container-registry 19ab6ea7, "


def _code(path: str, note: str) -> Source:
    return Source(_REPOSITORY + path, "code", "2026-11-23", note)


def _doc(path: str, note: str) -> Source:
    return Source(_REPOSITORY + path, "doc", "2026-11-23", note)


def _assumed(note: str) -> Source:
    return Source(_REPOSITORY + "inferred", "assumed", "2026-11-25", note)


_SIZE = "registry/datastore/repository.go"
_ONLINE_GC = "docs/spec/gitlab/online-garbage-collection.md"
_NO_QUOTA = _code("registry/", "no quota is enforced in the registry")
_DAY = parse_duration("24h")

GITLAB = RegistryProfile(
    name="gitlab",
    title="GitLab container registry",
    scope=Scope.NAMESPACE,
    basis=Basis.TAGGED,
    counts_config=False,
    counts_manifests=False,
    collection="automatic",
    untagged_after=_DAY,
    collects_untagged_pushes=True,
    sweep_after=_DAY,
    referrers="pin",
    report_every=parse_duration("5min"),
    delete_by_tag="tag",
    child_refusal=Refusal(409, None, "manifest referenced by a manifest list"),
    loose_blobs_after=_DAY,
    review_jitter=parse_duration("60s"),
    uploads_purged_after=parse_duration("168h"),
    uploads_purged_every=parse_duration("24h"),
    gc=GcPolicy(roots="TAGS", referrers="pin", grace=_DAY, drops_blob_links="idle", rechecks=True),
    sources=MappingProxyType(
        {
            "scope": _doc("docs/storage-usage.md", "deduplicated within the root namespace"),
            "basis": _code(_SIZE, "from tagged manifests through manifest lists; where that times out, untagged too"),
            "counts_config": _code(_SIZE, "layers only"),
            "counts_manifests": _code(_SIZE, "layers only"),
            "counts_foreign": _assumed("foreign layers are not uploaded, so they have no row among the layers"),
            "limit": _NO_QUOTA,
            "reject_at_limit": _NO_QUOTA,
            "included": _NO_QUOTA,
            "warn_at": _NO_QUOTA,
            "refusal": _NO_QUOTA,
            "collection": _doc(_ONLINE_GC, "workers review what database triggers queue"),
            "untagged_after": _doc(_ONLINE_GC, "a manifest is reviewed a day after its last tag went, and the jitter"),
            "collects_untagged_pushes": _doc(_ONLINE_GC, "the upload of a manifest queues it too"),
            "sweep_after": _doc(_ONLINE_GC, "a blob is reviewed a day after its manifest went, and the jitter"),
            "referrers": _code("registry/datastore/gcmanifesttask.go", "a manifest that is a subject is not dangling"),
            "stale_blob_links": _assumed("links of layers to repositories are not charged, and not collected here"),
            "report_lag": _code(_SIZE, "counted when it is asked for"),
            "delete_by_tag": _assumed("deletes the tag only: the event tag_delete queues the manifest for review"),
            "tag_refusal": _assumed("a tag can be deleted"),
            "child_refusal": _code("registry/handlers/manifests.go", "409, tested there; the code's spelling not read"),
            "children_go": _doc(_ONLINE_GC, "children are reviewed after their list, with a delay of their own"),
            "most_tags_on_delete": _assumed("deleting by digest takes all tags, as in the distribution specification"),
            "tags_refusal": _assumed("deleting by digest takes all tags, as in the distribution specification"),
            "immutable_tags": _assumed("off: protection rules for tags are GitLab's, not the registry's"),
            "immutable_refusal": _assumed("what the registry answers was not read"),
            "write_lock_blocks_delete": _assumed("GitLab has no locks"),
            "tag_needs_parts": _assumed("whether a manifest is checked again when it is tagged is not said"),
            "loose_blobs_after": _doc(
                _ONLINE_GC, "an uploaded blob is reviewed after a day, and goes if no manifest names it"
            ),
            "restorable_for": _assumed("a deletion is final"),
            "collect_every": _doc(_ONLINE_GC, "workers take what is due one by one"),
            "collect_batch": _doc(_ONLINE_GC, "workers take what is due one by one"),
            "review_jitter": _doc(_ONLINE_GC, "up to 60 s are added to each review_after"),
            "uploads_purged_after": _assumed("as in CNCF distribution, of which it is a fork"),
            "uploads_purged_every": _assumed("as in CNCF distribution, of which it is a fork"),
            "quarantine": _assumed("there is none"),
            "replicas": _assumed("Geo sites are not modelled"),
            "referrer_refusal": _assumed("a subject can be deleted; only its collection waits for its referrers"),
            **dict.fromkeys(LIMIT_FIELDS, _NO_QUOTA),
            "report_every": _doc(
                "docs/spec/gitlab/api.md", "sizes of groups are cached for 5 minutes, taken to run from the start"
            ),
            "gc_policies": _assumed("no other way of running the collector is modelled"),
            "price": _assumed(
                "software that one runs oneself; what GitLab.com asks for storage was not found by the byte"
            ),
            "gc": _doc(_ONLINE_GC, "dangling: no tag, no parent list, no referrer; blobs without any manifest"),
        }
    ),
)
