"""What a retention policy keeps and removes: every tag and every manifest looked at by itself."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from .figures import Link, TagKey
from .registry import Operations


@dataclass(frozen=True)
class KeepRule:
    """Keeps tags of some names: the newest so many of a repository, or those younger than so much, or all."""

    newest: int | None = None
    younger: int | None = None
    repositories: str = "*"
    tags: str = "*"

    def looks_at(self, key: TagKey) -> bool:
        """Say whether a tag is one of those that the rule is about."""
        repository, name, _ = key
        return fnmatch.fnmatchcase(repository, self.repositories) and fnmatch.fnmatchcase(name, self.tags)


@dataclass(frozen=True)
class Decision:
    """Tags to be removed and manifests to be deleted."""

    tags: frozenset[TagKey]
    manifests: frozenset[Link]


def keeps(registry: Operations, rule: KeepRule, key: TagKey) -> bool:
    """Say whether one rule keeps one tag."""
    if not rule.looks_at(key):
        return False
    set_at = registry.tagged_at
    if rule.younger is not None:
        return registry.now - set_at[key] < rule.younger
    if rule.newest is None:
        return True
    mine = [other for other in registry.tags if other[0] == key[0] and rule.looks_at(other)]
    mine.sort(key=lambda other: (-set_at[other], other[1]))
    return mine.index(key) < rule.newest


def decide(
    registry: Operations, rules: list[KeepRule], *, deletes: bool, untagged_after: int | None, stays: bool = False
) -> Decision:
    """Return what goes. ``stays``: the kind lets no tag go."""

    def locked(*things: tuple[str, ...]) -> bool:
        return any(registry.locked("delete", thing) for thing in things)

    tags = set()
    for key, digest in registry.tags.items():
        protected = stays or locked((key[0],), (key[0], digest), (key[0], "tag", key[1]))
        if not protected and not any(keeps(registry, rule, key) for rule in rules):
            tags.add(key)
    going: set[Link] = set()
    for repository in registry.repositories():
        linked = registry.linked_in(repository)
        tagged = {digest for key, digest in registry.tags.items() if key[0] == repository and key not in tags}
        bare = {digest for digest in linked - tagged if (repository, digest) not in registry.hidden}
        lost = {digest for digest in bare if registry.tags_of(repository, digest)}
        wanted = set()
        if deletes:
            wanted = registry.reach(lost, linked, children=True, referrers=True) & bare
            for digest in bare - wanted:
                times = registry.links[repository, digest]
                since = max(times.pushed_at, times.unkept_at or 0)
                if untagged_after is not None and registry.now - since >= untagged_after:
                    wanted.add(digest)
            wanted = {digest for digest in wanted if not locked((repository,), (repository, digest))}
        kept = registry.reach(tagged | (bare - wanted), linked, children=True, referrers=True)
        going |= {(repository, digest) for digest in wanted - kept}
    return Decision(frozenset(tags), frozenset(going))


def retain(registry: Operations, decision: Decision) -> None:
    """Carry a decision out in one batch; what the kind refuses is passed over."""
    drops: list[tuple] = [("untag", key[0], key[1], registry.tags[key]) for key in sorted(decision.tags)]
    waiting = set() if registry.rules.delete_by_tag == "expire" else set(decision.manifests)
    while waiting:
        free = {
            (repository, digest)
            for repository, digest in waiting
            if not (registry.rules.keeps_children and _held_by(registry, waiting, repository, digest, "parents"))
            and not (registry.rules.keeps_subjects and _held_by(registry, waiting, repository, digest, "referrers"))
        }
        chosen = sorted(free or waiting)
        drops += [("delete_allowed", *link) for link in chosen]
        waiting -= set(chosen)
    if drops:
        registry.batch(drops)


def _held_by(registry: Operations, waiting: set[Link], repository: str, digest: str, how: str) -> set[str]:
    """Return the indexes over a manifest, or what refers to it, that wait to be deleted too."""
    among = {other for where, other in waiting if where == repository}
    return registry.parents_of(digest, among) if how == "parents" else registry.referrers_of(digest, among)
