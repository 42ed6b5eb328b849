"""``harbor``: Harbor 2, one quota for each project."""

from types import MappingProxyType

from quotasim.accounting.basis import Basis, Scope
from quotasim.accounting.quota import Refusal
from quotasim.gc.policy import GcPolicy
from quotasim.profiles.base import RegistryProfile, Source
from quotasim.units import parse_duration


def _code(path: str, note: str) -> Source:
    return Source(f"goharbor/harbor c50c7ddd, {path}", "code", "2026-11-23", note)


def _assumed(note: str) -> Source:
    return Source("goharbor/harbor c50c7ddd, inferred", "assumed", "2026-11-25", note)


_ARTIFACT = "src/controller/artifact/controller.go"
_QUOTA = "src/server/middleware/quota"
_GC = "src/jobservice/job/impl/gc/garbage_collection.go"

HARBOR = RegistryProfile(
    name="harbor",
    title="Harbor",
    scope=Scope.NAMESPACE,
    basis=Basis.LINKED,
    warn_at=85,
    refusal=Refusal(
        403,
        "DENIED",
        "adding {needed} of storage resource, which when updated to current usage of {used} will exceed the configured "
        "upper limit of {limit}.",
    ),
    collection="manual",
    referrers="cascade",
    delete_by_tag="resolve",
    tag_refusal=Refusal(400, "UNSUPPORTED", "The operation is unsupported."),
    child_refusal=Refusal(412, "VIOLATE_FOREIGN_KEY_CONSTRAINT", "the deleting artifact is referenced by others"),
    children_go=True,
    immutable_refusal=Refusal(
        412, "PRECONDITION", "Failed to process request due to '{reference}' configured as immutable."
    ),
    uploads_purged_after=parse_duration("168h"),
    uploads_purged_every=parse_duration("24h"),
    check_post="used",
    reserves=True,
    counter="own",
    recounts=True,
    gc=GcPolicy(roots="TAGS", referrers="follow", grace=parse_duration("2h"), drops_blob_links="idle", rechecks=True),
    sources=MappingProxyType(
        {
            "scope": _code("src/pkg/blob/dao", "each digest once in a project; what two projects share counts in both"),
            "basis": _code("src/pkg/blob/dao", "sum over project_blob, uploads that no artifact names among them"),
            "counts_config": _code("src/pkg/blob/dao", "configs are blobs like others"),
            "counts_manifests": _code("src/pkg/blob/dao", "manifests are rows of the blob table"),
            "counts_foreign": _code("src/pkg/blob/dao", "the sum leaves the media type of foreign layers out"),
            "limit": _code("src/pkg/quota", "-1, unlimited, unless the administrator sets another default"),
            "reject_at_limit": _code(
                "src/pkg/quota", "refused if the new usage is greater than the limit: equal passes"
            ),
            "included": _assumed("nothing is priced"),
            "warn_at": _code("src/pkg/quota/models/quota.go", "warns from 85 % of the limit on, 85 % included"),
            "refusal": Source(
                "https://github.com/goharbor/harbor/issues/19295", "issue", "2026-11-23", "what docker push printed"
            ),
            "collection": _code(_GC, "bytes leave the disk when the job is run, by hand or on a schedule"),
            "untagged_after": _code(_GC, "untagged artifacts stay until a run deletes them"),
            "collects_untagged_pushes": _code(_GC, "a run lists artifacts without a tag, ever tagged or not"),
            "sweep_after": _code(_GC, "nothing is swept by itself"),
            "referrers": _code(_ARTIFACT, "deleteDeeply deletes hard accessories; all referrers are taken as hard"),
            "stale_blob_links": _code(_ARTIFACT, "project_blob rows that nothing else needs go with the artifact"),
            "report_lag": _code(_QUOTA, "usage is recomputed after every deletion and after GC"),
            "delete_by_tag": _code(
                "src/server/registry/manifest.go",
                "the registry interface takes a digest only; the artifact API deletes the artifact of a tag",
            ),
            "tag_refusal": _code("src/server/registry/manifest.go", "400 UNSUPPORTED; the wording is assumed"),
            "child_refusal": _code(_ARTIFACT, "deleteDeeply refuses a root that another artifact references"),
            "children_go": _code(_ARTIFACT, "deleteDeeply deletes children without tags and without other parents"),
            "most_tags_on_delete": _code(_ARTIFACT, "all tags of the artifact are deleted with it"),
            "tags_refusal": _code(_ARTIFACT, "all tags of the artifact are deleted with it"),
            "immutable_tags": _assumed(
                "off: a project has no rule by default; a rule also forbids deletion: set 'keep' for it"
            ),
            "immutable_refusal": _code("src/pkg/immutable", "the words of ErrImmutable; the status was read elsewhere"),
            "write_lock_blocks_delete": _assumed("Harbor has no locks"),
            "tag_needs_parts": _assumed("whether a manifest is checked again when it is tagged is not said"),
            "loose_blobs_after": _code(_GC, "blobs that no artifact names stay until a run of the collector"),
            "restorable_for": _code(_ARTIFACT, "a deletion is final"),
            "collect_every": _code(_GC, "nothing is collected by itself"),
            "collect_batch": _assumed("no batches are described"),
            "review_jitter": _assumed("no jitter is described"),
            "uploads_purged_after": _assumed(
                "upload_purging of its installation template, as CNCF distribution has it"
            ),
            "uploads_purged_every": _assumed(
                "upload_purging of its installation template, as CNCF distribution has it"
            ),
            "quarantine": _assumed("a project can forbid to pull what is vulnerable; that changes no figure"),
            "replicas": _assumed("replication copies to another registry, which counts for itself"),
            "referrer_refusal": _code(_ARTIFACT, "accessories are deleted with their subject"),
            "check_post": _code(_QUOTA, "reserves 0 bytes: refused only where usage is past the limit already"),
            "check_patch": _code("src/server/registry/route.go", "the route has no quota middleware"),
            "check_put_blob": _code(_QUOTA, "the blob's size, unless the project has it"),
            "check_put_manifest": _code(_QUOTA, "the manifest's size, and that of what the project lacks of it"),
            "check_mount": _code(_QUOTA, "the blob's size, unless the project has it"),
            "check_copy": _code(_QUOTA, "what the project lacks of all that is copied, accessories too"),
            "reserves": _code(_QUOTA, "reserves, runs the request, and rolls back where it fails"),
            "patch_refusal_cancels": _code("src/server/registry/route.go", "PATCH is not refused"),
            "refused_after": _code(_QUOTA, "refused before it is taken in"),
            "counter": _code("src/pkg/quota", "the row quota_usage; requests of one digest at a time reserve twice"),
            "recounts": _code(_QUOTA, "an absolute count after each deletion, and for all projects after GC"),
            "backfill": _code(_QUOTA, "counted anew at once, not by and by"),
            "report_every": _code(_QUOTA, "the row is shown as it is"),
            "gc_policies": _assumed("no other way of running the collector is modelled"),
            "price": _assumed("software that one runs oneself: it has no price"),
            "gc": _code(
                _GC,
                "delete_untagged and a window of 2 h by default; links idle for longer go too. That the window also "
                "holds for untagged artifacts is assumed",
            ),
        }
    ),
)
