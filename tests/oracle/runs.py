"""Collections under way: what they marked goes, one thing after another, whatever happens meanwhile (section 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .collection import Collection
from .content import GcRules
from .marking import CollectionAborted, GcPlan, Marking, place


class Run:
    """A collection of one registry. ``known`` gives the repositories that ever were named."""

    def __init__(self, registry: Collection, policy: GcRules, known: Callable[[], set[str]]) -> None:
        self.registry, self.policy, self.known = registry, policy, known
        self.marking = Marking(registry, policy)
        self.marking.listings.clear()
        self.marking.enter((), known())
        self.began = registry.steps
        self.waiting: list[tuple[str, tuple[str, ...]]] = []  # what is still to be deleted

    def walk(self, repositories: tuple[str, ...]) -> None:
        """Mark some repositories."""
        if self.policy.needs_blobs and not self.registry.was_used:
            raise CollectionAborted(None)
        for repository in repositories:
            entry = place(repository)
            for depth in range(1, len(entry)):
                self.marking.enter(entry[:depth], self.known())
            self.marking.walk(repository)

    def sweep(self) -> GcPlan:
        """Mark the rest, and say what is left."""
        self.walk(tuple(self.marking.waiting()))
        plan = self.marking.plan()
        self.waiting = [
            *(("link", link) for link in sorted(plan.removed)),
            *(("blob link", link) for link in sorted(plan.unlinked)),
            *(("blob", (blob,)) for blob in sorted(plan.swept)),
        ]
        return plan

    def step(self, count: int) -> None:
        """Delete the next things; where the policy looks again, what is garbage still and has not come anew."""
        now, self.waiting = self.waiting[:count], self.waiting[count:]
        garbage = set(self._garbage()) if self.policy.rechecks else set(now)
        for kind, thing in now:
            if (kind, thing) in garbage:
                self.registry.collect_one(kind, thing)
        self.registry.end_of_step(done=not self.waiting)

    def _garbage(self) -> list[tuple[str, tuple[str, ...]]]:
        registry = self.registry
        try:
            plan = registry.plan_gc(replace(self.policy, grace=0), self.began)
        except CollectionAborted:
            return []
        old = {blob for blob in registry.blobs if registry.last_stored.get(blob, 0) <= self.began}
        return [
            *(("link", link) for link in plan.removed),
            *(("blob link", link) for link in plan.unlinked if link[1] in old),
            *(("blob", (blob,)) for blob in plan.swept & old),
        ]
