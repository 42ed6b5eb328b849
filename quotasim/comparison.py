"""Comparison of registry kinds: one registry, or one history, under the rules of several, and why their figures differ.

The charge of every kind is explained by steps from what all kinds share, each blob of a linked manifest once: which
blobs the kind leaves out, what else it charges, and where it charges a blob more than once. The steps are recounted
from scratch, and add up to the charge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from quotasim.accounting.basis import ALL_ROLES, Basis, Scope, basis_bytes
from quotasim.errors import InvalidValue
from quotasim.kernels.layout import EVENT_REFUSE, ROLE_OWN
from quotasim.model.totals import exact_sum
from quotasim.profiles import by_name
from quotasim.registry import Registry, as_trace, replay
from quotasim.units import format_bytes, format_duration

if TYPE_CHECKING:
    import os

    from quotasim.engine import Engine
    from quotasim.importers.trace_table import TraceTable
    from quotasim.profiles.base import RegistryProfile
    from quotasim.results import Usage

__all__ = ["Difference", "KindRow", "compare"]

_BASES = {
    Basis.TAGGED: "only what a tag reaches is charged",
    Basis.LINKED: "uploads that no manifest names are charged too",
    Basis.STORED: "everything on the disk is charged, named by a manifest or not",
}
_SCOPES = {
    Scope.NAMESPACE: "a blob that several namespaces share is charged in each",
    Scope.REPOSITORY: "a blob that several repositories share is charged in each",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One step from a figure to the next.

    Attributes
    ----------
    figure : the figure that it explains: ``charged_bytes`` (from ``unique_bytes``), ``reported_bytes`` (from
        ``charged_bytes``), ``stored_bytes`` (from ``unique_bytes``), ``limit_bytes`` (against the charge).
    bytes : what the step adds, or takes.
    reason : the rule, in words.
    """

    figure: str
    bytes: int
    reason: str

    def __str__(self) -> str:
        sign = "+" if self.bytes > 0 else ""
        return f"{sign}{format_bytes(self.bytes)}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRow:
    """One registry kind's figures; bytes are exact ints, None is a figure that the kind does not have.

    Attributes
    ----------
    profile, title : the kind.
    dedup_scope, basis : where, and by which holders, a blob is charged once.
    as_of : time of the figures, microseconds since the epoch.
    limit_bytes : what the kind displays. It holds for each namespace or repository where ``dedup_scope`` is that, while
        the charge is their sum.
    refused : pushes that the kind refused; 0 where a registry is looked at under other rules, since nothing is pushed.
    differences : why the figures are not ``unique_bytes``, none of them 0.
    """

    profile: str
    title: str
    dedup_scope: str
    basis: str
    as_of: int
    unique_bytes: int
    charged_bytes: int
    reported_bytes: int
    stored_bytes: int
    reclaimable_bytes: int
    limit_bytes: int | None
    refused: int
    differences: tuple[Difference, ...]


def compare(
    source: Registry | TraceTable | str | os.PathLike[str], profiles: Sequence[str | RegistryProfile]
) -> list[KindRow]:
    """Return one row a kind, in the order given.

    Parameters
    ----------
    source : a registry, whose content is looked at under each kind's rules, nothing refused and nothing collected; or a
        trace, which is replayed under each kind from its first event, with that kind's refusals and collections.
    profiles : names or profiles, none twice.

    Raises
    ------
    UnknownProfile : there is no such kind.
    InvalidValue : no profile, or one twice.
    InputRejected : the trace is broken.

    Notes
    -----
    Each kind costs what loading the registry anew does, or a replay, and six recounts: O(references).

    Examples
    --------
    >>> from quotasim import Blob, Image, Registry
    >>> registry = Registry("refcount")
    >>> image = Image([Blob.synthetic("base", 1000)])
    >>> _ = registry.push("team-a/web:v1", image), registry.push("team-b/web:v1", image)
    >>> row, = compare(registry, ["acr-premium"])
    >>> row.charged_bytes == row.unique_bytes, row.differences
    (True, ())
    """
    chosen = [by_name(profile) if isinstance(profile, str) else profile for profile in profiles]
    names = [profile.name for profile in chosen]
    if not names or len(set(names)) < len(names):
        raise InvalidValue("profiles", ", ".join(names), "one profile or several, none twice")
    if isinstance(source, Registry):
        return [_row(source.under(profile)) for profile in chosen]
    trace = as_trace(source)  # read once, replayed under each
    return [_row(replay(trace, profile=profile)) for profile in chosen]


