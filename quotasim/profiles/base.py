"""A registry kind as data: one frozen profile that says what counts, where, against which limit, and when bytes
come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Literal

from quotasim.accounting.basis import ALL_ROLES, Basis, Scope
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


DEFAULT_POLICY = "default"
NOT_SOURCED = frozenset({"name", "title", "sources"})


@dataclass(frozen=True, kw_only=True)
class RegistryProfile:
    """The rules of one registry kind. ``dataclasses.replace`` makes a variant.

    Attributes
    ----------
    scope, basis : where and by which holders a blob is charged once.
    counts_config, counts_manifests, counts_foreign : whether configs, manifests' own bytes and foreign layers are
        charged;
        a kind that counts foreign layers stores them too.
    limit : bytes that a scope may be charged, or None.
    reject_at_limit : True: reaching the limit is refused; False: only passing it.
    included : bytes included in the price and shown as the limit, or None; passing them refuses nothing.
    collection : ``"automatic"``: untagged manifests and released blobs go by themselves; ``"manual"``: a run is
        started.
    untagged_after : microseconds until a manifest that lost its last tag is collected; None: never.
    sweep_after : microseconds until a released blob leaves the disk, where collection is automatic.
    referrers : what the loss of a subject does to its referrers: nothing, candidates for collection, deleted with it.
    stale_blob_links : whether a deleted manifest leaves explicit links to its blobs.
    report_lag : microseconds by which the display follows the charge.
    delete_by_tag : what deleting ``repo:tag`` means: ``"manifest"``: the manifest with all its tags; ``"refuse"``:
        the kind
        refuses a tag and clients resolve it and delete the digest, with the same outcome; ``"tag"``: the tag only.
    tag_needs_parts : whether a tag is put to a manifest only while its repository has every part of it: the config and
        layers that are not foreign, or the children.
    write_lock_blocks_delete : whether a lock against writing also forbids deletion.
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
    collection: Literal["automatic", "manual"] = "manual"
    untagged_after: int | None = None
    sweep_after: int = 0
    referrers: Literal["ignore", "follow", "cascade"] = "ignore"
    stale_blob_links: bool = False
    report_lag: int = 0
    delete_by_tag: Literal["manifest", "refuse", "tag"] = "manifest"
    tag_needs_parts: bool = False
    write_lock_blocks_delete: bool = False
    gc: GcPolicy = field(default_factory=GcPolicy)
    gc_policies: Mapping[str, GcPolicy] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    sources: Mapping[str, Source] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.basis is Basis.STORED and self.scope is not Scope.REGISTRY:
            raise InvalidValue("scope", self.scope.name, "REGISTRY where the basis is STORED: a disk belongs to nobody")
        for name in ("limit", "included", "untagged_after"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InvalidValue(name, value, "0 or more, or None")
        if DEFAULT_POLICY in self.gc_policies:
            raise InvalidValue("gc_policies", DEFAULT_POLICY, "other names: this one is the field gc")
        for name in ("sweep_after", "report_lag"):
            if getattr(self, name) < 0:
                raise InvalidValue(name, getattr(self, name), "0 or more microseconds")

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
