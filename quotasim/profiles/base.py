"""A registry kind as data: one frozen profile that says what counts, where, against which limit, and when bytes
come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Literal

from quotasim.accounting.basis import ALL_ROLES, Basis, Scope
from quotasim.accounting.price import Price
from quotasim.accounting.quota import Refusal
from quotasim.errors import InvalidValue
from quotasim.gc.policy import GcPolicy
from quotasim.kernels.layout import ROLE_CONFIG, ROLE_LAYER, ROLE_OWN

Evidence = Literal["ran", "code", "doc", "issue", "assumed", "own"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a profile's field comes from.

    Attributes
    ----------
    where : url, or repository and path with commit, or the section of our own rules.
    evidence : ``ran`` (the program was run), ``code`` (source read), ``doc``, ``issue``, ``assumed``, or ``own``
        (a rule set of ours).
    read_on : ISO date on which it was read or run.
    note : what it says, in our words.
    """

    where: str
    evidence: Evidence
    read_on: str
    note: str = ""


Check = Literal["none", "used", "missing", "uploading", "afterwards"]


@dataclass(frozen=True, slots=True)
class Backfill:
    """How a vendor's counter comes to be where it was not kept: until then it stands still at 0.

    Attributes
    ----------
    delay : microseconds until the first scopes are counted.
    every : microseconds from then on between batches.
    batch : scopes that are counted at a time.
    """

    delay: int
    every: int
    batch: int


DEFAULT_POLICY = "default"
LIMIT_FIELDS = (
    "check_post",
    "check_patch",
    "check_put_blob",
    "check_put_manifest",
    "check_mount",
    "check_copy",
    "reserves",
    "patch_refusal_cancels",
    "refused_after",
    "counter",
    "recounts",
    "backfill",
)
"""What says how a limit is looked at: a kind without one has one source for all."""

NOT_SOURCED = frozenset({"name", "title", "sources"})