def _row(registry: Registry) -> KindRow:
    """Return the figures of a registry under its own rules."""
    profile, usage = registry.profile, registry.usage()
    return KindRow(
        profile=profile.name,
        title=profile.title,
        dedup_scope=profile.scope.name.lower(),
        basis=profile.basis.name.lower(),
        as_of=usage.as_of,
        unique_bytes=usage.unique_bytes,
        charged_bytes=usage.charged_bytes,
        reported_bytes=usage.reported_bytes,
        stored_bytes=usage.stored_bytes,
        reclaimable_bytes=usage.reclaimable_bytes,
        limit_bytes=usage.limit_bytes,
        refused=int(np.count_nonzero(registry.engine.log.column("kind") == EVENT_REFUSE)),
        differences=tuple(difference for difference in _differences(registry, usage) if difference.bytes),
    )


def _differences(registry: Registry, usage: Usage) -> Iterator[Difference]:
    """Yield the steps from the unique bytes to each figure, empty ones too."""
    profile = registry.profile
    yield from _charge_steps(registry)
    lag = format_duration(profile.report_lag)
    yield Difference("reported_bytes", usage.reported_bytes - usage.charged_bytes, f"the display follows {lag} later")
    foreign = 0 if profile.counts_foreign else usage.foreign_bytes
    yield Difference("stored_bytes", -foreign, "foreign layers are not stored")
    engine = registry.engine
    size, lost = engine.content.graph().size, engine.lost_blobs()
    loose = (engine.state.read("stored") != 0) & (engine.state.read("holders") == 0)
    yield Difference("stored_bytes", exact_sum(size[loose]), "on the disk, and in no manifest that is linked")
    yield Difference("stored_bytes", -exact_sum(size[lost]), "in a manifest that is linked, and swept all the same")
    if usage.limit_bytes is not None and profile.scope is Scope.REGISTRY:
        over = max(usage.charged_bytes - usage.limit_bytes, 0)
        what = "refuses pushes" if profile.included is None else "costs, and refuses nothing"
        yield Difference("limit_bytes", over, f"above the limit shown, which {what}")


def _charge_steps(registry: Registry) -> Iterator[Difference]:
    """Yield the steps of the charge: one rule of the kind after another put in place, and the charge recounted."""
    engine, profile = registry.engine, registry.profile
    rule = _Rule()
    charge = rule.charge(engine)
    for reason, changed in _rules(profile):
        before, rule = charge, replace(rule, **changed)
        charge = rule.charge(engine)
        yield Difference("charged_bytes", charge - before, reason)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A charging rule; by default the one that gives ``unique_bytes``."""

    scope: Scope = Scope.REGISTRY
    basis: Basis = Basis.REFERENCED
    role_mask: int = ALL_ROLES
    counts_foreign: bool = True

    def charge(self, engine: Engine) -> int:
        """Return the charge of all scopes, recounted."""
        return sum(
            basis_bytes(
                engine.content,
                engine.names,
                engine.state,
                self.scope,
                self.basis,
                role_mask=self.role_mask,
                counts_foreign=self.counts_foreign,
            )
        )


def _rules(profile: RegistryProfile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rules in which a kind differs from ``_Rule()``, each with its reason."""
    if not profile.counts_foreign:
        yield "foreign layers are not charged", {"counts_foreign": False}
    if profile.basis is not Basis.STORED and not profile.counts_manifests:
        yield "the bytes of manifests are not charged", {"role_mask": ALL_ROLES & ~ROLE_OWN}
    if profile.basis is not Basis.STORED and not profile.counts_config:
        yield "configs are not charged", {"role_mask": profile.role_mask}
    if profile.basis is not Basis.REFERENCED:
        yield _BASES[profile.basis], {"basis": profile.basis}
    if profile.scope is not Scope.REGISTRY:
        yield _SCOPES[profile.scope], {"scope": profile.scope}
