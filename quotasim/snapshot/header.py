"""``snapshot.json``: what a snapshot is, in one small file that is read first."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from types import MappingProxyType
from typing import Any, Final

import msgspec

from quotasim.accounting.basis import Basis, Scope
from quotasim.accounting.price import Price
from quotasim.accounting.quota import Refusal
from quotasim.errors import InvalidValue
from quotasim.profiles.base import Backfill, RegistryProfile

__all__ = ["SCHEMA_VERSION", "Header", "WrongHeader", "parse_header", "profile_as_json", "profile_from_json"]

SCHEMA_VERSION: Final = 3


class WrongHeader(Exception):
    """``snapshot.json`` is not what it should be; says why. Becomes a `SnapshotError`."""


class Header(msgspec.Struct, kw_only=True, frozen=True):
    """What ``snapshot.json`` holds.

    Attributes
    ----------
    schema_version : of tables and of this file; another one than ours is refused.
    tool_version : of the quotasim that wrote it.
    as_of : the registry's time as text, for people; ``now`` is the same in microseconds since the epoch, UTC.
    profile : every field of the profile.
    version, next_batch, settled_events : counters of state, operations and log.
    origin : the time at which the registry began, microseconds since the epoch, UTC.
    replicas : copies of everything, the home region's among them.
    random_seed : of what the kind leaves to chance, or None.
    last_run : of a collector that works in batches: when, how many it took, and in which repository's row.
    schedule : when collections run that do not run by themselves, or None.
    totals : running totals, by name.
    rows : of every table.
    seed : of what generated the registry, if anything did.
    provenance : where it comes from, in the words of who saved it.
    content_hash : of the profile, the counters, the totals and all tables, whatever wrote them and when.
    """

    schema_version: int
    tool_version: str
    as_of: str
    now: int
    profile: dict[str, Any]
    version: int
    next_batch: int
    settled_events: int
    origin: int
    replicas: int
    random_seed: int | None
    last_run: list[int]
    schedule: dict[str, Any] | None
    totals: dict[str, int]
    rows: dict[str, int]
    seed: int | None = None
    provenance: dict[str, str] = {}
    content_hash: str = ""

    def content(self) -> bytes:
        """The part that the content hash covers, always written the same way."""
        left_out = {"schema_version", "tool_version", "as_of", "seed", "provenance", "content_hash"}
        kept = [name for name in self.__struct_fields__ if name not in left_out]
        return json.dumps({name: getattr(self, name) for name in kept}, sort_keys=True).encode()

    def as_text(self) -> str:
        """The text of the file."""
        return json.dumps(msgspec.structs.asdict(self), indent=1) + "\n"


def parse_header(text: bytes) -> Header:
    """Read the text of the file.

    Raises
    ------
    WrongHeader : it is no JSON, lacks something, or was written by another version.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        reason = f"it is no JSON: {error}"
        raise WrongHeader(reason) from None
    version = found.get("schema_version") if isinstance(found, dict) else None
    if not isinstance(version, int) or version < 1:
        reason = "it has no schema_version: this is no snapshot of quotasim"
        raise WrongHeader(reason)
    if version > SCHEMA_VERSION:
        reason = (
            f"schema_version is {version}, and this quotasim reads up to {SCHEMA_VERSION}: "
            f"a later one wrote it ({found.get('tool_version')!r})"
        )
        raise WrongHeader(reason)
    if version < SCHEMA_VERSION:
        reason = f"schema_version is {version}, and this quotasim reads {SCHEMA_VERSION}: make it anew with an import"
        raise WrongHeader(reason)
    try:
        return msgspec.convert(found, Header)
    except msgspec.ValidationError as error:
        raise WrongHeader(str(error)) from None


# -- profiles ------------------------------------------------------------------------------------------


def profile_as_json(profile: RegistryProfile) -> dict[str, Any]:
    """Every field of a profile, in types that JSON has; scope and basis by name.

    Examples
    --------
    >>> from quotasim.profiles import by_name
    >>> profile_as_json(by_name("refcount"))["basis"]
    'REFERENCED'
    """
    plain = {field.name: getattr(profile, field.name) for field in fields(profile)}
    plain["scope"], plain["basis"] = profile.scope.name, profile.basis.name
    plain["gc"] = asdict(profile.gc)
    for name, value in plain.items():
        if isinstance(value, Refusal | Backfill):
            plain[name] = asdict(value)
        if isinstance(value, Price):  # JSON's numbers are no decimals: amounts are text
            plain[name] = msgspec.to_builtins(value)
    plain["gc_policies"] = {name: asdict(policy) for name, policy in profile.gc_policies.items()}
    plain["sources"] = {name: asdict(source) for name, source in profile.sources.items()}
    return plain


def profile_from_json(plain: dict[str, Any]) -> RegistryProfile:
    """The profile that `profile_as_json` wrote, equal to it.

    Raises
    ------
    WrongHeader : a field is unknown, missing or out of range.
    """
    unknown = sorted(set(plain) - {field.name for field in fields(RegistryProfile)})
    if unknown:
        reason = f"the profile has unknown fields: {', '.join(unknown)}"
        raise WrongHeader(reason)
    try:
        numbered = {**plain, "scope": Scope[plain["scope"]].value, "basis": Basis[plain["basis"]].value}
        profile = msgspec.convert(numbered, RegistryProfile)
    except KeyError as error:
        reason = f"the profile has no such thing as {error}"
        raise WrongHeader(reason) from None
    except (msgspec.ValidationError, InvalidValue) as error:
        reason = f"the profile is not valid: {error}"
        raise WrongHeader(reason) from None
    return replace(
        profile,
        gc_policies=MappingProxyType(dict(profile.gc_policies)),
        sources=MappingProxyType(dict(profile.sources)),
    )