@dataclass(frozen=True, kw_only=True)
class RegistryProfile:
    """The rules of one registry kind. ``dataclasses.replace`` makes a variant.

    Attributes
    ----------
    scope, basis : where and by which holders a blob is charged once.
    counts_config, counts_manifests, counts_foreign : whether configs, manifests' own bytes and foreign layers are
        charged; a kind that counts foreign layers stores them too.
    limit : bytes that a scope may be charged, or None.
    reject_at_limit : from where on the limit refuses. True: reaching it is refused; False: only passing it is.
    included : bytes included in the price and shown as the limit, or None; passing them refuses nothing.
    warn_at : per cent of the limit from which on the kind warns, or None.
    refusal : what a client sees whose push passes the limit, or None. Its message may name ``{needed}``, ``{used}``,
        ``{limit}`` and ``{scope}``.
    collection : who begins one. ``"automatic"``: untagged manifests and released blobs go by themselves;
        ``"manual"``: a run is started.
    untagged_after : microseconds until a manifest that lost its last tag is collected; None: never.
    collects_untagged_pushes : whether a manifest pushed without a tag waits for collection from then on.
    sweep_after : microseconds until a released blob leaves the disk, where collection is automatic.
    referrers : how subjects and referrers hang together. ``"ignore"``: not at all; ``"follow"``: a referrer that loses
        its subject waits for collection; ``"cascade"``: a referrer is deleted with its subject; ``"pin"``: a linked
        referrer keeps its subject from collection; ``"stay"``: what has a subject is never collected;
        ``"stay and pin"``: what has a subject is never collected, and keeps it from collection.
    stale_blob_links : whether a deleted manifest leaves explicit links to its blobs.
    loose_blobs_after : microseconds after which an uploaded blob that no manifest of its repository names is unlinked
        there, and swept if nothing else holds it; None: never by itself.
    restorable_for : microseconds for which what is deleted stays, hidden from clients, counted and stored, and can be
        restored; None: a deletion is final. Where ``delete_by_tag`` is ``"expire"`` it is ``untagged_after``.
    collect_every : microseconds between the runs that collect what waits; 0: each when its time comes.
    collect_batch : how many untagged manifests such a run collects at most, all of one repository; None: any number.
    review_jitter : microseconds by which the waits ``untagged_after`` and ``sweep_after`` can be longer, drawn for each
        thing that waits where the registry has a seed, and 0 where it has none; 0: by nothing.
    uploads_purged_after : microseconds after its beginning at which an unfinished upload is purged; None: never.
    uploads_purged_every : microseconds between the runs that purge them; 0: each when its time comes.
    quarantine : whether a pushed manifest cannot be pulled until it is released.
    replicas : what copies elsewhere are. ``"none"``: registries of their own; ``"billed"``: the limit and the display
        see one copy, and every copy is paid for.
    check_post, check_patch, check_put_blob, check_put_manifest, check_mount, check_copy : what the limit is held
        against when a request of an upload, a mount or a copy in steps arrives. ``"none"``: nothing; ``"used"``: what
        is counted so far; ``"missing"``: what is counted so far, and what the request would add to it;
        ``"uploading"``: what is counted so far, and the bytes of the repository's unfinished uploads before this
        request; ``"afterwards"``: what is counted when the manifest has been taken in. An operation that is not done
        in steps is looked at as a whole, and refused whole.
    reserves : whether what a request will add is counted from its arrival on.
    patch_refusal_cancels : whether a refused PATCH ends its upload.
    refused_after : microseconds until a manifest is collected that was taken in and then refused.
    counter : what a limit and the display see. ``"derived"``: the charge, counted from the content; ``"own"``: a
        counter that the vendor keeps, which can differ from the charge.
    recounts : whether that counter is counted anew after each deletion and each collection.
    backfill : how it is counted anew from nothing, or None.
    report_lag : microseconds by which the display follows what is counted.
    report_every : microseconds for which the display keeps what it shows; 0: none.
    delete_by_tag : what deleting ``repo:tag`` means: ``"manifest"``: the manifest with all its tags; ``"resolve"``: the
        manifest with all its tags, but the registry refuses a tag, and it is the client who resolves it and deletes the
        digest, or another interface that takes the tag; ``"refuse"``: it is refused; ``"tag"``: the tag only;
        ``"last tag"``: the tag, and the manifest with its last one; ``"expire"``: the tag ends, and where a manifest is
        named all its tags do, while the manifest itself is left to the collector.
    tag_refusal : what a client sees who deletes by tag, where ``delete_by_tag`` is ``"resolve"`` or ``"refuse"``.
    child_refusal : what a client sees who deletes a manifest that a linked index of the repository lists; None: it is
        not refused.
    referrer_refusal : what a client sees who deletes a manifest that is the subject of one in the repository; None: it
        is not refused.
    children_go : whether deleting an index deletes those of its children that have no tag and no other linked index.
    most_tags_on_delete : how many tags a manifest may have that is deleted by digest; None: any number.
    tags_refusal : what a client sees who deletes one with more.
    immutable_tags : whether tags are immutable. ``"off"``: they are not; ``"move"``: a bound tag cannot be moved to
        another manifest; ``"keep"``: nor can it, or a manifest that has one, be deleted.
    immutable_refusal : what a client sees who tries.
    tag_needs_parts : whether a tag is put to a manifest only while its repository has every part of it: the config and
        layers that are not foreign, or the children.
    write_lock_blocks_delete : whether a lock against writing also forbids deletion.
    price : what the vendor asks for what is charged, or None where it is software that one runs oneself, or nothing was
        found.
    gc : the policy behind ``reclaimable_bytes`` and of ``plan_gc()`` without arguments, named ``"default"``.
    gc_policies : what else the kind's collector can be told to do, by name: ``plan_gc("delete-untagged")``.
    sources : one :class:`Source` for every field above.
    """

    name: str
    title: str
    scope: Scope
    basis: Basis
    counts_config: bool = True
    counts_manifests: bool = True
    counts_foreign: bool = False
    limit: int | None = None
    reject_at_limit: bool = False
    included: int | None = None
    warn_at: int | None = None
    refusal: Refusal | None = None
    collection: Literal["automatic", "manual"] = "manual"
    untagged_after: int | None = None
    collects_untagged_pushes: bool = False
    sweep_after: int = 0
    referrers: Literal["ignore", "follow", "cascade", "pin", "stay", "stay and pin"] = "ignore"
    stale_blob_links: bool = False
    loose_blobs_after: int | None = None
    restorable_for: int | None = None
    collect_every: int = 0
    collect_batch: int | None = None
    review_jitter: int = 0
    uploads_purged_after: int | None = None
    uploads_purged_every: int = 0
    quarantine: bool = False
    replicas: Literal["none", "billed"] = "none"
    check_post: Check = "none"
    check_patch: Check = "none"
    check_put_blob: Check = "missing"
    check_put_manifest: Check = "missing"
    check_mount: Check = "missing"
    check_copy: Check = "missing"
    reserves: bool = False
    patch_refusal_cancels: bool = False
    refused_after: int = 0
    counter: Literal["derived", "own"] = "derived"
    recounts: bool = False
    backfill: Backfill | None = None
    report_lag: int = 0
    report_every: int = 0
    delete_by_tag: Literal["manifest", "resolve", "refuse", "tag", "last tag", "expire"] = "manifest"
    tag_refusal: Refusal | None = None
    child_refusal: Refusal | None = None
    referrer_refusal: Refusal | None = None
    children_go: bool = False
    most_tags_on_delete: int | None = None
    tags_refusal: Refusal | None = None
    immutable_tags: Literal["off", "move", "keep"] = "off"
    immutable_refusal: Refusal | None = None
    tag_needs_parts: bool = False
    write_lock_blocks_delete: bool = False
    price: Price | None = None
    gc: GcPolicy = field(default_factory=GcPolicy)
    gc_policies: Mapping[str, GcPolicy] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    sources: Mapping[str, Source] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.basis is Basis.STORED and self.scope is not Scope.REGISTRY:
            raise InvalidValue("scope", self.scope.name, "REGISTRY where the basis is STORED: a disk belongs to nobody")
        for name in (
            "limit",
            "included",
            "untagged_after",
            "most_tags_on_delete",
            "loose_blobs_after",
            "restorable_for",
            "uploads_purged_after",
        ):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InvalidValue(name, value, "0 or more, or None")
        if DEFAULT_POLICY in self.gc_policies:
            raise InvalidValue("gc_policies", DEFAULT_POLICY, "other names: this one is the field gc")
        for name in (
            "sweep_after",
            "report_lag",
            "report_every",
            "collect_every",
            "uploads_purged_every",
            "refused_after",
            "review_jitter",
        ):
            if getattr(self, name) < 0:
                raise InvalidValue(name, getattr(self, name), "0 or more microseconds")
        self._check_waits()
        self._check_counter()
        if self.warn_at is not None and not 0 <= self.warn_at <= 100:
            raise InvalidValue("warn_at", self.warn_at, "a percentage from 0 to 100, or None")
        spoken = {
            "tag_refusal": self.delete_by_tag in ("resolve", "refuse"),
            "tags_refusal": self.most_tags_on_delete is not None,
            "immutable_refusal": self.immutable_tags != "off",
        }
        for name, needed in spoken.items():
            if needed and getattr(self, name) is None:
                raise InvalidValue(name, None, "a Refusal, since the profile has a rule that refuses")

    def _check_waits(self) -> None:
        """Raise InvalidValue where what waits could never be collected, or would wait for two things at once."""
        expires = self.delete_by_tag == "expire"
        if expires and self.restorable_for != self.untagged_after:
            raise InvalidValue("restorable_for", self.restorable_for, "untagged_after, since deleting ends the tags")
        if self.restorable_for is not None and self.collection != "automatic":
            raise InvalidValue("restorable_for", self.restorable_for, "None where collection is not automatic")
        if self.restorable_for is not None and not expires and self.untagged_after is not None:
            raise InvalidValue("restorable_for", self.restorable_for, "None where untagged manifests are collected")
        if self.restorable_for is not None and not expires and self.children_go:
            raise InvalidValue("restorable_for", self.restorable_for, "None where children go with their index")
        if self.collect_batch is not None and (self.collect_batch < 1 or self.collect_every == 0):
            raise InvalidValue("collect_batch", self.collect_batch, "1 or more, with collect_every above 0; or None")
        if self.loose_blobs_after is not None and self.collection != "automatic":
            raise InvalidValue("loose_blobs_after", self.loose_blobs_after, "None where collection is not automatic")

    def _check_counter(self) -> None:
        """Raise InvalidValue where check points and counter do not go together."""
        for name in ("reserves", "recounts", "backfill"):
            if getattr(self, name) and self.counter != "own":
                raise InvalidValue(name, getattr(self, name), "off where the kind has no counter of its own")
        for name in ("check_post", "check_patch", "check_put_blob", "check_mount", "check_copy"):
            if getattr(self, name) == "afterwards":
                raise InvalidValue(name, "afterwards", "another: only a manifest is looked at when it is there")
        if self.check_put_manifest == "afterwards" and self.basis is Basis.TAGGED:
            raise InvalidValue("check_put_manifest", "afterwards", "another where the basis is TAGGED")

    @property
    def role_mask(self) -> int:
        """The roles of blobs that are charged, as bits."""
        mask = ALL_ROLES
        if not self.counts_config:
            mask &= ~ROLE_CONFIG
        if not self.counts_manifests:
            mask &= ~ROLE_OWN
        return mask | ROLE_LAYER

    @property
    def displayed_limit(self) -> int | None:
        """The limit that the kind's display shows."""
        return self.limit if self.included is None else self.included

    def gc_policy(self, name: str) -> GcPolicy:
        """Return a policy of this kind by its name.

        Raises
        ------
        InvalidValue : it has none of this name.

        Examples
        --------
        >>> from quotasim.profiles import by_name
        >>> by_name("distribution-2.8").gc_policy("delete-untagged").roots
        'TAGS'
        """
        policies = {DEFAULT_POLICY: self.gc, **self.gc_policies}
        if name not in policies:
            raise InvalidValue("policy", name, f"a GcPolicy or one of {self.name}'s: {', '.join(sorted(policies))}")
        return policies[name]

    def unsourced_fields(self) -> list[str]:
        """Return the fields that no :class:`Source` backs."""
        return [f.name for f in fields(self) if f.name not in NOT_SOURCED and f.name not in self.sources]
