"""Who has which part of the charge (section 10 of the semantics), with sets of (scope, blob)."""

from __future__ import annotations

from collections import Counter

from .content import namespace_of
from .figures import Figures, Link
from .rows import Key, image_groups

ChargeRow = tuple[str, int, int, int]  # name; logical, exclusive and attributed bytes

NOBODY = "(unattributed)"


def members(state: Figures, by: str) -> dict[Key, set[Link]]:
    """Return the links of every row."""
    if by == "image":
        # A repository's name has neither ":" nor "@": what is before them in a row's name is where its manifests are.
        return {
            key: {(key[0].partition("@")[0].partition(":")[0], digest) for digest in digests}
            for key, digests in image_groups(state).items()
        }
    found: dict[Key, set[Link]] = {("", ""): set()} if by == "registry" else {}
    for repository, digest in state.links:
        name = {"repository": repository, "namespace": namespace_of(repository), "registry": ""}[by]
        found.setdefault((name, ""), set()).add((repository, digest))
    return found


def counted_blobs(state: Figures, digest: str) -> set[str]:
    """Return the blobs that a manifest makes count: those in a role that the rules charge; on disk, in any."""
    rules, manifest = state.rules, state.manifests[digest]
    left_out = set()
    if rules.basis != "STORED":
        left_out |= set() if rules.counts_config else {"config"}
        left_out |= set() if rules.counts_manifests else {"manifest"}
    return {blob.digest for role, blob in manifest.listing() if role not in left_out}


def charge_rows(state: Figures, by: str) -> list[ChargeRow]:
    """Return the rows in order of their names, and last what nobody holds, if there is any."""
    rules, rows = state.rules, members(state, by)
    order = sorted(rows)
    logical, exclusive, attributed = Counter(), Counter(), Counter()
    nobody = 0
    for name in state.scopes(rules.scope):
        charged = {blob for blob in state.basis_blobs(rules.scope, name, rules.basis) if state.counts(blob, name)}
        inside = state.manifests_in(rules.scope, name, rules.basis)
        held: dict[Key, set[str]] = {}
        for key in order:
            mine = {digest for where, digest in rows[key] if state.scope_name(rules.scope, where) == name} & inside
            parts = [counted_blobs(state, digest) & charged for digest in mine]
            logical[key] += sum(state.size_of(part) for part in parts)
            held[key] = set().union(*parts)
        for blob in charged:
            holders = [key for key in order if blob in held[key]]
            size = state.blobs[blob].bytes
            if not holders:
                nobody += size
            if len(holders) == 1:
                exclusive[holders[0]] += size
            for place, key in enumerate(holders):
                attributed[key] += size // len(holders) + (place < size % len(holders))
    found = [(key[0], logical[key], exclusive[key], attributed[key]) for key in order]
    return [*found, (NOBODY, nobody, nobody, nobody)] if nobody else found
