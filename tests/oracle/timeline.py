"""What a preview promises: the totals at each instant at which something happens by itself, and what stays."""

from __future__ import annotations

import contextlib

from .figures import Figures, Link
from .marking import CollectionAborted
from .requests import OracleRegistry

LONG = 100 * 86_400_000_000  # microseconds in which every delay of every profile is over
Totals = dict[int, tuple[int, int, int]]  # (charged, reported, stored) at the end of each instant


def totals_of(registry: OracleRegistry) -> tuple[int, int, int]:
    """Return the three totals of a preview's timeline."""
    return registry.charged_bytes(), registry.reported_bytes(), registry.stored_bytes()


def run_out(branch: OracleRegistry) -> Totals:
    """Let a branch run until nothing happens by itself any more; return its totals at each instant.

    A kind that collects only when told to is told so once every grace is over.
    """
    found = {branch.now: totals_of(branch)}
    if branch.rules.collection == "manual":
        over = branch.now + branch.rules.gc.grace
        while branch.now < over:  # unfinished uploads are purged meanwhile, and what is reserved for them given back
            branch.advance(min(branch.instants() | {over}) - branch.now)
            found[branch.now] = totals_of(branch)
        with contextlib.suppress(CollectionAborted):
            branch.apply(branch.plan_gc())
    end = branch.now + LONG
    while branch.now < end:
        found[branch.now] = totals_of(branch)
        branch.advance(min(branch.instants(), default=end) - branch.now)
    return found


def changes(totals: Totals, since: OracleRegistry) -> Totals:
    """Leave out the instants at which nothing changed."""
    last, found = totals_of(since), {}
    for at, now in sorted(totals.items()):
        if now != last:
            found[at] = last = now
    return found


def charged(registry: Figures) -> set[tuple[str, str]]:
    """Return every (scope, blob) that the rules charge."""
    rules = registry.rules
    return {
        (name, blob)
        for name in registry.scopes(rules.scope)
        for blob in registry.basis_blobs(rules.scope, name, rules.basis)
        if registry.counts(blob, name)
    }


def stays(before: Figures, after: Figures, gone: set[Link]) -> dict[str, int]:
    """Say where the bytes of the links that go stay, and what is charged no more besides."""

    def size(pairs: set[tuple[str, str]]) -> int:
        return sum(before.blobs[blob].bytes for _, blob in pairs)

    named = [
        (before.scope_name(before.rules.scope, repository), blob)
        for repository, digest in gone
        for blob in before.manifests[digest].blobs()
    ]
    logical, once = sum(before.blobs[blob].bytes for _, blob in named), set(named)
    was, left = charged(before), charged(after)
    held = {(scope, blob) for scope, blob in once & was & left if after.holders(blob)}
    return {
        "logical_bytes": logical,
        "repeated_bytes": logical - size(once),
        "uncharged_bytes": size(once - was),
        "shared_bytes": size(held),
        "kept_bytes": size((once & was & left) - held),
        "other_freed_bytes": size(was - left - once),
    }
